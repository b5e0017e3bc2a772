"""iCEBreaker of 1BitSquared: an iCE40UP5K and an FTDI USB bridge.

Its pins: `amaranth_boards.icebreaker`.
"""

from __future__ import annotations

from typing import Any

from zipsgd.hdl.contract.presets import ENGINES

from .description import Board, Programmer, SpramSamples


def _platform() -> Any:
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    return ICEBreakerPlatform()


ICEBREAKER = Board(
    name="icebreaker",
    title="iCEBreaker with iCE40UP5K",
    family="ice40",
    platform=_platform,
    clock_hz=12_000_000,
    engine=ENGINES["tiny"],
    samples=SpramSamples(width=8),  # that of a beat: no gearbox
    buffer_bytes=2048,
    # Its jumpers, as delivered, lead from USB to the flash.
    programmer=Programmer(name="ice40_generic", usb="0403:6010", product="iCEBreaker", sram=False),
    baud=1_000_000,
    leds=(("led", 0), ("led", 1)),
    max_area=0.99,
    first_seed=3,  # with seeds 1 and 2 two wires stay where one has room
    note="for study: least squares on 128 KiB of samples",
)
