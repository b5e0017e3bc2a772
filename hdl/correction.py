"""Parity correction and weight decay of a group's gradient."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arith import delay, dither, partial_products, sum_tree
from .config import COARSE_BITS, EngineConfig
from .protocol import group_layout, row_layout


class Correction(wiring.Component):
    """-X_j * (sum_k c_k [draws of M_kj differed] - decay) of every feature j of a chunk, plus the
    update's dither.

    The parity of a code says whether its two stochastic roundings differed; that is where the
    square of their mean overstates the square of the feature. Parity is a code's last plane, so
    the last beat of a chunk is the one whose result counts. Weight decay shares the
    multiplication by X_j. The dither joins here because the sum is free here: what is left of
    the stochastic rounding in `hdl.update.Update` is dropping bits::

        [tree: sum of c_k, - decay] -> shrink -> factor -> [* X_j] -> [dither - product]
        model words ------------------------------> x ------/

    Twins: `shrinkage` and `dither` in `sim.golden`.

    Latency: ``gradient_latency``, to arrive with `hdl.gradient.Gradient`; ``x`` is taken
    ``shrink_latency`` cycles after the beat, ``random`` is used up ``correction_latency - 1``
    cycles after it. Throughput: a chunk a cycle. Overflow: impossible.

    Members
    -------
    odd : In(1)
        Odd codes are corrected, else even ones.
    model_drop : In(range(COARSE_BITS + 1))
        Low bits of the model that stay zero: the dither reaches up to there.
    beat : In(beat_bits)
        Last plane of the replayed chunk.
    group : In(group_layout)
    regularised : In(lanes)
        Lanes of the chunk that decay.
    x : In(row_layout)
        Model words of the chunk, from the copy that dot products read.
    random : In(ArrayLayout(field_bits, lanes))
    terms : Out(ArrayLayout(signed(correction_bits), lanes))
        With ``gradient_frac`` fractional bits.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "odd": In(1),
                "model_drop": In(range(COARSE_BITS + 1)),
                "beat": In(config.beat_bits),
                "group": In(group_layout(config)),
                "regularised": In(config.lanes),
                "x": In(row_layout(config)),
                "random": In(data.ArrayLayout(config.field_bits, config.lanes)),
                "terms": Out(data.ArrayLayout(signed(config.correction_bits), config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        align = config.gradient_frac - config.correction_frac
        widest = config.random_bits + COARSE_BITS
        used = Signal(widest, init=(1 << config.random_bits) - 1)
        m.d.sync += used.eq(((1 << config.random_bits) << self.model_drop) - 1)

        decay = self.group.decay if config.regularisation else Const(0)
        decays = delay(m, decay, config.shrink_latency - 1)
        decaying = delay(m, self.regularised, config.shrink_latency - 1)
        waiting = config.gradient_latency - config.correction_latency

        for lane in range(config.lanes):
            differed = [
                Mux(
                    self.beat[bank * config.lanes + lane] == self.odd,
                    self.group.samples[bank].coefficient,
                    0,
                )
                for bank in range(config.banks)
            ]
            # The last level of the tree and the decay go into one register.
            total = sum_tree(m, differed, config.adder_levels, registered=False)
            shrink = Signal(signed(config.shrink_bits), name=f"shrink_{lane}")
            # Without reset, so that they can be a DSP block's input registers.
            factor = Signal.like(shrink, name=f"factor_{lane}", reset_less=True)
            x = Signal(signed(config.model_bits), name=f"x_{lane}", reset_less=True)
            m.d.sync += [
                shrink.eq(total - Mux(decaying[lane], decays, 0)),
                factor.eq(shrink),
                x.eq(self.x[lane]),
            ]

            product = partial_products(m, factor, x)
            noise = dither(self.random[lane] & used, config.gradient_drop + COARSE_BITS, widest)
            term = Signal(signed(config.correction_bits), name=f"term_{lane}")
            m.d.sync += term.eq(noise - (product << align))
            m.d.comb += self.terms[lane].eq(delay(m, term, waiting))
        return m
