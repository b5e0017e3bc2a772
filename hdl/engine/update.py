"""Model update."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import UPDATE_LATENCY, EngineConfig, tree_latency
from ..contract.formats import COARSE_BITS, THRESHOLD_BITS
from ..contract.protocol import row_layout
from ..lib.arith import delay, fanout_chain, sum_tree

COUNT_LEVELS = 2
"""Levels of the adder tree that counts saturations between registers."""


def count_latency(config: EngineConfig) -> int:
    """Cycles from a row to the number of its saturations."""
    return tree_latency(config.lanes, COUNT_LEVELS)


class Update(wiring.Component):
    """X_j <- saturate(soft_threshold(X_j - round_stochastic(G_j))) for the features of a chunk::

        [acc -, + threshold] -> [down - sums] -> [+ terms, >> drop] -> [select, saturate] -> row
                                [up - sums]      [+ terms, >> drop]

    ``sums`` carry the dither (but for its bits that never change), so dropping bits rounds
    stochastically: X - floor(G) is what is left of X - G when its places below the model's grid
    begin with ones. Without regularisation there is no threshold and no second way. Twin: `update`
    in `sim.golden`.

    Latency: ``UPDATE_LATENCY`` from ``terms``, which come a cycle after ``sums``; ``saturations``
    come `count_latency` cycles after ``o_valid``. Throughput: a chunk a cycle. Overflow: saturates
    and counts.

    Members
    -------
    model_drop : In(range(COARSE_BITS + 1))
        Low bits of the model that stay zero.
    i_valid : In(1)
        With ``terms``.
    sums : In(ArrayLayout(signed(dithered_bits), lanes))
    terms : In(ArrayLayout(signed(correction_bits), lanes))
    threshold : In(THRESHOLD_BITS + 1)
        Soft threshold.
    regularised : In(lanes)
        Lanes on which it acts.
    acc : In(row_layout)
        Model words from the accumulating copy; these three come ``acc_lead`` cycles before
        ``terms``.
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
        for _ in range(UPDATE_LATENCY):
            valid.append(Signal(name=f"valid_{len(valid)}"))
            m.d.sync += valid[-1].eq(valid[-2])
        m.d.comb += self.o_valid.eq(valid[-1])
        grids: list[Value] = [Const(-1, signed(1))] * config.lanes
        if config.coarsening:
            grid = Signal(signed(COARSE_BITS + 1))
            m.d.sync += grid.eq(-(1 << self.model_drop))
            grids = fanout_chain(m, grid, config.lanes)
        flags = [self._lane(m, lane, grids[lane], valid[-2]) for lane in range(config.lanes)]
        m.d.comb += self.saturations.eq(sum_tree(m, flags, COUNT_LEVELS))
        return m

    def _lane(self, m: Module, lane: int, grid: Value, valid: Signal) -> Signal:
        """One model word; returns its saturation flag, with ``row``."""
        config, way = self._config, self._config.update_spread
        acc = delay(m, self.acc[lane], way)
        if config.regularisation:
            threshold = Signal(THRESHOLD_BITS + 1, name=f"threshold_{lane}")
            acts, most = delay(m, self.regularised[lane], way), delay(m, self.threshold, way)
            m.d.comb += threshold.eq(Mux(acts, most, 0))
            down = self._move(m, lane, delay(m, acc - threshold, 1), grid)
            up = self._move(m, lane, delay(m, acc + threshold, 1), grid)
        else:
            down = up = self._move(m, lane, acc, grid)

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

    def _move(self, m: Module, lane: int, word: Value, grid: Value) -> Value:
        """``word - floor(G)`` on the grid, two cycles later, but for what lies below the grid."""
        config, sums, terms = self._config, self.sums[lane], self.terms[lane]
        drop, align = config.gradient_drop, config.gradient_frac - config.correction_frac
        # Ones less anything is its complement: nothing is borrowed from the word.
        below = drop - config.still_bits
        above = (word | ~grid) - (sums >> below)
        still = Const((1 << config.still_bits) - 1 - config.still_dither, config.still_bits)
        rest = Cat(still, delay(m, Cat(~sums[:below], above), 1)).as_signed()
        return delay(m, ((rest >> align) + terms) >> (drop - align), 1)
