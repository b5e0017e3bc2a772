"""A stream that is cut by registers."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class SkidBuffer(wiring.Component):
    """Passes a stream on so that no path leads through it, in either direction.

    Latency: 1 cycle. Throughput: an item a cycle. Back-pressure: of ``o``; two items wait inside.

    Parameters
    ----------
    shape : ShapeLike
        Of an item.

    Members
    -------
    i : In(stream of shape)
    o : Out(stream of shape)
    clear : In(1)
        Forget what is inside, and what comes in this cycle.
    """

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spare, holds = Signal.like(self.i.payload), Signal()
        m.d.comb += self.i.ready.eq(~holds)
        with m.If(~holds):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [self.o.valid.eq(holds | self.i.valid), holds.eq(0)]
            with m.If(holds):
                m.d.sync += self.o.payload.eq(spare)
            with m.Else():
                m.d.sync += self.o.payload.eq(self.i.payload)
        with m.Elif(self.i.valid):
            m.d.sync += holds.eq(1)
        with m.If(self.clear):
            m.d.sync += [self.o.valid.eq(0), holds.eq(0)]
        return m


def buffered(m: Module, name: str, source: Any, *, needed: bool, clear: Value | int = 0) -> Any:
    """``source`` behind a `SkidBuffer`, a submodule ``name``, if one is ``needed``."""
    if not needed:
        return source
    m.submodules[name] = buffer = SkidBuffer(source.payload.shape())
    wiring.connect(m, source, buffer.i)
    m.d.comb += buffer.clear.eq(clear)
    return buffer.o
