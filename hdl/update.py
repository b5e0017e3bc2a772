"""Model update."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arith import saturate, sum_comb
from .config import EngineConfig
from .protocol import row_layout


class Update(wiring.Component):
    """X_j <- saturate(X_j - round_stochastic(G_j)) for the features of a chunk::

        stage 1: [(sums + terms) >> drop]   2: [acc - step, saturate]

    ``terms`` carries the dither, so dropping bits rounds stochastically. Twin: `update` in
    `sim.golden`.

    Latency: ``UPDATE_LATENCY``, ``acc`` belongs to the second cycle; ``saturations`` come one
    cycle after ``o_valid``. Throughput: a chunk a cycle. Overflow: saturates and counts.

    Members
    -------
    i_valid : In(1)
    sums : In(ArrayLayout(signed(code_sum_bits), lanes))
    terms : In(ArrayLayout(signed(correction_bits), lanes))
    acc : In(row_layout)
        Model words from the accumulating copy.
    row : Out(row_layout)
    o_valid : Out(1)
    saturations : Out(range(lanes + 1))
        Zero unless ``o_valid`` was set in the cycle before.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        lanes = config.lanes
        super().__init__(
            {
                "i_valid": In(1),
                "sums": In(data.ArrayLayout(signed(config.code_sum_bits), lanes)),
                "terms": In(data.ArrayLayout(signed(config.correction_bits), lanes)),
                "acc": In(row_layout(config)),
                "row": Out(row_layout(config)),
                "o_valid": Out(1),
                "saturations": Out(range(lanes + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        align = config.gradient_frac - config.code_sum_frac
        rounded_valid = Signal()
        m.d.sync += [rounded_valid.eq(self.i_valid), self.o_valid.eq(rounded_valid)]

        flags = []
        for lane in range(config.lanes):
            dithered = Signal(signed(config.gradient_bits), name=f"dithered_{lane}")
            step = Signal(signed(config.gradient_bits - config.gradient_drop), name=f"step_{lane}")
            m.d.comb += dithered.eq((self.sums[lane] << align) + self.terms[lane])
            m.d.sync += step.eq(dithered >> config.gradient_drop)

            moved = Signal((self.acc[lane] - step).shape(), name=f"moved_{lane}")
            m.d.comb += moved.eq(self.acc[lane] - step)
            word, overflow = saturate(m, moved, config.model_bits)
            flag = Signal(name=f"flag_{lane}")
            m.d.sync += [self.row[lane].eq(word), flag.eq(overflow & rounded_valid)]
            flags.append(flag)
        m.d.sync += self.saturations.eq(sum_comb(flags))
        return m
