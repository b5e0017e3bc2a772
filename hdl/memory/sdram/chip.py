"""SDRAM chips as their data sheets describe them."""

from __future__ import annotations

import math
from dataclasses import dataclass

POSTPONED = 4
"""Refreshes that a controller may owe before it makes up for them."""

LIMITS = ("rcd", "rp", "rc", "ras", "rrd", "rfc", "wr", "mrd")
"""Least times that a data sheet gives in ns, in cycles or in both."""


@dataclass(frozen=True)
class Limit:
    """A least time: so many ns and so many cycles, whichever is longer."""

    ns: float = 0.0
    cycles: int = 1

    def at(self, clock_hz: float) -> int:
        """Cycles of a clock."""
        # A hair less than a cycle too long is the rounding of a decimal fraction.
        return max(self.cycles, math.ceil(self.ns * clock_hz / 1e9 - 1e-6))


@dataclass(frozen=True, kw_only=True)
class SdramTiming:
    """What one command must wait for after another, in clock cycles.

    Parameters
    ----------
    rcd, rp, rc, ras, rrd, rfc, mrd
        The data sheet's tRCD, tRP, tRC, tRAS, tRRD, tRFC and tMRD.
    wr
        tWR: from the last word written to the precharge.
    cas
        CAS latency: from the edge that takes a read to the edge at which its first word is there.
    power_up
        Of stable clock before the first command.
    refresh_window, refresh_rows
        In ``refresh_window`` cycles every one of so many rows must be refreshed.
    """

    rcd: int
    rp: int
    rc: int
    ras: int
    rrd: int
    rfc: int
    wr: int
    mrd: int
    cas: int
    power_up: int
    refresh_window: int
    refresh_rows: int

    @property
    def interval(self) -> int:
        """Cycles from refresh to refresh, such that the last of a window may be late by all that a
        controller may owe and by two intervals: one of a request, one of making up."""
        return self.refresh_window // (self.refresh_rows + POSTPONED + 2)


@dataclass(frozen=True, kw_only=True)
class SdramChip:
    """A single data rate SDRAM of four banks.

    Parameters
    ----------
    source : str
        Where the figures are from.
    dq_bits, row_bits, column_bits : int
    rcd, rp, rc, ras, rrd, rfc, wr, mrd : Limit
        As in `SdramTiming`.
    cas2_hz, cas3_hz : float
        Highest clock rates at a CAS latency of 2 and of 3.
    refresh_ms : float
        Every row is refreshed in this time.
    power_up_us : float
    access_ns, hold_ns : float
        From a clock edge until the next word is there at the latest, and until the last one goes at
        the earliest, at either CAS latency.
    """

    source: str
    dq_bits: int = 16
    row_bits: int = 13
    column_bits: int
    rcd: Limit
    rp: Limit
    rc: Limit
    ras: Limit
    rrd: Limit
    rfc: Limit
    wr: Limit
    mrd: Limit
    cas2_hz: float
    cas3_hz: float
    refresh_ms: float = 64.0
    power_up_us: float = 200.0
    access_ns: float = 6.0
    hold_ns: float = 2.5

    def __post_init__(self) -> None:
        if not 1 <= self.column_bits <= 10 < self.row_bits:
            raise ValueError(
                f"{self.column_bits} bits of columns and {self.row_bits} of rows cannot be "
                "addressed; columns have up to 10, rows 11 or more"
            )

    @property
    def bytes(self) -> int:
        """Capacity."""
        return self.dq_bits * 4 << self.row_bits + self.column_bits >> 3

    def timing(self, clock_hz: float) -> SdramTiming:
        """Its limits in cycles of a clock, with the lower CAS latency that the clock allows.

        Raises
        ------
        ValueError
            If the clock is too fast for the chip.
        """
        if clock_hz > self.cas3_hz:
            raise ValueError(
                f"{clock_hz / 1e6:g} MHz is too fast for this SDRAM, which takes "
                f"{self.cas3_hz / 1e6:g} MHz ({self.source})"
            )
        return SdramTiming(
            **{name: getattr(self, name).at(clock_hz) for name in LIMITS},
            cas=2 if clock_hz <= self.cas2_hz else 3,
            power_up=Limit(ns=self.power_up_us * 1e3).at(clock_hz),
            refresh_window=int(self.refresh_ms * 1e-3 * clock_hz),
            refresh_rows=1 << self.row_bits,
        )


