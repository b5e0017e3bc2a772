"""Random bits for stochastic rounding."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.generators import RANDOM_WORD_BITS, SEED_BITS, XORSHIFT_TRIPLE, generator_constant
from ..lib.arith import delay, fanout_chain


class RandomSource(wiring.Component):
    """Disjoint fields of 64-bit xorshift generators; every draw replaces all bits.

    A generator's state is its output word (Marsaglia, Xorshift RNGs, 2003). Twin:
    `sim.golden.GoldenRandom`, which says in which order the engine draws.

    Latency: ``fields`` show the first draw `HANDS` + 1 cycles after ``restart`` at the latest; each
    ``draw`` shows the next one two cycles later. Throughput: one draw a cycle.

    Parameters
    ----------
    fields : int
        Fields a draw, each of ``field_bits`` bits.
    first : int
        Index of the first generator: sources of one engine use different ones.

    Members
    -------
    seed : In(SEED_BITS)
        Still there `HANDS` cycles after ``restart``.
    restart : In(1)
        Seed every generator, no more than once in `HANDS` cycles and with no draw among them.
    draw : In(1)
        The fields of the next cycle are the last that show the present draw.
    fields : Out(ArrayLayout(field_bits, fields))
    """

    def __init__(self, config: EngineConfig, fields: int, first: int) -> None:
        self._config, self._first = config, first
        super().__init__(
            {
                "seed": In(SEED_BITS),
                "restart": In(1),
                "draw": In(1),
                "fields": Out(data.ArrayLayout(config.field_bits, fields)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width, count = self._config.field_bits, self.fields.shape().length
        # The first draw is long after the start, which has time to go from one generator to the
        # next.
        generators = self._config.generators(count)
        starting = fanout_chain(m, self.restart, generators, sharing=1)
        before, seed = (
            self.restart,
            self.seed if self._config.area_optimised else delay(m, self.seed, 1),
        )
        fields = []
        for index, starts in enumerate(starting):
            if index and starts is not starting[index - 1]:
                before = starting[index - 1]
            # A register, because all bits of the state hang on it.
            changes = Signal(init=index % 2, name=f"changes_{index}")
            m.d.sync += changes.eq(self.draw | before)
            constant = generator_constant(self._first + index)
            # `hdl.engine.lean_update` adds the complement, which is kept then: it costs no
            # inverters.
            kept_as = (1 << RANDOM_WORD_BITS) - 1 if self._config.is_lean else 0
            kept = Signal(RANDOM_WORD_BITS, init=constant ^ kept_as, name=f"state_{index}")
            state = (kept ^ kept_as)[:RANDOM_WORD_BITS]
            begun, following = constant ^ seed ^ kept_as, _xorshift(state) ^ kept_as
            seeded, fixed = kept[:SEED_BITS], kept[SEED_BITS:]
            with m.If(changes):
                m.d.sync += seeded.eq(Mux(starts, begun[:SEED_BITS], following[:SEED_BITS]))
            # What no seed reaches begins as a constant: a reset, with nothing before its wire.
            with m.If(starts):
                m.d.sync += fixed.eq((constant ^ kept_as) >> SEED_BITS)
            with m.Elif(changes):
                m.d.sync += fixed.eq(following[SEED_BITS:])
            fields += [state.word_select(n, width) for n in range(self._config.fields_per_word)]
        m.d.comb += self.fields.eq(Cat(fields[:count]))
        return m


def _xorshift(state: Value) -> Value:
    left, right, again = XORSHIFT_TRIPLE
    word = state ^ (state << left)[:RANDOM_WORD_BITS]
    word = word ^ (word >> right)
    return word ^ (word << again)[:RANDOM_WORD_BITS]
