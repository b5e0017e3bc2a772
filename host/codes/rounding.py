"""Rounding of scaled features to codes, and of scaled labels to label words.

A code of q bits is an integer from -N to N, N = 2**(q-1) - 1, and 0 stands for 0. An unsigned one
runs from 0 to 2N and 1 is 2N: the same grid, moved by N, whose parities are the other way round.
Stochastic rounding goes to one of the two grid points around a value, with probabilities that make
the mean exact (Zhang et al., "ZipML", ICML 2017, section 3); the mean of two draws in one code is
this project's.

A position between two grid points is fixed point with `fraction_bits` fractional bits, fewer the
wider the code, so that it never needs more than 49 bits: float64, whose sums and products here are
good to 51, then still finds every grid point exactly, also at 32 bits.

The random word of a value depends on a key and on its place in the data set alone, so codes do not
depend on how the data is cut. `host.codes.fused` gives the same bits faster, together with the
weaving.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import NDArray

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import MAX_BITS, MIN_BITS

from ..data.dataset import Floats
from ..errors import InputError
from ..options.choices import Rounding as Rounding
from .scaling import largest_code

Codes = (
    NDArray[np.int8]
    | NDArray[np.int16]
    | NDArray[np.int32]
    | NDArray[np.uint8]
    | NDArray[np.uint16]
    | NDArray[np.uint32]
)
Ints = NDArray[np.int64]

WORD_BITS = 32
"""Random bits of one stochastic rounding."""

POSITION_BITS = 48
"""Bits of a position between grid points, its sign and the end of the range apart."""

OUT_OF_RANGE = "a feature to be rounded is not in [-1, 1]; apply a Scaling first"
NOT_UNSIGNED = "a feature to be rounded to unsigned codes is not in [0, 1]; use signed ones"

BLOCK_VALUES = 1 << 16
"""Values rounded at a time: bounds the memory, and fits a processor's cache."""

