"""Rounding of scaled features to codes, and of scaled labels to label words.

A code of q bits is an integer from -N to N, N = 2**(q-1) - 1. Stochastic rounding goes to one of
the two grid points around a value, with probabilities that make the mean exact (Zhang et al.,
"ZipML", ICML 2017, section 3); the mean of two draws in one code is this project's.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hdl.config import EngineConfig

from .dataset import Floats
from .errors import InputError
from .scaling import largest_code

Rounding = Literal["double", "single", "nearest"]
Codes = NDArray[np.int8] | NDArray[np.int16]
Ints = NDArray[np.int64]

FRACTION_BITS = 32
"""Fractional bits of a position between grid points: the resolution of a rounding's probability."""

BLOCK_VALUES = 1 << 16
"""Values rounded at a time: bounds the memory, and fits a processor's cache."""


def round_codes(v: Floats, bits: int, rounding: Rounding, rng: np.random.Generator) -> Codes:
    """Codes of scaled features.

    ``double``: the mean of two independent stochastic roundings to the odd integers, odd when they
    agree and even when they differ; ``single``: one stochastic rounding to all integers;
    ``nearest``: to the nearest integer, ties to even.

    Parameters
    ----------
    v : float64 (n, F)
        In [-1, 1].
    bits : int
        Bits of a code, 2 to 16.
    rng : numpy.random.Generator
        Equal generators give equal codes.

    Returns
    -------
    int8 (n, F), or int16 above 8 bits. +1 and -1 become N and -N under every rounding.

    Raises
    ------
    InputError
        If there is no such rounding.
    ValueError
        If a value is not in [-1, 1] or ``bits`` is out of range.
    """
    if rounding not in get_args(Rounding):
        known = ", ".join(get_args(Rounding))
        raise InputError(f"there is no rounding {rounding!r}; use one of {known}")
    if not 2 <= bits <= 16:
        raise ValueError(f"a code has 2 to 16 bits, not {bits}")
    codes = np.empty(v.shape, dtype=np.int8 if bits <= 8 else np.int16)
    values, out = np.ascontiguousarray(v).reshape(-1), codes.reshape(-1)
    for start in range(0, values.size, BLOCK_VALUES):
        block = slice(start, start + BLOCK_VALUES)
        if not (values[block].min() >= -1 and values[block].max() <= 1):
            raise ValueError("a feature to be rounded is not in [-1, 1]; apply a Scaling first")
        out[block] = _round_block(values[block], largest_code(bits), rounding, rng)
    return codes


def _round_block(v: Floats, n: int, rounding: Rounding, rng: np.random.Generator) -> NDArray[Any]:
    """v (count) -> codes (count) as integers or whole floats."""
    match rounding:
        case "double":
            lower, fraction = _grid_position(v, n / 2)
            return 2 * lower + _draw(fraction, rng) + _draw(fraction, rng) - n
        case "single":
            lower, fraction = _grid_position(v, n)
            return lower + _draw(fraction, rng) - n
        case "nearest":
            return np.rint(v * n)


def _grid_position(v: Floats, steps: float) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    """Grid point below v and the distance to it, on a grid of ``steps`` steps a unit from -1.

    The position is fixed point, so that a value meant to lie on the grid does so exactly.
    """
    position = np.rint((v + 1) * (steps * 2.0**FRACTION_BITS)).astype(np.int64)
    return position >> FRACTION_BITS, position.astype(np.uint32)


def _draw(fraction: NDArray[np.uint32], rng: np.random.Generator) -> NDArray[np.bool_]:
    """True with probability ``fraction / 2**FRACTION_BITS``."""
    return rng.integers(1 << FRACTION_BITS, size=fraction.size, dtype=np.uint32) < fraction


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
