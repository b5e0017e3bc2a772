"""A board with its pins brought out, for simulators."""

from __future__ import annotations

from dataclasses import replace

from amaranth.hdl import Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from zipsgd.boards.description import Board
from zipsgd.boards.top import PaddedDevice, Pads, request_pads
from zipsgd.boards.ulx3s import ULX3S_85F

CYCLES_A_BIT = 4


SIMULATED = replace(ULX3S_85F, baud=ULX3S_85F.clock_hz // CYCLES_A_BIT)
"""The ULX3S with a fast UART, for the sake of time."""


class PinnedBoard(wiring.Component):
    """All of a board's top but for its clock and that of its SDRAM, with levels as on the pins.

    Members are named by pin: ``rx``, ``tx``, ``led_0`` and so on, ``sdram_a`` and so on;
    ``sdram_dq_i``, ``sdram_dq_o`` and ``sdram_dq_oe``.
    """

    def __init__(self, board: Board) -> None:
        real = request_pads(board, board.platform())
        pins = {"rx": real.rx, "tx": real.tx}
        pins |= {f"led_{number}": led for number, led in enumerate(real.leds)}
        pins |= {f"high_{number}": high for number, high in enumerate(real.high)}
        pins |= {f"sdram_{name}": pad for name, pad in real.sdram.items() if name != "clk"}
        self._ports = ports = {
            name: io.SimulationPort(pad.direction, len(pad), invert=pad.invert, name=f"pad_{name}")
            for name, pad in pins.items()
        }
        self._padded = PaddedDevice(
            board,
            Pads(
                rx=ports["rx"],
                tx=ports["tx"],
                leds=tuple(ports[f"led_{number}"] for number in range(len(real.leds))),
                sdram={
                    name.removeprefix("sdram_"): port
                    for name, port in ports.items()
                    if name.startswith("sdram_")
                },
                high=tuple(ports[f"high_{number}"] for number in range(len(real.high))),
            ),
        )
        super().__init__(dict(_members(ports)))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.padded = self._padded
        for name, port in self._ports.items():
            for part, signal in _parts(name, port).items():
                member: Signal = getattr(self, part)
                m.d.comb += signal.eq(member) if part in _inputs(port, name) else member.eq(signal)
        return m


def _parts(name: str, port: io.SimulationPort) -> dict[str, Signal]:
    if port.direction is io.Direction.Input:
        return {name: port.i}
    if port.direction is io.Direction.Output:
        return {name: port.o}
    return {f"{name}_i": port.i, f"{name}_o": port.o, f"{name}_oe": port.oe}


def _inputs(port: io.SimulationPort, name: str) -> tuple[str, ...]:
    return (name,) if port.direction is io.Direction.Input else (f"{name}_i",)


def _members(ports: dict[str, io.SimulationPort]) -> list[tuple[str, wiring.Member]]:
    return [
        (part, (In if part in _inputs(port, name) else Out)(len(signal)))
        for name, port in ports.items()
        for part, signal in _parts(name, port).items()
    ]
