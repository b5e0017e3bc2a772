"""Parity correction and weight decay of a group's gradient."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arith import delay, dither, sum_comb
from .config import COARSE_BITS, CORRECTION_LATENCY, X_WAIT, EngineConfig
from .protocol import group_layout, row_layout


class Correction(wiring.Component):
    """-X_j * (sum_k c_k [draws of M_kj differed] - decay) of every feature j of a chunk, plus the
    update's dither.

    The parity of a code says whether its two stochastic roundings differed; that is where the
    square of their mean overstates the square of the feature. Parity is a code's last plane, so
    the last beat of a chunk is the one whose result counts. Weight decay shares the
    multiplication by X_j. The dither joins here because the sum is free here: what is left of
    the stochastic rounding in `hdl.update.Update` is dropping bits::

        1: [sum of c_k, - decay]   2: [* X_j]   3: [dither - product]

    Twins: `shrinkage` and `dither` in `sim.golden`.

    Latency: ``gradient_latency``, to arrive with `hdl.gradient.Gradient`; ``x`` belongs to the
    cycle `X_WAIT` after the beat's, ``random`` is used up ``CORRECTION_LATENCY - 1`` cycles after
    the beat. Throughput: a chunk a cycle. Overflow: impossible.

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
        used = Signal(widest)
        m.d.sync += used.eq(((1 << config.random_bits) << self.model_drop) - 1)

        for lane in range(config.lanes):
            differed = [
                Mux(
                    self.beat[bank * config.lanes + lane] == self.odd,
                    self.group.samples[bank].coefficient,
                    0,
                )
                for bank in range(config.banks)
            ]
            decay = Mux(self.regularised[lane], self.group.decay, 0)
            shrink = Signal(signed(config.shrink_bits), name=f"shrink_{lane}")
            product = Signal(signed(config.model_bits + config.shrink_bits), name=f"product_{lane}")
            term = Signal(signed(config.correction_bits), name=f"term_{lane}")
            noise = dither(self.random[lane] & used, config.gradient_drop + COARSE_BITS, widest)
            m.d.sync += [
                shrink.eq(sum_comb(differed) - decay),
                product.eq(shrink * self.x[lane]),
                term.eq(noise - (product << align)),
            ]
            waited = delay(m, term, config.gradient_latency - CORRECTION_LATENCY)
            m.d.comb += self.terms[lane].eq(waited)
        return m


assert X_WAIT == 1, "x meets the sum of the coefficients in stage 2"
