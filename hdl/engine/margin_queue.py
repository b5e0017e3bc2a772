"""Margins on their way out of the engine."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..lib.arith import delay

MARGIN_DEPTH = 16
"""Groups of margins that wait to be taken before the stream has to; a power of two."""


class MarginQueue(wiring.Component):
    """First in, first out, for margins that come groups apart::

        z -> [memory] -> [its output register] -> o

    The slot controller lets no group start for whose margins there is no room by then: nothing here
    refuses them. What leaves is held by the memory's output register alone, so that one register
    moves all its bits.

    Latency: 4 cycles from ``z`` to ``o``, 3 in a slow engine. Throughput: a group every other
    cycle, which is more than come. Back-pressure: of ``o``.

    Members
    -------
    z : In(ArrayLayout(signed(model_bits), banks))
    arrives : In(1)
        With ``z``.
    drop : In(1)
        Forget group after group; none is offered.
    o : Out(stream of the same)
    level : Out(range(MARGIN_DEPTH + 1))
        Groups in the memory, two cycles ago at most.
    empty : Out(1)
        No group is inside.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        margins = data.ArrayLayout(signed(config.model_bits), config.banks)
        super().__init__(
            {
                "z": In(margins),
                "arrives": In(1),
                "drop": In(1),
                "o": Out(stream.Signature(margins)),
                "level": Out(range(MARGIN_DEPTH + 1)),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        store = memory.Memory(shape=self.z.shape(), depth=MARGIN_DEPTH, init=[])
        m.submodules.memory = store
        write, read = store.write_port(), store.read_port()
        shown, waits, leaves, written = Signal(), Signal(), Signal(), Signal()
        way = int(not self._config.area_optimised)
        arrives = delay(m, self.arrives, way)
        m.d.comb += [
            leaves.eq(waits & ~shown),
            read.en.eq(~shown),
            write.en.eq(arrives),
            write.data.eq(delay(m, self.z, way)),
            self.o.payload.eq(read.data),
            self.o.valid.eq(shown & ~self.drop),
            self.empty.eq(~(arrives | written | shown) & (self.level == 0)),
        ]
        m.d.sync += [
            written.eq(arrives),
            write.addr.eq(write.addr + arrives),
            read.addr.eq(read.addr + leaves),
            self.level.eq(self.level + written - leaves),
            # False for a cycle where it might be true: then the next one is offered a cycle later.
            waits.eq(((self.level != 0) & ~leaves) | written),
        ]
        with m.If(shown):
            m.d.sync += shown.eq(~(self.o.ready | self.drop))
        with m.Else():
            m.d.sync += shown.eq(leaves)
        return m
