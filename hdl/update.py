"""Model update."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arith import delay, handed_on, sum_tree
from .config import EngineConfig, tree_latency
from .formats import COARSE_BITS, THRESHOLD_BITS
from .protocol import row_layout

COUNT_LEVELS = 2
"""Levels of the adder tree that counts saturations between registers."""


def count_latency(config: EngineConfig) -> int:
    """Cycles from a row to the number of its saturations."""
    return tree_latency(config.lanes, COUNT_LEVELS)


class Update(wiring.Component):
    """X_j <- saturate(soft_threshold(X_j - round_stochastic(G_j))) for the features of a chunk::

        1: [(sums - terms) >> drop] -> step   2: [down - step]   3: [select, saturate]
           [acc -, + threshold] -> down, up      [up - step]

    ``sums`` carry the dither, so dropping bits rounds stochastically. Twin: `update` in
    `sim.golden`.

    Latency: ``UPDATE_LATENCY``; ``saturations`` come `count_latency` cycles after ``o_valid``.
    Throughput: a chunk a cycle. Overflow: saturates and counts.

    Members
    -------
    model_drop : In(range(COARSE_BITS + 1))
        Low bits of the model that stay zero.
    i_valid : In(1)
    sums : In(ArrayLayout(signed(dithered_bits), lanes))
    terms : In(ArrayLayout(signed(correction_bits), lanes))
    threshold : In(THRESHOLD_BITS + 1)
        Soft threshold; belongs to ``sums``.
    regularised : In(lanes)
        Lanes on which it acts; belongs to ``sums``.
    acc : In(row_layout)
        Model words from the accumulating copy; belong to ``sums``.
    row : Out(row_layout)
    o_valid : Out(1)
    saturations : Out(range(lanes + 1))
        Zero unless ``o_valid`` was set then.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        lanes = config.lanes
        super().__init__(
            {
                "model_drop": In(range(COARSE_BITS + 1)),
                "i_valid": In(1),
                "sums": In(data.ArrayLayout(signed(config.dithered_bits), lanes)),
                "terms": In(data.ArrayLayout(signed(config.correction_bits), lanes)),
                "threshold": In(THRESHOLD_BITS + 1),
                "regularised": In(lanes),
                "acc": In(row_layout(config)),
                "row": Out(row_layout(config)),
                "o_valid": Out(1),
                "saturations": Out(range(lanes + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        valid = [self.i_valid]
        for _ in range(3):
            valid.append(Signal(name=f"valid_{len(valid)}"))
            m.d.sync += valid[-1].eq(valid[-2])
        m.d.comb += self.o_valid.eq(valid[3])
        grid = Signal(signed(COARSE_BITS + 1), init=-1)
        m.d.sync += grid.eq(-(1 << self.model_drop))

        grids = handed_on(m, grid, config.lanes)
        flags = [self._lane(m, lane, grids[lane], valid[2]) for lane in range(config.lanes)]
        m.d.comb += self.saturations.eq(sum_tree(m, flags, COUNT_LEVELS))
        return m

    def _lane(self, m: Module, lane: int, grid: Value, valid: Signal) -> Signal:
        """One model word; returns its saturation flag, with ``row``."""
        config = self._config
        align = config.gradient_frac - config.correction_frac
        dithered = Signal(signed(config.gradient_bits), name=f"dithered_{lane}")
        step = Signal(signed(config.gradient_bits - config.gradient_drop), name=f"step_{lane}")
        threshold = Signal(THRESHOLD_BITS + 1, name=f"threshold_{lane}")
        m.d.comb += [
            dithered.eq(self.sums[lane] - (self.terms[lane] << align)),
            threshold.eq(Mux(self.regularised[lane], self.threshold, 0)),
        ]
        m.d.sync += step.eq(dithered >> config.gradient_drop)

        down, up = (
            Signal(signed(max(config.model_bits + 1, len(step)) + 1), name=f"{name}_{lane}")
            for name in ("down", "up")
        )
        lower = delay(m, self.acc[lane] - threshold, 1)
        upper = delay(m, self.acc[lane] + threshold, 1)
        m.d.sync += [down.eq(lower - (step & grid)), up.eq(upper - (step & grid))]

        # Between the two the threshold holds the word at 0; where down is 0, so is the word. Both
        # saturations are chosen with the same two bits, so that a bit of the word is a LUT.
        magnitude = config.model_bits - 1
        positive, negative = ~down[-1], up[-1]
        over, under = positive & down[magnitude:].any(), negative & ~up[magnitude:].all()
        inner = Signal(name=f"inner_{lane}")
        m.d.comb += inner.eq(over | (negative & ~under))
        low = Mux(
            positive,
            Mux(inner, (1 << magnitude) - 1, down[:magnitude]),
            Mux(inner, up[:magnitude], 0),
        )
        flag = Signal(name=f"flag_{lane}")
        m.d.sync += [
            self.row[lane].eq(Cat(low, negative).as_signed() & grid),
            flag.eq((over | under) & valid),
        ]
        return flag
