"""Words of one width as words of another."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Gearbox(wiring.Component):
    """Joins words to wider ones or cuts them into narrower ones, least significant part first.

    Latency: 1 cycle from the word that completes an item to the item; none if the widths are equal.
    Throughput: whichever side is narrower moves a word a cycle. Back-pressure: the streams' own.

    Parameters
    ----------
    width_in, width_out : int
        Bits of a word; one must be a multiple of the other.

    Members
    -------
    i : In(stream of width_in)
    o : Out(stream of width_out)
    cut : In(1)
        The word on ``o`` is the last of the wider one it comes from: drop the rest. Of no effect if
        words are joined.
    clear : In(1)
        Drop what is inside; ``i`` must rest.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        narrow, wide = sorted((width_in, width_out))
        if narrow < 1 or wide % narrow:
            raise ValueError(
                f"a gearbox from {width_in} to {width_out} bits is impossible; one width must be "
                "a multiple of the other"
            )
        self._width_in, self._width_out, self._parts = width_in, width_out, wide // narrow
        super().__init__(
            {
                "i": In(stream.Signature(width_in)),
                "o": Out(stream.Signature(width_out)),
                "cut": In(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self._parts == 1:
            wiring.connect(m, wiring.flipped(self.i), wiring.flipped(self.o))
        elif self._width_in < self._width_out:
            self._join(m)
        else:
            self._divide(m)
        return m

    def _join(self, m: Module) -> None:
        parts = Signal(self._width_out)
        # Where the next part's coming shows: a one moves up, and is out when all parts are there.
        filled = Signal(self._parts + 1, init=1)
        m.d.comb += [
            self.o.payload.eq(parts),
            self.o.valid.eq(filled[-1]),
            self.i.ready.eq(~self.o.valid | self.o.ready),
        ]
        with m.If(self.i.ready):
            with m.If(self.i.valid):
                m.d.sync += [
                    parts.eq(Cat(parts[self._width_in :], self.i.payload)),
                    filled.eq(Mux(self.o.valid, 2, filled << 1)),
                ]
            with m.Elif(self.o.valid):
                m.d.sync += filled.eq(1)
        with m.If(self.clear):
            m.d.sync += filled.eq(1)

    def _divide(self, m: Module) -> None:
        rest = Signal(self._width_in)
        left = Signal(self._parts)
        """As many ones as parts are left."""
        m.d.comb += [
            self.o.payload.eq(rest[: self._width_out]),
            self.o.valid.eq(left[0]),
            self.i.ready.eq(~left[0] | (self.o.ready & (self.cut | ~left[1]))),
        ]
        with m.If(self.i.ready):
            m.d.sync += [rest.eq(self.i.payload), left.eq(Mux(self.i.valid, -1, 0))]
        with m.Elif(self.o.ready):
            m.d.sync += [rest.eq(rest[self._width_out :]), left.eq(left >> 1)]
        with m.If(self.clear):
            m.d.sync += left.eq(0)
