"""SDRAM chips of the tests, and the controllers for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hdl.memory.sdram import Sdram
from hdl.memory.sdram_chip import AS4C32M16SB_7, CHIPS, SdramChip, SdramTiming

POWER_UP = 60
"""Cycles instead of the 20,000 or more of a real start."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A chip, and how it is used."""

    chip: SdramChip
    timing: SdramTiming
    burst: int
    longest: int
    pin_delay: int = 0

    def controller(self) -> Sdram:
        return Sdram(
            self.chip,
            0.0,
            self.longest,
            burst=self.burst,
            pin_delay=self.pin_delay,
            timing=self.timing,
        )


def real(name: str, clock_hz: float, burst: int, longest: int, pin_delay: int = 0) -> Case:
    timing = replace(CHIPS[name].timing(clock_hz), power_up=POWER_UP)
    return Case(chip=CHIPS[name], timing=timing, burst=burst, longest=longest, pin_delay=pin_delay)


SLOW = SdramTiming(
    rcd=4,
    rp=4,
    rc=18,
    ras=10,
    rrd=10,
    rfc=11,
    wr=5,
    mrd=5,
    cas=3,
    power_up=POWER_UP,
    refresh_window=1400,
    refresh_rows=8,
)
"""A chip that is slow in every way, such that each limit is what a command waits for somewhere."""

CASES = (
    Case(chip=replace(AS4C32M16SB_7, row_bits=11, column_bits=5), timing=SLOW, burst=4, longest=16),
    real("AS4C32M16SB-7", 133e6, burst=4, longest=64),
    real("W9825G6KH-6", 100e6, burst=8, longest=32, pin_delay=2),
    real("IS42S16160G-7", 133e6, burst=2, longest=128),
)
