"""When words of an SDRAM's open row are moved."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .bank import guard
from .chip import SdramTiming

TURN = 1
"""Cycles between a word that the chip drives and one that the controller drives."""


class BurstMover(wiring.Component):
    """Reads or writes segments whose row is open, a burst after the other.

    Latency: 1 cycle from a segment to its first burst. Throughput: a burst in ``burst`` cycles,
    also from one segment to the next; ``cas + TURN`` more from a read to a write. Back-pressure:
    a segment is taken when the last one is done.

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
    word : In(1)
        There is a word to write.
    read, write : Out(1)
        The chip is told to, at ``place``.
    place : Out(place_layout)
    active : Out(1)
        A segment is inside.
    """

    def __init__(self, timing: SdramTiming, burst: int, segment: data.StructLayout) -> None:
        self._timing, self._burst = timing, burst
        super().__init__(
            {
                "i": In(stream.Signature(segment)),
                "word": In(1),
                "read": Out(1),
                "write": Out(1),
                "place": Out(segment["place"].shape),
                "active": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        present, moves = Signal.like(self.i.payload), Signal()
        spaced = guard(m, (moves, self._burst))
        turned = guard(m, (self.read, self._timing.cas + self._burst + TURN))
        may = self.active & spaced
        m.d.comb += [
            self.i.ready.eq(~self.active),
            self.read.eq(may & ~present.write),
            self.write.eq(may & present.write & turned & self.word),
            self.place.eq(present.place),
            moves.eq(self.read | self.write),
        ]
        with m.If(moves):
            m.d.sync += [
                present.place.column.eq(present.place.column + 1),
                present.length.eq(present.length - 1),
                self.active.eq(present.length != 1),
            ]
        with m.If(~self.active):
            m.d.sync += [present.eq(self.i.payload), self.active.eq(self.i.valid)]
        return m
