"""Parity correction and weight decay of a group's gradient."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.protocol import group_layout, row_layout
from ..lib.arith import delay, fanout_chain, fanout_tree, partial_products, sum_tree


class Correction(wiring.Component):
    """X_j * (sum_k c_k [draws of M_kj differed] - decay) of every feature j of a chunk, which the
    gradient is less.

    The parity of a code says whether its two stochastic roundings differed; that is where the
    square of their mean overstates the square of the feature. Parity is a code's last plane, so
    the last beat of a chunk is the one whose result counts. Weight decay shares the
    multiplication by X_j::

        [tree: sum of c_k, - decay] -> shrink -> factor -> [* X_j] -> [join parts]
        model words ------------------------------> x ------/

    Twin: `shrinkage` in `sim.golden`.

    Latency: ``gradient_latency``, a cycle after `hdl.engine.gradient.Gradient`; ``x`` is taken
    ``shrink_latency`` cycles after the beat. Throughput: a chunk a cycle. Overflow: impossible.

    Members
    -------
    odd : In(1)
        Odd codes are corrected, else even ones.
    beat : In(beat_bits)
        Last plane of the replayed chunk.
    group : In(group_layout)
    regularised : In(lanes)
        Lanes of the chunk that decay.
    x : In(row_layout)
        Model words of the chunk, from the copy that dot products read.
    terms : Out(ArrayLayout(signed(correction_bits), lanes))
        With ``correction_frac`` fractional bits.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "odd": In(1),
                "beat": In(config.beat_bits),
                "group": In(group_layout(config)),
                "regularised": In(config.lanes),
                "x": In(row_layout(config)),
                "terms": Out(data.ArrayLayout(signed(config.correction_bits), config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        decaying = delay(m, self.regularised, config.shrink_latency - 1)
        waiting = config.gradient_latency - config.correction_latency

        if config.regularisation:
            decays = fanout_tree(m, self.group.decay, config.shrink_latency - 1, config.lanes)
        coefficients = [
            fanout_tree(m, sample.coefficient, config.fanout_stages, config.lanes)
            for sample in self.group.samples
        ]

        for lane, odd in enumerate(fanout_chain(m, self.odd, config.lanes)):
            codes = self.beat[lane :: config.lanes]
            differs = delay(m, codes ^ ~odd.replicate(config.banks), config.fanout_stages)
            differed = [
                Mux(differs[bank], coefficient[lane], 0)
                for bank, coefficient in enumerate(coefficients)
            ]
            # The last level of the tree and the decay go into one register.
            total = sum_tree(m, differed, config.adder_levels, registered=False)
            if config.regularisation:
                total -= Mux(decaying[lane], decays[lane], 0)
            shrink = Signal(signed(config.shrink_bits), name=f"shrink_{lane}")
            # Without reset, so that they can be a DSP block's input registers.
            factor = Signal.like(shrink, name=f"factor_{lane}", reset_less=True)
            x = Signal(signed(config.model_bits), name=f"x_{lane}", reset_less=True)
            m.d.sync += [
                shrink.eq(total),
                factor.eq(shrink),
                x.eq(self.x[lane]),
            ]

            term = Signal(signed(config.correction_bits), name=f"term_{lane}")
            m.d.sync += term.eq(partial_products(m, factor, x))
            m.d.comb += self.terms[lane].eq(delay(m, term, waiting))
        return m
