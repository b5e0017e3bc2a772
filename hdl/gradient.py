"""Code part of a group's gradient, bit-serial over the planes of its codes."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arith import add_or_subtract, delay, sum_tree
from .config import EngineConfig
from .protocol import error_layout, token_layout


class Gradient(wiring.Component):
    """sum_k h_k M_kj of every feature j of a chunk, exact.

    The counterpart of `hdl.dot.Dot`: a lane adds the errors of the samples whose bit is set and
    folds the planes by Horner's rule. Twin: `code_sum` in `sim.golden`, with errors aligned by
    `hdl.loss.Loss` so that the unit does not depend on q.

    Latency: ``gradient_latency`` from a chunk's last plane to ``sums``. Throughput: a beat a
    cycle. Overflow: impossible.

    Members
    -------
    is_signed : In(1)
        The top plane counts negatively.
    token : In(token_layout)
        Belongs to ``beat``; used when replayed and not a label.
    beat : In(beat_bits)
        Replayed beat.
    errors : In(ArrayLayout(error_layout, banks))
        Of the replayed group, stable during its slot.
    sums : Out(ArrayLayout(signed(code_sum_bits), lanes))
        With ``code_sum_frac`` fractional bits.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "is_signed": In(1),
                "token": In(token_layout(config)),
                "beat": In(config.beat_bits),
                "errors": In(data.ArrayLayout(error_layout(config), config.banks)),
                "sums": Out(data.ArrayLayout(signed(config.code_sum_bits), config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        levels = config.code_tree_latency
        # Waits for the correction here, where there are fewer bits than in the sums.
        wait = config.gradient_latency - levels - 1
        token, beat = delay(m, self.token, wait), delay(m, self.beat, wait)
        errors = [delay(m, sample.error, wait) for sample in self.errors]
        summed = delay(m, token, levels)
        takes_plane = delay(m, token.replay & ~token.label, levels)
        negative = delay(m, token.first & self.is_signed, levels)

        for lane in range(config.lanes):
            gated = [
                Mux(beat[bank * config.lanes + lane], error, 0) for bank, error in enumerate(errors)
            ]
            partial = sum_tree(m, gated, config.adder_levels)
            horner = Signal(signed(config.code_sum_bits), name=f"horner_{lane}")
            upper = Mux(summed.first, 0, horner << 1)
            with m.If(takes_plane):
                m.d.sync += horner.eq(add_or_subtract(upper, partial, negative))
            m.d.comb += self.sums[lane].eq(horner)
        return m
