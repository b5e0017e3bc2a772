"""A board's top: clock, pads, UART, device and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from zipsgd.hdl.device.device import FramedDevice
from zipsgd.hdl.device.lights import Light, Lights
from zipsgd.hdl.lib.skid_buffer import SkidBuffer
from zipsgd.hdl.link.uart import FRAME_BITS, Uart

from .clocks import BoardClock, sync_domain
from .description import Board, SdramSamples
from .digest import board_digest


class BoardDevice(wiring.Component):
    """The device of a board, but for clock and pads::

        rx, tx <-> [Uart] <-> [FramedDevice] <-> [memory] <-> sdram
                                 |
                              [Lights] -> lights

    Members
    -------
    rx : In(1)
    tx : Out(1)
    lights : Out(4)
        See `hdl.device.lights.Light`.
    sdram : Out(SdramPins)
        If its samples are there.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._memory = memory = board.samples.build(board.engine, board.clock_hz)
        port = memory.port.signature.flip()
        self._device = FramedDevice(
            board.engine,
            port,
            board.samples.bytes * 8 // port.width,
            clock_hz=board.clock_hz,
            depth=board.samples.read_ahead,
            buffer_bytes=board.buffer_bytes,
            byte_cycles=board.clock_hz * FRAME_BITS // board.baud,
            digest=board_digest(board.engine),
        )
        members = {"rx": In(1, init=1), "tx": Out(1, init=1), "lights": Out(len(Light))}
        if hasattr(memory, "pins"):
            members["sdram"] = Out(memory.pins.signature)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        board, device = self._board, self._device
        m.submodules.samples, m.submodules.device = memory, _ = self._memory, device
        m.submodules.uart = uart = Uart(board.clock_hz, board.baud)
        m.submodules.lights = lights = Lights(board.clock_hz)
        wiring.connect(m, uart.o, device.i)
        # Whether the UART takes a byte is the carry of a long sum.
        m.submodules.buffer = buffer = SkidBuffer(8)
        wiring.connect(m, device.o, buffer.i)
        wiring.connect(m, buffer.o, uart.i)
        wiring.connect(m, device.port, memory.port)
        m.d.comb += [
            uart.rx.eq(self.rx),
            self.tx.eq(uart.tx),
            lights.byte.eq(uart.o.valid),
            lights.busy.eq(device.busy),
            lights.fault.eq(device.fault),
            self.lights.eq(lights.o),
        ]
        if hasattr(memory, "pins"):
            wiring.connect(m, memory.pins, wiring.flipped(self.sdram))
        return m


@dataclass(frozen=True)
class Pads:
    """Ports of a board's pins.

    ``sdram`` has those of `hdl.memory.sdram.pins.SdramPins` by their names there, without those
    that the board has wired to a level; ``high`` are pins that stay high.
    """

    rx: io.PortLike
    tx: io.PortLike
    leds: tuple[io.PortLike, ...]
    sdram: dict[str, io.PortLike]
    high: tuple[io.PortLike, ...] = ()


SDRAM_NAMES = {"clk_en": "cke"}
"""Pins of which amaranth-boards has another name."""


def request_pads(board: Board, platform: Any) -> Pads:
    """Those of a platform; the clock of an SDRAM is not among them."""
    uart = platform.request("uart", dir="-")
    sdram: dict[str, io.PortLike] = {}
    if isinstance(board.samples, SdramSamples):
        sdram = vars(platform.request("sdram", dir="-"))
    return Pads(
        rx=uart.rx,
        tx=uart.tx,
        leds=tuple(platform.request(name, number, dir="-") for name, number in board.leds),
        sdram={SDRAM_NAMES.get(name, name): port for name, port in sdram.items()},
        high=tuple(getattr(platform.request(name, dir="-"), pin) for name, pin in board.high),
    )


class PaddedDevice(Elaboratable):
    """`BoardDevice` behind the pads of its board, in a domain ``sync`` that is there.

    What goes to an SDRAM and comes from it passes registers in the pads, and its clock is the
    device's, inverted: commands change half a cycle before the edge that takes them
    (`boards.description.check_capture` looks at the way back).
    """

    def __init__(self, board: Board, pads: Pads) -> None:
        self._device, self._pads = BoardDevice(board), pads

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.device = device = self._device
        pads = self._pads
        m.submodules.rx = rx = io.Buffer("i", pads.rx)
        m.submodules.tx = tx = io.Buffer("o", pads.tx)
        m.d.comb += [device.rx.eq(rx.i), tx.o.eq(device.tx)]
        for number, pad in enumerate(pads.leds):
            m.submodules[f"led_{number}"] = led = io.Buffer("o", pad)
            m.d.comb += led.o.eq(device.lights[number])
        for number, pad in enumerate(pads.high):
            m.submodules[f"high_{number}"] = high = io.Buffer("o", pad)
            m.d.comb += high.o.eq(1)
        for name, pad in pads.sdram.items():
            self._sdram_pin(m, name, pad)
        return m

    def _sdram_pin(self, m: Module, name: str, pad: io.PortLike) -> None:
        pins = self._device.sdram
        if name == "clk":
            m.submodules.sdram_clk = clock = io.DDRBuffer("o", pad)
            m.d.comb += [clock.o[0].eq(0), clock.o[1].eq(1)]
        elif name == "dq":
            m.submodules.sdram_dq = dq = io.FFBuffer("io", pad)
            m.d.comb += [dq.o.eq(pins.dq.o), dq.oe.eq(pins.dq.oe), pins.dq.i.eq(dq.i)]
        else:
            m.submodules[f"sdram_{name}"] = pin = io.FFBuffer("o", pad)
            m.d.comb += pin.o.eq(getattr(pins, name))


class BoardTop(Elaboratable):
    """All that is in a board's bitstream; it asks ``platform`` for its pads and its clock."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = sync_domain()
        m.submodules.clock = BoardClock(self._board.family, self._board.clock_hz)
        m.submodules.device = PaddedDevice(self._board, request_pads(self._board, platform))
        return m
