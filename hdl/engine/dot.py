"""Dot products of a group, bit-serial over the planes of its codes."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig, bits_for_sum
from ..contract.protocol import row_layout, token_layout
from ..lib.arith import add_or_subtract, delay, fanout_tree, fold_plane, sum_tree


class Dot(wiring.Component):
    """A = sum_j M_j X_j of every sample of a group, exact, for codes of any width.

    One beat brings one bit of ``lanes`` codes of ``banks`` samples. A bank adds the model words
    whose bit is set, accumulates the planes of a chunk by Horner's rule (the sign plane counts
    negatively) and then the chunks::

        beat, x -> [gate] -> [tree] -> [horner: 2 acc + s] -> [total: chunks] -> product

    Latency: ``dot_tree_latency + 2`` cycles from a group's last plane to ``product``, which
    holds until the next group's first chunk is complete. Throughput: a beat a cycle.
    Back-pressure: none; cycles without a token are idle. Overflow: impossible.

    Members
    -------
    is_signed : In(1)
        The top plane counts negatively.
    token : In(token_layout)
        Belongs to ``beat`` and ``x``; used when live and not a label.
    beat : In(beat_bits)
        Bit ``k * lanes + i`` is the plane's bit of feature i of sample k.
    x : In(row_layout)
        Model words of the token's chunk.
    product : Out(ArrayLayout(signed(dot_bits), banks))
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "is_signed": In(1),
                "token": In(token_layout(config)),
                "beat": In(config.beat_bits),
                "x": In(row_layout(config)),
                "product": Out(data.ArrayLayout(signed(config.dot_bits), config.banks)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, banks = self._config, self._config.banks
        levels = config.dot_tree_latency
        beat = delay(m, self.beat, config.fanout_stages)
        rows = [fanout_tree(m, word, config.fanout_stages, banks) for word in self.x]
        flips = self.token.first & self.is_signed
        flags = (
            (self.token.live & ~self.token.label, levels),  # takes a plane
            (self.token.live & ~self.token.label & self.token.last, levels + 1),  # takes a chunk
            (self.token.first, levels),
            (flips, levels),
            (self.token.first_chunk, levels + 1),
        )
        spread = [fanout_tree(m, flag, cycles, banks) for flag, cycles in flags]
        horner_bits = bits_for_sum(config.model_bits + config.max_bits + 1, config.lanes)

        for bank, (takes_plane, takes_chunk, first, negative, first_chunk) in enumerate(
            zip(*spread, strict=True)
        ):
            plane = beat.word_select(bank, config.lanes)
            gated = [Mux(plane[i], rows[i][bank], 0) for i in range(config.lanes)]
            horner = Signal(signed(horner_bits), name=f"horner_{bank}")
            total = self.product[bank]
            if config.area_optimised:
                # With the plane after one that was complemented, see `fold_plane`.
                carry = Signal(name=f"carry_{bank}")
                with m.If(takes_plane):
                    m.d.sync += carry.eq(negative)
                # The last level of the tree and the complement go into one register.
                partial = sum_tree(m, gated, config.adder_levels, registered=False)
                flips = delay(m, self.token.first & self.is_signed, levels - 1)
                flipped = (partial.as_unsigned() ^ flips.replicate(len(partial))).as_signed()
                folded = fold_plane(horner, delay(m, flipped, 1), first, carry)
                added = Mux(first_chunk, horner, total + horner)
            else:
                partial = sum_tree(m, gated, config.adder_levels)
                upper = Mux(first, 0, horner << 1)
                folded = add_or_subtract(upper, partial, negative)
                added = Mux(first_chunk, 0, total) + horner
            with m.If(takes_plane):
                m.d.sync += horner.eq(folded)
            with m.If(takes_chunk):
                m.d.sync += total.eq(added)
        return m
