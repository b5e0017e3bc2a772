"""Weights of samples: from a column of the data, from the classes, or both multiplied.

The engine takes a weight as ``WEIGHT_BITS`` bits with `WEIGHT_FRAC` fractional ones, a word of its
own after the label. It scales the sample's loss, and with it step and correction, not the
regularisation.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from zipsgd.hdl.contract.formats import WEIGHT_BITS, WEIGHT_FRAC

from ..data.checks import listed
from ..data.dataset import Dataset, Floats
from ..errors import InputError
from ..options.choices import ClassWeight
from .rounding import Ints

LARGEST = ((1 << WEIGHT_BITS) - 1) / (1 << WEIGHT_FRAC)
"""Largest weight that the engine takes."""

SMALLEST = 1 / (1 << WEIGHT_FRAC)
"""Distance of one weight to the next."""

_logger = logging.getLogger(__name__)


def take_weights(dataset: Dataset, column: str) -> tuple[Floats, Dataset]:
    """The weights (n) in a column, and the data set without it: new data need not have it.

    Raises
    ------
    InputError
        If there is no such column, or it does not hold weights.
    """
    names = dataset.feature_names
    if column not in names:
        raise InputError(
            f"{dataset.name} has no column {column!r} for --sample-weight; it has {listed(names)}"
        )
    if len(names) == 1:
        raise InputError(f"{dataset.name} has no column but {column!r}; add features to learn from")
    place = names.index(column)
    weights = np.asarray(dataset.features[:, place], dtype=np.float64)
    least, most = float(weights.min()), float(weights.max())
    if least < 0 or most > LARGEST or not most > 0:
        raise InputError(
            f"{dataset.name}: the weights in column {column} run from {least:g} to {most:g} and "
            f"must lie between 0 and {LARGEST:g}, with one above 0; multiply them by a number"
        )
    if (lost := int(((weights > 0) & (weights < SMALLEST / 2)).sum())) > 0:
        raise InputError(
            f"{dataset.name}: {lost} weights in column {column} are above 0 but below "
            f"{SMALLEST / 2:g} and would be rounded to 0; multiply all of them by a number"
        )
    rest = dataset.select(np.delete(np.arange(len(names)), place))
    if rest.encoding is not None:
        known = rest.encoding
        encoding = replace(
            known,
            columns=tuple(name for name in known.columns if name != column),
            fill={name: value for name, value in known.fill.items() if name != column},
        )
        rest = replace(rest, encoding=encoding)
    return weights, rest


def class_weights(y: Floats, kind: ClassWeight) -> dict[float, float]:
    """The weight of each scaled label; ``balanced``: both classes weigh alike, the mean is 1."""
    assert kind == "balanced"
    share = float(np.mean(y > 0))
    return {1.0: 0.5 / share, -1.0: 0.5 / (1 - share)}


def weigh(
    y: Floats, by_class: dict[float, float] | None, by_sample: Floats | None
) -> Floats | None:
    """Weights (n) that the engine holds exactly; None if all samples weigh the same.

    If the largest does not fit, all are scaled down alike.

    Raises
    ------
    InputError
        If one that is not 0 would then be rounded to 0.
    """
    if by_class is None and by_sample is None:
        return None
    weights = np.ones(len(y)) if by_sample is None else by_sample
    if by_class is not None:
        weights = weights * np.where(y > 0, by_class[1.0], by_class[-1.0])
    shrink = min(1.0, LARGEST / float(weights.max(initial=LARGEST)))
    if shrink < 1:
        _logger.info("weights of samples are scaled down by %.3g to fit the engine", shrink)
    held = np.rint(weights * shrink / SMALLEST) * SMALLEST
    if (lost := int(((held == 0) & (weights > 0)).sum())) > 0:
        some = weights[weights > 0]
        raise InputError(
            f"weights of samples run from {some.min():.3g} to {some.max():.3g}, and the engine "
            f"holds multiples of {SMALLEST:.2g} up to {LARGEST:g}: {lost} of them would be rounded "
            "to 0; bring them nearer to each other, or leave --class-weight out"
        )
    return held


def quantise_weights(weights: Floats) -> Ints:
    """Weights (n) of `weigh` as the engine takes them."""
    return np.rint(weights / SMALLEST).astype(np.int64)
