# amaranth: UnusedElaboratable=no
"""SDRAM chips of the tests, and the controllers for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from zipsgd.hdl.memory.plan import plan_layout
from zipsgd.hdl.memory.reader import SampleReader
from zipsgd.hdl.memory.sdram.chip import AS4C32M16SB_7, CHIPS, SdramChip, SdramTiming
from zipsgd.hdl.memory.sdram.controller import Sdram

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


class SdramReader(wiring.Component):
    """A sample reader on an SDRAM, as in a device."""

    def __init__(self, case: Case, beat_bits: int, depth: int) -> None:
        self._sdram = case.controller()
        port = self._sdram.port.signature.flip()
        self._reader = SampleReader(port, beat_bits, depth)
        super().__init__(
            {
                "job": In(stream.Signature(plan_layout(port.address_bits))),
                "beats": Out(stream.Signature(beat_bits)),
                "stop": In(1),
                "pins": Out(self._sdram.pins.signature),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.sdram = sdram = self._sdram
        m.submodules.reader = reader = self._reader
        wiring.connect(m, reader.port, sdram.port)
        wiring.connect(m, wiring.flipped(self.job), reader.job)
        wiring.connect(m, reader.beats, wiring.flipped(self.beats))
        wiring.connect(m, sdram.pins, wiring.flipped(self.pins))
        m.d.comb += reader.stop.eq(self.stop)
        return m
