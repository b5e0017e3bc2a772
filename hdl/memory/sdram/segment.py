"""Parts of requests that lie in one row of an SDRAM."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..interface import MemorySignature, request_layout
from .pins import BANK_BITS


def place_layout(column_bits: int, row_bits: int) -> data.StructLayout:
    """An address: consecutive rows lie in different banks."""
    return data.StructLayout({"column": column_bits, "bank": BANK_BITS, "row": row_bits})


def segment_layout(column_bits: int, row_bits: int, longest: int) -> data.StructLayout:
    """``length`` words from ``place`` on, all in one row; they are written if ``write``."""
    place = place_layout(column_bits, row_bits)
    return data.StructLayout({"place": place, "length": range(longest + 1), "write": 1})


class Splitter(wiring.Component):
    """Cuts requests where rows end.

    Latency: 3 cycles. Throughput: a request in 4 cycles, 3 more for each end of a row in it.
    Back-pressure: the streams' own.

    Parameters
    ----------
    port : MemorySignature
        Whose requests.
    column_bits : int
        Words of a row are numbered with so many bits.

    Members
    -------
    i : In(stream of request_layout)
    o : Out(stream of segment_layout)
    empty : Out(1)
    """

    def __init__(self, port: MemorySignature, column_bits: int) -> None:
        row_bits = port.address_bits - BANK_BITS - column_bits
        self._place = place_layout(column_bits, row_bits)
        segment = segment_layout(column_bits, row_bits, port.longest)
        super().__init__(
            {
                "i": In(stream.Signature(request_layout(port.address_bits, port.longest))),
                "o": Out(stream.Signature(segment)),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request, holds, measured = Signal.like(self.i.payload), Signal(), Signal()
        place, segment = data.View(self._place, request.address), self.o.payload
        row_words = 1 << len(place.column)
        to_row_end, crosses = Signal(range(row_words + 1)), Signal()
        m.d.comb += [self.i.ready.eq(~holds), self.empty.eq(~holds & ~self.o.valid)]
        m.d.sync += [
            to_row_end.eq(row_words - place.column),
            crosses.eq(place.column + request.length > row_words),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(~holds):
            m.d.sync += [request.eq(self.i.payload), holds.eq(self.i.valid), measured.eq(0)]
        with m.Elif(~measured):
            m.d.sync += measured.eq(1)
        with m.Elif(~self.o.valid):
            following_row = Cat(place.bank, place.row) + 1
            m.d.sync += [
                segment.place.eq(place),
                segment.length.eq(Mux(crosses, to_row_end, request.length)),
                segment.write.eq(request.write),
                self.o.valid.eq(1),
                place.column.eq(0),
                Cat(place.bank, place.row).eq(following_row),
                request.length.eq(request.length - to_row_end),
                holds.eq(crosses),
                measured.eq(0),
            ]
        return m
