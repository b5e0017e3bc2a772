"""ULX3S of Radiona: an ECP5 with 16-bit SDRAM and an FTDI USB bridge.

Its pins: `amaranth_boards.ulx3s`; its schematics: github.com/emard/ulx3s.
"""

from __future__ import annotations

from typing import Any

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.hdl.memory.sdram.chip import AS4C32M16SB_7, IS42S16160G_7, W9825G6KH_6, any_of

from .description import BlockSamples, Board, Programmer, SdramSamples

CLOCK_HZ = 100_000_000


def _platform() -> Any:
    from amaranth_boards.ulx3s import ULX3S_85F_Platform

    return ULX3S_85F_Platform()


# Batches of the board came with one or another of these.
SDRAM = SdramSamples(any_of(AS4C32M16SB_7, IS42S16160G_7, W9825G6KH_6))

PROGRAMMER = Programmer(name="ulx3s", usb="0403:6015", product="ULX3S FPGA 85K", chip="LFE5U-85")

# Low, the ESP32 beside the FPGA would restart the board.
HIGH = (("esp32", "gpio0"),)

ULX3S_85F = Board(
    name="ulx3s-85f",
    title="ULX3S with LFE5U-85F",
    family="ecp5",
    platform=_platform,
    clock_hz=CLOCK_HZ,
    engine=EngineConfig(lanes=16, banks=1),
    samples=SDRAM,
    programmer=PROGRAMMER,
    high=HIGH,
    note="large data sets: a beat is as wide as the SDRAM",
)

ULX3S_85F_WIDE = Board(
    name="ulx3s-85f-wide",
    title="ULX3S with LFE5U-85F, samples in block RAM",
    family="ecp5",
    platform=_platform,
    clock_hz=CLOCK_HZ,
    engine=ENGINES["wide"],
    samples=BlockSamples(1 << 17),
    programmer=PROGRAMMER,
    high=HIGH,
    note="small data sets as fast as the engine takes them; least squares, an 18-bit model",
)
