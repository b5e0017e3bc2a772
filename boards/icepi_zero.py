"""IcePi Zero: a small board with LFE5U-25F and 16-bit SDRAM.

Its pins: `amaranth_boards.icepi_zero`.
"""

from __future__ import annotations

from typing import Any

from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.hdl.memory.sdram.chip import W9825G6KH_6

from .description import Board, Programmer, SdramSamples


def _platform() -> Any:
    from amaranth_boards.icepi_zero import IcepiZero1_3Platform

    return IcepiZero1_3Platform()


ICEPI_ZERO = Board(
    name="icepi-zero",
    title="IcePi Zero 1.3 with LFE5U-25F",
    family="ecp5",
    platform=_platform,
    clock_hz=80_000_000,
    engine=ENGINES["medium"],  # the FPGA has 28 multipliers
    samples=SdramSamples(W9825G6KH_6),
    programmer=Programmer(name="icepi-zero", usb="0403:6015", chip="LFE5U-25"),
    note="as fast as the ULX3S but for its clock; an 18-bit model, no sums of losses",
)
