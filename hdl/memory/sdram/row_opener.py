"""Rows of an SDRAM are opened before they are needed."""

from __future__ import annotations

from functools import reduce
from operator import and_

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bank import SdramBank, guard
from .chip import SdramTiming
from .pins import BANK_BITS, SdramCommand


class RowOpener(wiring.Component):
    """Opens the row of the next segment while the present one is being moved.

    A row of another bank is closed and opened beside the present segment; one of the same bank has
    to wait for its end. Moves of words go first. While it is held, because of a refresh, it tells
    the chip nothing, and afterwards it looks again what is open.

    Latency: 3 cycles if the row is open, else what the chip's limits ask for, to the cycle.
    Throughput: a segment in 5 cycles. Back-pressure: ``o``'s.

    Parameters
    ----------
    timing : SdramTiming
    burst : int
        Burst length of the chip.
    segment : StructLayout
        `hdl.memory.sdram.segment.segment_layout`.

    Members
    -------
    i : In(stream of segment_layout)
    o : Out(stream of segment_layout)
        Its row is open, and can be accessed from the next cycle on.
    empty : Out(1)
        No segment is inside.
    hold : In(1)
    kept : In(Command)
        What the refresher tells all banks.
    active : In(1)
        The present segment is being moved.
    bank : In(BANK_BITS)
        Its bank.
    read, write : In(1)
        The chip is told to, of that bank.
    activate, precharge : Out(1)
        The chip is told to, of ``place``.
    place : Out(place_layout)
    can_precharge, can_activate : Out(1)
        Of all banks.
    """

    def __init__(self, timing: SdramTiming, burst: int, segment: data.StructLayout) -> None:
        self._timing, self._burst = timing, burst
        flags_in = ("hold", "active", "read", "write")
        flags_out = ("empty", "activate", "precharge", "can_precharge", "can_activate")
        super().__init__(
            {
                "i": In(stream.Signature(segment)),
                "o": Out(stream.Signature(segment)),
                **{name: In(1) for name in flags_in},
                "kept": In(SdramCommand),
                "bank": In(BANK_BITS),
                "place": Out(segment["place"].shape),
                **{name: Out(1) for name in flags_out},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        banks = self._connect_banks(m)
        segment, bank = self.o.payload, self.o.payload.place.bank
        apart = guard(m, (self.activate, self._timing.rrd))
        accessible = guard(m, (self.activate, self._timing.rcd - 1))
        may_close, may_open, moves = Signal(), Signal(), self.read | self.write
        was_active = Signal()
        m.d.sync += was_active.eq(self.active)
        m.d.comb += [
            may_close.eq(
                Array(each.can_precharge for each in banks)[bank]
                & (~was_active | (self.bank != bank))
            ),
            may_open.eq(Array(each.can_activate for each in banks)[bank] & apart),
            self.place.eq(segment.place),
        ]
        with m.FSM():
            with m.State("EMPTY"):
                m.d.comb += [self.empty.eq(1), self.i.ready.eq(1)]
                m.d.sync += segment.eq(self.i.payload)
                with m.If(self.i.valid):
                    m.next = "LOOK"
            with m.State("LOOK"):
                with m.If(~self.hold):
                    m.next = "CHOOSE"
            with m.State("CHOOSE"):
                m.next = "OPEN"
                with m.If(Array(each.is_open for each in banks)[bank]):
                    m.next = "CLOSE"
                with m.If(Array(each.hit for each in banks)[bank]):
                    m.next = "WAIT"
            with m.State("CLOSE"):
                with m.If(self.hold):
                    m.next = "LOOK"
                with m.Elif(may_close & ~moves):
                    m.d.comb += self.precharge.eq(1)
                    m.next = "CLOSED"
            with m.State("CLOSED"):  # which the bank hears now
                m.next = "OPEN"
            with m.State("OPEN"):
                with m.If(self.hold):
                    m.next = "LOOK"
                with m.Elif(may_open & ~moves):
                    m.d.comb += self.activate.eq(1)
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += self.o.valid.eq(~self.hold & accessible)
                with m.If(self.hold):
                    m.next = "LOOK"
                with m.Elif(self.o.valid & self.o.ready):
                    m.next = "EMPTY"
        return m

    def _connect_banks(self, m: Module) -> list[SdramBank]:
        """Each bank hears what it is told; they answer about the segment's row."""
        place = self.o.payload.place
        banks = []
        for number in range(1 << BANK_BITS):
            bank = SdramBank(self._timing, self._burst, len(place.row))
            m.submodules[f"bank_{number}"] = bank
            banks.append(bank)
            opens, moves = place.bank == number, self.bank == number
            m.d.comb += [bank.row.eq(place.row), bank.kept.eq(self.kept)]
            m.d.sync += [
                bank.activate.eq(self.activate & opens),
                bank.precharge.eq(self.precharge & opens),
                bank.read.eq(self.read & moves),
                bank.write.eq(self.write & moves),
            ]
        m.d.comb += [
            self.can_precharge.eq(reduce(and_, (bank.can_precharge for bank in banks))),
            self.can_activate.eq(reduce(and_, (bank.can_activate for bank in banks))),
        ]
        return banks