WEYL, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""Constants of splitmix64 (Steele, Lea, Flood, OOPSLA 2014), whose n-th word needs no state."""


@dataclass(frozen=True)
class Draws:
    """A random 64-bit word for every value of a data set: word n of splitmix64 from ``key``."""

    key: int

    @classmethod
    def of(cls, seed: int, copy: int = 0) -> Self:
        """The words of one of several independent roundings."""
        return cls.from_generator(
            np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(copy,)))
        )

    @classmethod
    def from_generator(cls, rng: np.random.Generator) -> Self:
        """Words from a key that the generator is asked for."""
        return cls(int(rng.integers(1 << 64, dtype=np.uint64)))

    def words(self, first: int, count: int) -> NDArray[np.uint64]:
        """Words ``first`` to ``first + count - 1``."""
        index = np.arange(first + 1, first + count + 1, dtype=np.uint64)
        word = np.uint64(self.key) + index * np.uint64(WEYL)
        word = (word ^ word >> np.uint64(30)) * np.uint64(MIX_1)
        word = (word ^ word >> np.uint64(27)) * np.uint64(MIX_2)
        return word ^ word >> np.uint64(31)


def round_codes(
    v: Floats,
    bits: int,
    rounding: Rounding,
    draws: Draws | np.random.Generator,
    first_row: int = 0,
    *,
    unsigned: bool = False,
) -> Codes:
    """Codes of scaled features.

    ``double``: the mean of two independent stochastic roundings to the odd integers, odd when they
    agree and even when they differ (unsigned: to the even ones, even when they agree);
    ``single``: one stochastic rounding to all integers; ``nearest``: to the nearest integer, ties
    to even.

    Parameters
    ----------
    v : float64 (n, F)
        In [-1, 1]; in [0, 1] for unsigned codes.
    bits : int
        Bits of a code, 2 to 32.
    draws : Draws or numpy.random.Generator
        Equal ones give equal codes; a generator is asked for a key.
    first_row : int
        Where row 0 of ``v`` stands in the data set.
    unsigned : bool
        Codes run from 0 to 2N.

    Returns
    -------
    Codes (n, F) of the type that `code_type` names. The ends of the range of v are the ends of the
    range of codes under every rounding.

    Raises
    ------
    InputError
        If there is no such rounding.
    ValueError
        If a value is out of range or ``bits`` is out of range.
    """
    check_rounding(bits, rounding)
    if isinstance(draws, np.random.Generator):
        draws = Draws.from_generator(draws)
    codes: Codes = np.empty(v.shape, dtype=code_type(bits, unsigned))
    least = 0 if unsigned else -1
    values, out = np.ascontiguousarray(v).reshape(-1), codes.reshape(-1)
    place = first_row * v.shape[1]
    for start in range(0, values.size, BLOCK_VALUES):
        part = values[start : start + BLOCK_VALUES]
        if not (part.min() >= least and part.max() <= 1):
            raise ValueError(NOT_UNSIGNED if unsigned else OUT_OF_RANGE)
        words = draws.words(place + start, part.size)
        out[start : start + part.size] = round_values(part, bits, rounding, words, unsigned)
    return codes


def check_rounding(bits: int, rounding: str) -> None:
    """Raises as `round_codes` does."""
    if rounding not in get_args(Rounding):
        known = ", ".join(get_args(Rounding))
        raise InputError(f"there is no rounding {rounding!r}; use one of {known}")
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(f"a code has {MIN_BITS} to {MAX_BITS} bits, not {bits}")


def code_type(bits: int, unsigned: bool = False) -> np.dtype[Any]:
    """The narrowest integers that hold codes: of 8, 16 or 32 bits."""
    width = next(width for width in (8, 16, 32) if bits <= width)
    return np.dtype(f"{'u' if unsigned else ''}int{width}")


def fraction_bits(bits: int) -> int:
    """Fractional bits of a position between grid points: the resolution of a probability."""
    return min(WORD_BITS, POSITION_BITS - bits)


def round_values(
    v: Floats, bits: int, rounding: Rounding, words: NDArray[np.uint64], unsigned: bool = False
) -> NDArray[Any]:
    """v (count) and a random word each -> codes (count) as integers or whole floats."""
    n = largest_code(bits)
    unit, low = (2 * n, 0) if unsigned else (n, -n)  # codes of v = 1 and of the grid's first point
    match rounding:
        case "double":
            lower, fraction = _grid_position(v - low / unit, unit / 2, fraction_bits(bits))
            first, second = (words >> np.uint64(32)).astype(np.uint32), words.astype(np.uint32)
            return 2 * lower + (first < fraction) + (second < fraction) + low
        case "single":
            lower, fraction = _grid_position(v - low / unit, unit, fraction_bits(bits))
            return lower + ((words >> np.uint64(32)).astype(np.uint32) < fraction) + low
        case "nearest":
            return np.rint(v * unit)


def _grid_position(
    v: Floats, steps: float, places: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Grid point below v and the distance to it, on a grid of ``steps`` steps a unit from 0.

    The position has ``places`` fractional bits, so that a value meant to lie on the grid does so
    exactly. The distance, in units of ``2**-WORD_BITS``, is the probability of the grid point
    above.
    """
    position = np.rint(v * (steps * 2.0**places)).astype(np.int64)
    return position >> places, (position << (WORD_BITS - places)).astype(np.uint32)


def quantise_labels(labels: Floats, config: EngineConfig) -> Ints:
    """Scaled labels (n) to integers (n) with ``config.model_frac`` fractional bits, to nearest.

    Raises
    ------
    InputError
        If a label does not fit ``config.model_bits`` bits.
    """
    quantised = np.rint(labels * 2.0**config.model_frac)
    limit = 2.0 ** (config.model_bits - 1)
    outside = np.flatnonzero(~((quantised >= -limit) & (quantised < limit)))
    if outside.size:
        raise InputError(
            f"the label of training sample {outside[0]} is {labels[outside[0]]:.6g} once scaled, "
            f"and this engine holds labels up to {limit * 2.0**-config.model_frac:g}; "
            "remove the outlier or transform the labels (a logarithm, for instance)"
        )
    return quantised.astype(np.int64)
