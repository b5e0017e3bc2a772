"""What a board is to us: its FPGA and pins, and the device that suits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.hdl.link.link import BUFFER_BYTES
from zipsgd.hdl.memory.block import BlockMemory
from zipsgd.hdl.memory.sdram.chip import SdramChip
from zipsgd.hdl.memory.sdram.controller import Sdram
from zipsgd.hdl.memory.spram import SpramMemory

Family = Literal["ecp5", "ice40", "gowin", "xilinx"]

SDRAM_BURST = 4
"""Chip words of a word of the port."""

SDRAM_LONGEST = 64
"""Words of a request: at 16 bits a chip word 512 bytes, half a row of the smaller chips."""

SHORT_REQUEST = 16
"""Words of a request to memories on the chip, which could as well be asked for one at a time."""

PAD_DELAY = 2
"""Further registers on the way to an SDRAM and back: in the pads, one each way."""


PAD_OUT_NS, PAD_BACK_NS = (3.0, 5.0), (1.0, 2.0)
"""From the clock at a pad's register to the SDRAM's pin, and from there to where a pad's register
takes it, at least and at most: estimates for an ECP5 and a few centimetres of board."""


def check_capture(chip: SdramChip, clock_hz: float) -> None:
    """Whether words come to the edge that takes them, where the SDRAM's clock is inverted.

    Its edges are half a cycle late; a word is there from its access time after the last of them,
    and until its hold time after the one that it belongs to.

    Raises
    ------
    ValueError
        If they come too late or go too early, by the estimates for the pads.
    """
    cycle_ns = 1e9 / clock_hz
    latest = cycle_ns / 2 + PAD_OUT_NS[1] + chip.access_ns + PAD_BACK_NS[1]
    earliest = cycle_ns / 2 + PAD_OUT_NS[0] + chip.hold_ns + PAD_BACK_NS[0]
    if latest > 2 * cycle_ns or earliest < cycle_ns:
        raise ValueError(
            f"a clock of {clock_hz / 1e6:g} MHz takes the words of an SDRAM with inverted clock "
            f"too early or too late; take one between "
            f"{500 / (PAD_OUT_NS[0] + chip.hold_ns + PAD_BACK_NS[0]):.0f} and "
            f"{1500 / (PAD_OUT_NS[1] + chip.access_ns + PAD_BACK_NS[1]):.0f} MHz"
        )


@dataclass(frozen=True)
class SdramSamples:
    """Samples in the SDRAM beside the FPGA."""

    chip: SdramChip

    @property
    def bytes(self) -> int:
        return self.chip.bytes

    @property
    def read_ahead(self) -> int:
        """Words that hide a batch of refreshes, and the requests before it."""
        return 4 * SDRAM_LONGEST

    def bits_a_cycle(self, config: EngineConfig) -> int:
        """Peak rate."""
        return self.chip.dq_bits

    def build(self, config: EngineConfig, clock_hz: float) -> Sdram:
        check_capture(self.chip, clock_hz)
        return Sdram(self.chip, clock_hz, SDRAM_LONGEST, SDRAM_BURST, PAD_DELAY)

    def __str__(self) -> str:
        return f"{self.bytes >> 20} MiB of SDRAM"


@dataclass(frozen=True)
class BlockSamples:
    """Samples in the FPGA's block RAM, in words as wide as beats."""

    bytes: int

    read_ahead = 4 * SHORT_REQUEST

    def bits_a_cycle(self, config: EngineConfig) -> int:
        return config.beat_bits

    def build(self, config: EngineConfig, clock_hz: float) -> BlockMemory:
        return BlockMemory(config.beat_bits, self.bytes // config.beat_bytes, SHORT_REQUEST)

    def __str__(self) -> str:
        return f"{self.bytes >> 10} KiB of block RAM"


@dataclass(frozen=True)
class SpramSamples:
    """Samples in the large memories of an iCE40 UltraPlus."""

    width: int = 16
    bytes: int = 1 << 17

    read_ahead = 4 * SHORT_REQUEST

    def bits_a_cycle(self, config: EngineConfig) -> int:
        return self.width

    def build(self, config: EngineConfig, clock_hz: float) -> SpramMemory:
        return SpramMemory(self.width, SHORT_REQUEST)

    def __str__(self) -> str:
        return f"{self.bytes >> 10} KiB of SPRAM"


@dataclass(frozen=True, kw_only=True)
class Programmer:
    """The way to a board's FPGA, in the words of openFPGALoader.

    Parameters
    ----------
    name : str
        Its name of the board.
    usb : str
        Vendor and product of the board's USB bridge.
    product : str
        Words of what the bridge calls itself; "" if its maker left it without.
    chip : str
        Its name of the FPGA, or how that begins; "" if there is no JTAG to ask by.
    sram : bool
        Whether the FPGA can be configured directly, without writing the flash that it starts from.
    """

    name: str
    usb: str
    product: str = ""
    chip: str = ""
    sram: bool = True


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board and the device that is built for it.

    Parameters
    ----------
    name : str
        What the command line calls it.
    title : str
    family : str
        Of its FPGA.
    platform : callable
        Its platform of amaranth-boards, a new one a build.
    clock_hz : int
        Clock rate of the device: what place and route must reach at least.
    engine : EngineConfig
    samples : SdramSamples, BlockSamples or SpramSamples
        Where samples are kept.
    programmer : Programmer
    baud : int
        Rate of the UART.
    buffer_bytes : int
        Of the link's receive buffer.
    leds : tuple of (str, int)
        Resources for `hdl.device.lights.Light`, in that order; those that it does not have are
        left out.
    high : tuple of (str, str)
        Resources, and the pin of each that stays high.
    max_area : float
        Share of the FPGA's logic cells that may be used: above it routing gets slow.
    seeds : int
        Seeds that a build tries until one reaches the clock rate.
    first_seed : int
        The first of them, where the router does not end with every one.
    note : str
        What to expect from it, in a few words.
    """

    name: str
    title: str
    family: Family
    platform: Callable[[], Any]
    clock_hz: int
    engine: EngineConfig
    samples: SdramSamples | BlockSamples | SpramSamples
    programmer: Programmer
    baud: int = 3_000_000
    buffer_bytes: int = BUFFER_BYTES
    leds: tuple[tuple[str, int], ...] = tuple(("led", n) for n in range(4))
    high: tuple[tuple[str, str], ...] = ()
    max_area: float = 0.9
    seeds: int = 3
    first_seed: int = 1
    note: str = ""

    def tried(self, seeds: int) -> range:
        """So many seeds of place and route."""
        return range(self.first_seed, self.first_seed + seeds)

    @property
    def train_options(self) -> str:
        """What `zipsgd train` must be told to train for its engine; "" if that is the default.

        Raises
        ------
        ValueError
            If the engine is none of `hdl.contract.presets.ENGINES` with other lanes or banks.
        """
        lanes, banks = self.engine.lanes, self.engine.banks
        for name, base in ENGINES.items():
            if replace(base, lanes=lanes, banks=banks) == self.engine:
                options = [f"--engine {name}"] if base != EngineConfig() else []
                options += [f"--lanes {lanes}"] if lanes != base.lanes else []
                options += [f"--banks {banks}"] if banks != base.banks else []
                return " ".join(options)
        raise ValueError(
            f"{self.name}: its engine has no name; add it to ENGINES of zipsgd.hdl.contract.presets"
        )
