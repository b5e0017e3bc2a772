"""Parity correction of a group's gradient."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arith import delay, dither, sum_comb
from .config import CORRECTION_LATENCY, EngineConfig
from .protocol import error_layout, row_layout


class Correction(wiring.Component):
    """-X_j * sum_k c_k [M_kj even] of every feature j of a chunk, plus the update's dither.

    A code is even when its two stochastic roundings differed; that is where the mean of both,
    squared, overstates the feature's square. The parity is the code's last plane, so the token's
    last beat is the one whose result counts. The dither joins here because the sum is free here:
    what is left of the stochastic rounding in `hdl.update.Update` is dropping bits::

        stage 1: [sum of c_k]   2: [* X_j]   3: [dither - product]

    Twin: `correction` and `dither` in `sim.golden`.

    Latency: ``gradient_latency``, to arrive with `hdl.gradient.Gradient`; ``random`` is used up
    ``CORRECTION_LATENCY - 1`` cycles after the beat. Throughput: a chunk a cycle.
    Overflow: impossible.

    Members
    -------
    beat : In(beat_bits)
        Last plane of the replayed chunk.
    errors : In(ArrayLayout(error_layout, banks))
    x : In(row_layout)
        Model words of the chunk, from the copy that dot products read.
    random : In(ArrayLayout(random_bits, lanes))
    terms : Out(ArrayLayout(signed(correction_bits), lanes))
        With ``gradient_frac`` fractional bits.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "beat": In(config.beat_bits),
                "errors": In(data.ArrayLayout(error_layout(config), config.banks)),
                "x": In(row_layout(config)),
                "random": In(data.ArrayLayout(config.random_bits, config.lanes)),
                "terms": Out(data.ArrayLayout(signed(config.correction_bits), config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        align = config.gradient_frac - config.correction_frac

        for lane in range(config.lanes):
            even = [
                Mux(self.beat[bank * config.lanes + lane], 0, self.errors[bank].coefficient)
                for bank in range(config.banks)
            ]
            shrink = Signal(config.shrink_bits, name=f"shrink_{lane}")
            word = Signal(signed(config.model_bits), name=f"word_{lane}")
            product = Signal(signed(config.model_bits + config.shrink_bits), name=f"product_{lane}")
            term = Signal(signed(config.correction_bits), name=f"term_{lane}")
            noise = dither(self.random[lane], config.gradient_drop, config.random_bits)
            m.d.sync += [
                shrink.eq(sum_comb(even)),
                word.eq(self.x[lane]),
                product.eq(shrink * word),
                term.eq(noise - (product << align)),
            ]
            waited = delay(m, term, config.gradient_latency - CORRECTION_LATENCY)
            m.d.comb += self.terms[lane].eq(waited)
        return m
