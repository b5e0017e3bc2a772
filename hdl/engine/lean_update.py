"""Gradient, correction and update in one: slow engines without regularisation and coarsening."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.protocol import error_layout, row_layout, token_layout
from ..lib.arith import (
    delay,
    dither,
    fold_plane,
    registered_product,
    saturate,
    sum_comb,
    sum_tree,
    sum_with_carry,
)


class LeanUpdate(wiring.Component):
    """X_j <- saturate(X_j - round_stochastic(G_j)) for the features of a chunk, with two additions
    a lane, one of which is that of a DSP block::

        beat, errors -> [gate] -> [tree] -> [horner: code sum] -> [acc, noise - it] -> sums --\\
        beat, coefficients -----> [tree] -> factor -> [* x] -------------------------> [+] -> row

    What `hdl.engine.gradient.Gradient`, `hdl.engine.correction.Correction` and
    `hdl.engine.update.Update` do, with the order of the sums changed: where nothing but the drop of
    bits stands between gradient and model word, X - floor(G) is floor(X - G + (2**drop - 1) /
    2**drop), and noise and model word lie side by side in one operand. Planes are folded to the
    complement of their sum, which is what is added. The first plane takes the place of the last
    chunk's sum instead of joining it, in the adder's own LUT, so that the carry which its sign
    needs is paid with the second.

    Latency: ``gradient_latency`` to the sums, `LEAN_UPDATE_LATENCY` more to ``row``; ``random`` and
    ``acc`` are used a cycle before the sums. ``x`` is taken ``x_wait`` cycles after the beat: it is
    the same for all planes of a chunk. Throughput: a beat a cycle. Overflow: saturates and counts.

    Twins: `code_sum`, `shrinkage`, `update` in `sim.golden`.

    Members
    -------
    is_signed, odd : In(1)
        The top plane counts negatively; odd codes are corrected, else even ones.
    token : In(token_layout)
        Belongs to ``beat``; used when replayed and not a label.
    beat : In(beat_bits)
        Replayed beat.
    samples : In(ArrayLayout(error_layout, banks))
        Of the replayed group, stable during its slot.
    x, acc : In(row_layout)
        Model words of the chunk, from either copy.
    random : In(ArrayLayout(field_bits, lanes))
    moving : In(1)
        The model is loaded or dumped: ``row`` only changes with ``shift``.
    shift : In(1)
    word : In(signed(model_bits))
        Then the row's words move to their lower neighbours, and this one comes in at its top.
    row : Out(row_layout)
    saturations : Out(range(lanes + 1))
        A cycle after ``row``; zero unless the cycle of ``row`` ended a replayed chunk.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        row = row_layout(config)
        super().__init__(
            {
                "is_signed": In(1),
                "odd": In(1),
                "token": In(token_layout(config)),
                "beat": In(config.beat_bits),
                "samples": In(data.ArrayLayout(error_layout(config), config.banks)),
                "x": In(row),
                "acc": In(row),
                "random": In(data.ArrayLayout(config.field_bits, config.lanes)),
                "moving": In(1),
                "shift": In(1),
                "word": In(signed(config.model_bits)),
                "row": Out(row),
                "saturations": Out(range(config.lanes + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        levels = self._config.code_tree_latency
        takes = delay(m, self.token.replay & ~self.token.label, levels)
        first = delay(m, self.token.first, levels)
        negative = delay(m, self.token.first & self.is_signed, levels)
        # The second plane's own carry is used up by the sign of the first.
        carry = Signal()
        with m.If(takes):
            m.d.sync += carry.eq(~negative)
        ends = delay(m, takes & delay(m, self.token.last, levels), 3)

        flags = []
        words = [*(self.row[lane] for lane in range(1, self._config.lanes)), self.word]
        for lane in range(self._config.lanes):
            folded = self._fold(m, lane, takes, first, negative, carry)
            flags.append(self._step(m, lane, folded, words[lane]))
        counted = Signal.like(self.saturations)
        m.d.sync += counted.eq(Mux(ends, sum_comb(flags), 0))
        m.d.comb += self.saturations.eq(counted)
        return m

    def _fold(
        self, m: Module, lane: int, takes: Signal, first: Signal, negative: Signal, carry: Signal
    ) -> Signal:
        """The complement of sum_k h_k M_kj, ``code_tree_latency + 1`` cycles after the beat."""
        config = self._config
        gated = [
            Mux(self.beat[bank * config.lanes + lane], sample.error, 0)
            for bank, sample in enumerate(self.samples)
        ]
        partial = sum_tree(m, gated, config.adder_levels)
        term = (partial.as_unsigned() ^ (~negative).replicate(len(partial))).as_signed()
        folded = Signal(signed(config.code_sum_bits), name=f"folded_{lane}")
        with m.If(takes):
            m.d.sync += folded.eq(fold_plane(folded, term, first, carry))
        return folded

    def _step(self, m: Module, lane: int, folded: Signal, neighbour: Value) -> Signal:
        """The model word, and how ``neighbour`` may take its place; returns its saturation flag,
        with ``row``."""
        config = self._config
        drop, places = config.gradient_drop, config.gradient_frac - config.code_sum_frac
        noise = dither(self.random[lane], drop, config.random_bits)
        base = Cat(~noise, self.acc[lane]).as_signed()
        sums = Signal(
            signed(max(len(base), config.code_sum_bits + places) + 1), name=f"sums_{lane}"
        )
        m.d.sync += sums.eq(
            Cat(base[:places], sum_with_carry(base[places:].as_signed(), folded, Const(1, 1)))
        )

        differed = [
            Mux(self.beat[bank * config.lanes + lane] == self.odd, sample.coefficient, 0)
            for bank, sample in enumerate(self.samples)
        ]
        total = sum_tree(m, differed, config.adder_levels)
        # Without reset, so that they can be a DSP block's registers.
        factor = Signal(len(total), name=f"factor_{lane}", reset_less=True)
        x = Signal(signed(config.model_bits), name=f"x_{lane}", reset_less=True)
        m.d.sync += [factor.eq(total), x.eq(self.x[lane])]
        term = registered_product(m, x, Cat(factor, Const(0, 1)).as_signed())
        moved = sums + (term << config.gradient_frac - config.correction_frac)

        word, flag = (moved >> drop).as_signed(), Signal(name=f"flag_{lane}")
        _, overflow = saturate(m, word, config.model_bits)
        m.d.sync += flag.eq(overflow)
        # The smallest word is what a reset leaves: so a bit and all that may take its place are
        # the inputs of one LUT.
        magnitude, sign = config.model_bits - 1, word[-1]
        over = (overflow & ~sign).replicate(magnitude)
        with m.If(~self.moving | self.shift):
            m.d.sync += self.row[lane].eq(
                Mux(self.moving, neighbour, Cat(word[:magnitude] | over, sign).as_signed())
            )
        with m.If(~self.moving & overflow & sign):
            m.d.sync += self.row[lane].eq(-1 << magnitude)
        return flag
