"""The device's clock from a board's oscillator."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Instance, Module, Signal
from amaranth.lib import io

ECP5_OSCILLATOR_HZ = (400e6, 800e6)
ECP5_PHASE_DETECTOR_HZ = (10e6, 400e6)
"""Lattice FPGA-DS-02012, ECP5 family data sheet, sysCLOCK PLL timing."""


class NoSuchClockError(ValueError):
    """A PLL cannot make the clock."""


@dataclass(frozen=True)
class Ecp5Divisors:
    """Of a reference, of the clock that is fed back, and of the oscillator."""

    reference: int
    feedback: int
    output: int


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


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def _no_such_clock(in_hz: int, out_hz: int) -> NoSuchClockError:
    return NoSuchClockError(
        f"the PLL cannot make {out_hz / 1e6:g} MHz exactly from {in_hz / 1e6:g} MHz; take another "
        "clock_hz, such as a multiple of the oscillator's"
    )


def sync_domain() -> ClockDomain:
    """The domain that `BoardClock` drives, for the module around it."""
    return ClockDomain("sync", reset_less=True)


class BoardClock(Elaboratable):
    """Drives `sync_domain` at a rate that is the oscillator's, or that a PLL makes of it.

    There is no reset: registers begin as the configuration leaves them, and a clock that a PLL
    makes begins when it is stable. An iCE40's block RAM reads as zero for some 3 us after
    configuration (icestorm's issue 76); nothing reads it before a frame has come, which takes
    longer.

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
