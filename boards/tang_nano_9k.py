"""Tang Nano 9K of Sipeed: a Gowin GW1NR-9C and a USB bridge.

Its pins: `amaranth_boards.tang_nano_9k`.
"""

from __future__ import annotations

from typing import Any

from zipsgd.hdl.contract.presets import ENGINES

from .description import BlockSamples, Board, Programmer


def _platform() -> Any:
    from amaranth_boards.tang_nano_9k import TangNano9kPlatform

    return TangNano9kPlatform()


TANG_NANO_9K = Board(
    name="tang-nano-9k",
    title="Tang Nano 9K with GW1NR-9C",
    family="gowin",
    platform=_platform,
    # Its oscillator's own.
    clock_hz=27_000_000,
    engine=ENGINES["small"],
    samples=BlockSamples(1 << 14),
    programmer=Programmer(
        name="tangnano9k", usb="0403:6010", product="JTAG Debugger", chip="GW1N(R)-9C"
    ),
    baud=1_000_000,
    leds=tuple(("led", number) for number in range(4)),
    note="for study: least squares on 16 KiB of samples",
)
