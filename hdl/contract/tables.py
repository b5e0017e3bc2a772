"""The logistic function and its relatives as tables, shared by golden model and gateware.

Every table covers |z| from 0 to 16 in steps of 2**-5. Values between entries are interpolated
linearly (over `fraction_bits` bits of z), derivatives are those of an interval's middle. The chord
of a function lies within h**2 / 8 * max |f''| of it: 1.2e-5 for the logistic function (max |f''| =
0.0963) and 3.1e-5 for the softplus (0.25), to which half a last place (7.6e-6 with 16 fractional
bits) of every entry and of the interpolation is added. Beyond 16 both are constant to 1.2e-7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from .config import EngineConfig
from .formats import CURVATURE_FRAC, TABLE_STEP_BITS

RANGE_BITS = 4
"""The tables end at |z| = 2**RANGE_BITS."""

ENTRIES = 1 << (RANGE_BITS + TABLE_STEP_BITS)


def logistic(z: float) -> float:
    return 1 / (1 + math.exp(-z))


@dataclass(frozen=True)
class Row:
    """One interval of |z|, in integers.

    ``sigma`` and ``softplus`` are the values of the logistic function and of log(1 + exp(-|z|)) at
    its start, ``*_rise`` and ``*_fall`` their change to its end (``model_frac`` fractional bits).
    ``curvature`` is f' of the logistic loss at the middle (`CURVATURE_FRAC`), ``bend`` is -f''/2
    there (``model_frac``).
    """

    sigma: int
    sigma_rise: int
    curvature: int
    bend: int
    softplus: int
    softplus_fall: int


@cache
def rows(config: EngineConfig) -> tuple[Row, ...]:
    """The table of an engine with ``config.model_frac`` fractional bits."""
    unit, step = 1 << config.model_frac, 2.0**-TABLE_STEP_BITS

    def sigma(index: int) -> int:
        return round(unit * logistic(index * step))

    def softplus(index: int) -> int:
        return round(unit * math.log1p(math.exp(-index * step)))

    def row(index: int) -> Row:
        middle = logistic((index + 0.5) * step)
        slope = middle * (1 - middle)
        return Row(
            sigma=sigma(index),
            sigma_rise=sigma(index + 1) - sigma(index),
            curvature=round(slope * (1 << CURVATURE_FRAC)),
            bend=round(slope * (2 * middle - 1) / 2 * unit),
            softplus=softplus(index),
            softplus_fall=softplus(index) - softplus(index + 1),
        )

    return tuple(row(index) for index in range(ENTRIES))


def fraction_bits(config: EngineConfig) -> int:
    """Bits of |z| below the tables' step, over which they are interpolated."""
    return config.model_frac - TABLE_STEP_BITS
