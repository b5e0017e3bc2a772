"""The device's clock from a board's oscillator."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from amaranth.hdl import (
    ClockDomain,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer

ECP5_OSCILLATOR_HZ = (400e6, 800e6)
ECP5_PHASE_DETECTOR_HZ = (10e6, 400e6)
"""Lattice FPGA-DS-02012, ECP5 family data sheet, sysCLOCK PLL timing."""

ICE40_OSCILLATOR_HZ = (533e6, 1066e6)
ICE40_PHASE_DETECTOR_HZ = (10e6, 133e6)
"""Lattice FPGA-DS-02008, iCE40 UltraPlus family data sheet, sysCLOCK PLL timing."""

ICE40_WAIT_S = 15e-6
"""After configuration block RAM reads as zero for some 3 us (icestorm's issue 76); five times that,
as Amaranth waits too."""

ICE40_FILTERS_HZ = (17e6, 26e6, 44e6, 66e6, 101e6)
"""Upper ends of the loop filter's ranges 1 to 5, by the rate at the phase detector, as icepll has
them."""


class NoSuchClockError(ValueError):
    """A PLL cannot make the clock."""


@dataclass(frozen=True)
class Ecp5Divisors:
    """Of a reference, of the clock that is fed back, and of the oscillator."""

    reference: int
    feedback: int
    output: int


@dataclass(frozen=True)
class Ice40Divisors:
    """``reference`` and ``feedback`` divide, ``output`` is a power of two."""

    reference: int
    feedback: int
    output_log2: int


def ecp5_divisors(in_hz: int, out_hz: int) -> Ecp5Divisors:
    """Divisors that make ``out_hz`` exactly; raises `NoSuchClockError` if there are none."""
    for reference, feedback in product(range(1, 129), range(1, 81)):
        if in_hz * feedback != out_hz * reference:
            continue
        if not _within(in_hz / reference, ECP5_PHASE_DETECTOR_HZ):
            continue
        for output in range(1, 129):
            if _within(out_hz * output, ECP5_OSCILLATOR_HZ):
                return Ecp5Divisors(reference, feedback, output)
    raise _no_such_clock(in_hz, out_hz)


def ice40_divisors(in_hz: int, out_hz: int) -> Ice40Divisors:
    """The same for an iCE40 in its simple feedback mode."""
    for reference, output_log2 in product(range(1, 17), range(1, 7)):
        feedback, rest = divmod((out_hz << output_log2) * reference, in_hz)
        if rest or not 1 <= feedback <= 128:
            continue
        if _within(in_hz / reference, ICE40_PHASE_DETECTOR_HZ) and _within(
            out_hz << output_log2, ICE40_OSCILLATOR_HZ
        ):
            return Ice40Divisors(reference, feedback, output_log2)
    raise _no_such_clock(in_hz, out_hz)


def ice40_filter(phase_detector_hz: float) -> int:
    """The loop filter's range."""
    return 1 + sum(phase_detector_hz >= limit for limit in ICE40_FILTERS_HZ)


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _no_such_clock(in_hz: int, out_hz: int) -> NoSuchClockError:
    return NoSuchClockError(
        f"the PLL cannot make {out_hz / 1e6:g} MHz exactly from {in_hz / 1e6:g} MHz; take another "
        "clock_hz, such as a multiple of the oscillator's"
    )


def sync_domain(family: str) -> ClockDomain:
    """The domain that `BoardClock` drives, for the module around it."""
    return ClockDomain("sync", reset_less=family != "ice40")


class BoardClock(Elaboratable):
    """Drives `sync_domain` at a rate that is the oscillator's, or that a PLL makes of it.

    Where the clock can be stopped it starts when it is stable, and registers need no reset: their
    initial values are those of the configuration. On an iCE40, whose block RAM is not readable at
    once either, there is a reset.

    Parameters
    ----------
    family : str
        Of the FPGA.
    clock_hz : int

    Raises
    ------
    NoSuchClockError
        When it is elaborated: if the rate cannot be made exactly.
    """

    def __init__(self, family: str, clock_hz: int) -> None:
        self._family, self._clock_hz = family, clock_hz

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        given = platform.request(platform.default_clk, dir="-")
        in_hz = int(platform.default_clk_frequency)
        if self._family == "ice40":
            self._ice40(m, given, in_hz)
            return m
        m.submodules.buffer = buffer = io.Buffer("i", given)
        if self._clock_hz == in_hz:
            m.d.comb += ClockSignal().eq(buffer.i)
        elif self._family == "ecp5":
            self._ecp5(m, buffer.i, in_hz)
        else:
            raise _no_such_clock(in_hz, self._clock_hz)
        return m

    def _ecp5(self, m: Module, given: Signal, in_hz: int) -> None:
        divisors = ecp5_divisors(in_hz, self._clock_hz)
        made, stable = Signal(), Signal()
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=f"{in_hz / 1e6:g}",
            a_FREQUENCY_PIN_CLKOP=f"{self._clock_hz / 1e6:g}",
            # The loop filter as Lattice's tools set it for all of these rates.
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            p_CLKI_DIV=divisors.reference,
            p_CLKFB_DIV=divisors.feedback,
            p_CLKOP_DIV=divisors.output,
            p_CLKOP_CPHASE=divisors.output - 1,
            p_CLKOP_FPHASE=0,
            p_CLKOP_ENABLE="ENABLED",
            p_FEEDBK_PATH="CLKOP",
            i_CLKI=given,
            i_CLKFB=made,
            i_RST=0,
            i_STDBY=0,
            i_PHASESEL0=0,
            i_PHASESEL1=0,
            i_PHASEDIR=1,
            i_PHASESTEP=1,
            i_PHASELOADREG=1,
            i_PLLWAKESYNC=0,
            i_ENCLKOP=0,
            o_CLKOP=made,
            o_LOCK=stable,
        )
        m.submodules.gate = Instance("DCCA", i_CLKI=made, i_CE=stable, o_CLKO=ClockSignal("sync"))

    def _ice40(self, m: Module, given: io.SingleEndedPort, in_hz: int) -> None:
        stable: Signal | Const = Const(1)
        clock = ClockSignal("begin")
        if self._clock_hz == in_hz:
            m.submodules.buffer = buffer = io.Buffer("i", given)
            m.d.comb += clock.eq(buffer.i)
        else:
            divisors, stable = ice40_divisors(in_hz, self._clock_hz), Signal()
            m.submodules.pll = Instance(
                "SB_PLL40_PAD",
                p_FEEDBACK_PATH="SIMPLE",
                p_DIVR=divisors.reference - 1,
                p_DIVF=divisors.feedback - 1,
                p_DIVQ=divisors.output_log2,
                p_FILTER_RANGE=ice40_filter(in_hz / divisors.reference),
                io_PACKAGEPIN=given.io,
                i_RESETB=1,
                i_BYPASS=0,
                o_PLLOUTGLOBAL=clock,
                o_LOCK=stable,
            )
        m.domains.begin = ClockDomain("begin", reset_less=True, local=True)
        waited = Signal(range(int(ICE40_WAIT_S * self._clock_hz) + 1), init=0)
        ready = Signal()
        m.submodules.stable = FFSynchronizer(stable, locked := Signal(), o_domain="begin")
        with m.If(~locked):
            m.d.begin += waited.eq(0)
        with m.Elif(waited == int(ICE40_WAIT_S * self._clock_hz)):
            m.d.begin += ready.eq(1)
        with m.Else():
            m.d.begin += waited.eq(waited + 1)
        m.d.comb += [ClockSignal("sync").eq(clock), ResetSignal("sync").eq(~ready)]