AS4C32M16SB_7 = SdramChip(
    source="Alliance Memory, AS4C32M16SB-7TCN, Rev. 1.0 of June 2016, table 16",
    column_bits=10,
    rcd=Limit(ns=21),
    rp=Limit(ns=21),
    rc=Limit(ns=63),
    ras=Limit(ns=42),
    rrd=Limit(ns=14),
    rfc=Limit(ns=63),
    wr=Limit(ns=14),
    mrd=Limit(ns=14),
    cas2_hz=100e6,
    cas3_hz=143e6,
)
"""64 MiB: ULX3S."""

IS42S16160G_7 = SdramChip(
    source="ISSI, IS42S16160B, Rev. D of July 2008, -7; slower where others are",
    column_bits=9,
    rcd=Limit(ns=20),
    rp=Limit(ns=20),
    rc=Limit(ns=67.5),
    ras=Limit(ns=45),
    rrd=Limit(ns=15),
    rfc=Limit(ns=70),
    wr=Limit(ns=20, cycles=2),
    mrd=Limit(ns=15, cycles=2),
    cas2_hz=100e6,
    cas3_hz=143e6,
)
"""32 MiB: ULX3S and iCESugar-Pro (there as IS42S16160B).

Of the data sheet only the first page was seen, with clock rates and refresh window. tRCD, tRP, tRC
and tRAS are its -7 as two public controllers for Terasic boards quote it; they agree. Of the others
the slowest is taken: tRRD and tMRD of those two, tRFC and tWR of LiteDRAM (theirs are 67.5 and 14
ns). The later G is quoted as faster (tRCD and tRP 15 ns, tRC 60 ns, tRAS 37 ns)."""

W9825G6KH_6 = SdramChip(
    source="Winbond, W9825G6JH, Rev. A04 of November 2011, section 9.5, -6L",
    column_bits=9,
    rcd=Limit(ns=18),
    rp=Limit(ns=18),
    rc=Limit(ns=60),
    ras=Limit(ns=42),
    rrd=Limit(cycles=2),
    rfc=Limit(ns=60),
    wr=Limit(ns=15, cycles=2),
    mrd=Limit(cycles=2),
    cas2_hz=100e6,
    cas3_hz=166e6,
)
"""32 MiB: ULX3S and IcePi Zero.

The data sheet is that of the version before; the KH's own was not seen. Its grade -6L is slower
than the -6 that LiteDRAM has for the KH (tRCD and tRP 15 ns, 133 MHz at a CAS latency of 2).
tRFC is its tRC, which counts refreshes too. tWR is two cycles there and 15 ns in LiteDRAM: the
longer."""


def any_of(*chips: SdramChip) -> SdramChip:
    """A chip that is as slow and as small in every way as any of ``chips`` is: for a board that
    comes with one or the other.

    Raises
    ------
    ValueError
        If they differ in what a controller cannot leave unused.
    """
    first = chips[0]
    for name in ("dq_bits", "row_bits"):
        if len({getattr(chip, name) for chip in chips}) > 1:
            raise ValueError(f"{name} differs: {', '.join(chip.source for chip in chips)}")

    def slowest(name: str) -> Limit:
        limits = [getattr(chip, name) for chip in chips]
        return Limit(
            ns=max(limit.ns for limit in limits), cycles=max(limit.cycles for limit in limits)
        )

    return SdramChip(
        source="any of: " + "; ".join(chip.source for chip in chips),
        dq_bits=first.dq_bits,
        row_bits=first.row_bits,
        column_bits=min(chip.column_bits for chip in chips),
        **{name: slowest(name) for name in LIMITS},
        cas2_hz=min(chip.cas2_hz for chip in chips),
        cas3_hz=min(chip.cas3_hz for chip in chips),
        refresh_ms=min(chip.refresh_ms for chip in chips),
        power_up_us=max(chip.power_up_us for chip in chips),
        access_ns=max(chip.access_ns for chip in chips),
        hold_ns=min(chip.hold_ns for chip in chips),
    )


CHIPS = {
    "AS4C32M16SB-7": AS4C32M16SB_7,
    "IS42S16160G-7": IS42S16160G_7,
    "W9825G6KH-6": W9825G6KH_6,
}
