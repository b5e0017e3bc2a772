"""The engine's random number generators, as far as gateware and golden model share them.

`hdl.engine.random` and `sim.golden` draw from them.
"""

from __future__ import annotations

RANDOM_WORD_BITS = 64
"""State and output bits of one xorshift generator."""

XORSHIFT_TRIPLE = (13, 7, 17)
"""Its left, right, left shifts (Marsaglia, Xorshift RNGs, J. Stat. Software 8(14), 2003)."""

SEED_BITS = 32
"""Of a job, from which every generator's first state is made."""


def generator_constant(index: int) -> int:
    """Constant that tells generator ``index`` from the others; its upper half is never zero.

    The finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014, figure 12) applied to the index.
    """
    mask = (1 << RANDOM_WORD_BITS) - 1
    word = (index + 1) * 0x9E3779B97F4A7C15 & mask
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & mask
    word = (word ^ word >> 27) * 0x94D049BB133111EB & mask
    word ^= word >> 31
    return word | 1 << (RANDOM_WORD_BITS - 1)
