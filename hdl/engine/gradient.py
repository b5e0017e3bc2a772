"""Code part of a group's gradient, bit-serial over the planes of its codes."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.formats import COARSE_BITS
from ..contract.protocol import error_layout, token_layout
from ..lib.arith import add_or_subtract, delay, dither, fanout_chain, fanout_tree, sum_tree


class Gradient(wiring.Component):
    """sum_k h_k M_kj of every feature j of a chunk, exact, plus the update's dither.

    The counterpart of `hdl.engine.dot.Dot`: a lane adds the errors of the samples whose bit is set
    and folds the planes by Horner's rule. The dither joins here because there is time: what is left
    of the stochastic rounding in `hdl.engine.update.Update` is dropping bits::

        beat, errors -> [wait] -> [gate] -> [tree] -> [horner: 2 acc + s] -> [+ dither] -> sums

    Twins: `code_sum` in `sim.golden`, with errors aligned by `hdl.engine.loss.LossPipeline` so that
    the unit does not depend on q, and `dither`.

    Latency: ``sums_latency`` from a chunk's last plane to ``sums``; ``random`` is used up
    ``1 + 2 * update_spread`` cycles before. Throughput: a beat a cycle. Overflow: impossible.

    Members
    -------
    is_signed : In(1)
        The top plane counts negatively.
    model_drop : In(range(COARSE_BITS + 1))
        Low bits of the model that stay zero: the dither reaches up to there.
    token : In(token_layout)
        Belongs to ``beat``; used when replayed and not a label.
    beat : In(beat_bits)
        Replayed beat.
    errors : In(ArrayLayout(error_layout, banks))
        Of the replayed group, stable during its slot.
    random : In(ArrayLayout(field_bits, lanes))
    sums : Out(ArrayLayout(signed(dithered_bits), lanes))
        With ``gradient_frac`` fractional bits but for the ``still_bits``.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "is_signed": In(1),
                "model_drop": In(range(COARSE_BITS + 1)),
                "token": In(token_layout(config)),
                "beat": In(config.beat_bits),
                "errors": In(data.ArrayLayout(error_layout(config), config.banks)),
                "random": In(data.ArrayLayout(config.field_bits, config.lanes)),
                "sums": Out(data.ArrayLayout(signed(config.dithered_bits), config.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        levels = config.code_tree_latency
        # Waits for the correction here, where there are fewer bits than in the sums.
        wait = config.sums_latency - levels - 2 - config.update_spread
        token, beat, lanes = self.token, delay(m, self.beat, wait), config.lanes
        errors = [fanout_tree(m, sample.error, wait, lanes) for sample in self.errors]
        first, takes_plane, negative = (
            fanout_tree(m, flag, wait + levels, lanes)
            for flag in (token.first, token.replay & ~token.label, token.first & self.is_signed)
        )
        widest = config.random_bits + COARSE_BITS
        reaches: list[Value] = [Const((1 << config.random_bits) - 1, widest)] * lanes
        if config.coarsening:
            reach = Signal(widest)
            m.d.sync += reach.eq(((1 << config.random_bits) << self.model_drop) - 1)
            reaches = fanout_chain(m, reach, lanes)

        for lane, used in enumerate(reaches):
            gated = [Mux(beat[bank * lanes + lane], e[lane], 0) for bank, e in enumerate(errors)]
            partial = sum_tree(m, gated, config.adder_levels)
            horner = Signal(signed(config.code_sum_bits), name=f"horner_{lane}")
            upper = Mux(first[lane], 0, horner << 1)
            with m.If(takes_plane[lane]):
                m.d.sync += horner.eq(add_or_subtract(upper, partial, negative[lane]))

            random = delay(m, self.random[lane] & used, config.update_spread)
            noise = dither(random, config.gradient_drop + COARSE_BITS, widest)
            aligned = horner << config.gradient_frac - config.code_sum_frac - config.still_bits
            dithered = aligned + noise[config.still_bits :]
            m.d.comb += self.sums[lane].eq(delay(m, dithered, 1 + config.update_spread))
        return m
