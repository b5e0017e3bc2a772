"""A bank of an SDRAM, as its controller knows it."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .chip import SdramTiming
from .pins import SdramCommand


def guard(m: Module, *waits: tuple[Value, int]) -> Value:
    """Whether every event is so many cycles ago: after one in cycle c with a wait of n cycles,
    clear in the cycles from c + 1 to c + n - 1. A register.
    """
    longest = max(cycles for _, cycles in waits) - 1
    if longest < 1:
        return Const(1)
    # As many ones as cycles are left.
    left = Signal(longest)
    following: Value = left >> 1
    for event, cycles in waits:
        following |= Mux(event, (1 << (cycles - 1)) - 1, 0)
    m.d.sync += left.eq(following)
    return ~left[0]


class SdramBank(wiring.Component):
    """Which row is open, and what the bank may be told in this cycle.

    It hears of commands a cycle late, so that many may decide on them: two to the same bank are
    never given in consecutive cycles. Of those to all banks it hears at once.

    Parameters
    ----------
    timing : SdramTiming
    burst : int
        Burst length of the chip.
    row_bits : int

    Members
    -------
    activate, precharge, read, write : In(1)
        The bank was told so a cycle ago.
    kept : In(Command)
        What all banks are being told.
    row : In(row_bits)
        The one that was activated, or is asked about.
    is_open : Out(1)
        A row is open.
    hit : Out(1)
        It was ``row`` a cycle ago.
    can_activate, can_precharge : Out(1)
        Whether the bank has been left alone for long enough. Closed banks may be refreshed, and
        the mode be set, when all of them could be activated.
    """

    def __init__(self, timing: SdramTiming, burst: int, row_bits: int) -> None:
        self._timing, self._burst = timing, burst
        commands = ("activate", "precharge", "read", "write")
        answers = ("is_open", "hit", "can_activate", "can_precharge")
        super().__init__(
            {
                **{name: In(1) for name in commands},
                "kept": In(SdramCommand),
                "row": In(row_bits),
                **{name: Out(1) for name in answers},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing, burst, row = self._timing, self._burst, Signal.like(self.row)
        closes = self.kept == SdramCommand.PRECHARGE
        with m.If(self.precharge | closes):
            m.d.sync += self.is_open.eq(0)
        with m.If(self.activate):
            m.d.sync += [row.eq(self.row), self.is_open.eq(1)]
        m.d.sync += self.hit.eq(self.is_open & (row == self.row))

        late = 1
        kept = (
            (self.kept == SdramCommand.REFRESH, timing.rfc),
            (self.kept == SdramCommand.MODE, timing.mrd),
        )
        closed = (
            *kept,
            (closes, timing.rp),
            (self.precharge, timing.rp - late),
            (self.activate, timing.rc - late),
        )
        used = (
            *kept,
            (self.activate, timing.ras - late),
            (self.read, burst - late),
            (self.write, burst - 1 + timing.wr - late),
        )
        m.d.comb += [
            self.can_activate.eq(guard(m, *closed)),
            self.can_precharge.eq(guard(m, *used)),
        ]
        return m
