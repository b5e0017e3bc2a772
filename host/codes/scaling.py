"""Maps from the units of a data set to those of the engine: features to [-1, 1], labels near 0.

A scaling is fitted on the training part, applied to everything, and saved with the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Self, get_args

import numpy as np

from ..data.dataset import Floats
from ..errors import InputError
from ..options.choices import FeatureScale as FeatureScale
from .moments import Moments

SIGMAS = 4.0
"""Standard deviations from the mean to full scale under ``sigma``."""


def largest_code(bits: int) -> int:
    """N, the largest code of ``bits`` bits: odd, and ``-N`` is the smallest."""
    return (1 << (bits - 1)) - 1


def full_scale(bits: int, unsigned: bool = False) -> float:
    """What the engine reads for the feature v = 1: it takes code M as ``M / 2**(bits - 1)``.

    An unrounded feature v therefore enters a loss or a prediction as ``v * full_scale(bits)``.
    """
    return (1 + unsigned) * largest_code(bits) / (1 << (bits - 1))


def with_intercept(v: Floats) -> Floats:
    """(n, d) -> (n, d + 1): the last feature is the constant 1."""
    return np.hstack([v, np.ones((len(v), 1))])


@dataclass(frozen=True)
class TwoValued:
    """A column with two values, mapped on two odd codes so that every rounding leaves it exact.

    The rarer value becomes N. The commoner one becomes the odd code -m that brings the column's
    mean closest to zero: m / N nearest to p / (1 - p), where p is the rarer value's ``share``.
    """

    column: int
    rare: float
    common: float
    share: float

    @classmethod
    def fit(cls, column: int, moments: Moments) -> Self:
        """From the training values of a column, two of them distinct."""
        low, high = float(moments.low[column]), float(moments.high[column])
        share = float(moments.at_high[column] / moments.count)
        if share <= 0.5:
            return cls(column, rare=high, common=low, share=share)
        return cls(column, rare=low, common=high, share=1 - share)

    def apply(self, values: Floats, bits: int, unsigned: bool = False) -> Floats:
        """(n) -> (n), unclipped; values not seen in training fall on the line through the two.

        Unsigned codes take the two values to 0 and 1, whose codes are even and exact as well.
        """
        if unsigned:
            return (values - self.common) / (self.rare - self.common)
        n = largest_code(bits)
        m = 2 * math.floor(n * self.share / (1 - self.share) / 2) + 1
        position = (values - self.common) / (self.rare - self.common)
        # Both ends are written out: they must be exact, and a sum of fractions need not be.
        v = np.where(values == self.rare, 1.0, (position * (n + m) - m) / n)
        return np.where(values == self.common, -m / n, v)


@dataclass(frozen=True, eq=False)
class Scaling:
    """v = (feature - centre) / scale, clipped to [-1, 1]; columns with two values apart.

    Parameters
    ----------
    kind : str
        ``sigma``: mean-centred, 4 standard deviations to full scale; ``minmax``: the range to
        [-1, 1]; ``maxabs``: the largest magnitude to 1, zero stays zero.
    centre, scale : float64 (d)
        In units of the features; a scale of 0 marks a column that was constant: v = 0.
    two_valued : tuple of TwoValued
        Columns that are mapped on two odd codes instead, under every kind.
    unsigned : bool
        v is clipped to [0, 1], and ``centre`` is what becomes 0: the lower end of the range, or
        under ``sigma`` of its part within 4 standard deviations of the mean; zero under ``maxabs``.
    """

    kind: FeatureScale
    centre: Floats
    scale: Floats
    two_valued: tuple[TwoValued, ...]
    unsigned: bool = False

    def __post_init__(self) -> None:
        columns = {two.column for two in self.two_valued}
        if self.centre.shape != self.scale.shape or not columns <= set(range(len(self.scale))):
            raise ValueError("centre, scale and two_valued describe different columns")

    @classmethod
    def fit(cls, features: Floats, kind: FeatureScale = "sigma", unsigned: bool = False) -> Self:
        """From training features (n, d)."""
        return cls.of_moments(Moments.of([features]), kind, unsigned)

    @classmethod
    def of_moments(
        cls, moments: Moments, kind: FeatureScale = "sigma", unsigned: bool = False
    ) -> Self:
        """From the statistics of training features.

        Raises
        ------
        InputError
            If there is no such kind, or it cannot make these features unsigned.
        """
        low, high = moments.low, moments.high
        match kind:
            case "sigma":
                centre, scale = moments.mean, SIGMAS * moments.deviation
            case "minmax":
                centre, scale = (low + high) / 2, (high - low) / 2
            case "maxabs":
                centre, scale = np.zeros(low.shape), np.maximum(-low, high)
            case _:
                known = ", ".join(get_args(FeatureScale))
                raise InputError(f"there is no scaling {kind!r}; use one of {known}")
        if unsigned:
            if kind == "maxabs" and (low < 0).any():
                raise InputError(
                    f"feature {int(np.argmax(low < 0))} has negative values, which --unsigned with "
                    "--scale maxabs would cut off; use --scale sigma or minmax"
                )
            # From the lower end of the signed range, or of what there is, to the upper one.
            start = np.zeros(low.shape) if kind == "maxabs" else np.maximum(centre - scale, low)
            centre, scale = start, np.minimum(centre + scale, high) - start
        two = (moments.at_low + moments.at_high == moments.count) & (low != high)
        return cls(
            kind=kind,
            centre=centre,
            scale=np.where(low == high, 0.0, scale),
            two_valued=tuple(TwoValued.fit(int(j), moments) for j in np.flatnonzero(two)),
            unsigned=unsigned,
        )

    def apply(self, features: Floats, bits: int) -> Floats:
        """(n, d) -> v (n, d) in [-1, 1] or [0, 1]; only two-valued columns depend on ``bits``.

        Raises
        ------
        InputError
            If the number of features is not the one that the scaling was fitted on.
        """
        if features.shape[1] != len(self.scale):
            raise InputError(
                f"the data has {features.shape[1]} features and the model was trained on "
                f"{len(self.scale)}; give it data with the same columns"
            )
        v = np.zeros(features.shape)
        np.divide(features - self.centre, self.scale, out=v, where=self.scale > 0)
        for two in self.two_valued:
            v[:, two.column] = two.apply(features[:, two.column], bits, self.unsigned)
        return np.clip(v, 0.0 if self.unsigned else -1.0, 1.0, out=v)

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `from_json` reads back without loss."""
        return {
            "kind": self.kind,
            "centre": self.centre.tolist(),
            "scale": self.scale.tolist(),
            "two_valued": [asdict(two) for two in self.two_valued],
            "unsigned": self.unsigned,
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Raises `InputError` if ``saved`` is not what `to_json` makes."""
        with _reading_saved("scaling"):
            return cls(
                kind=saved["kind"],
                centre=np.array(saved["centre"], dtype=np.float64),
                scale=np.array(saved["scale"], dtype=np.float64),
                two_valued=tuple(TwoValued(**two) for two in saved["two_valued"]),
                unsigned=bool(saved.get("unsigned", False)),
            )


@dataclass(frozen=True)
class LabelScaling:
    """The affine map that takes label ``low`` to -1 and label ``high`` to +1.

    With two classes these are the smaller and the larger label; otherwise they lie one standard
    deviation below and above the mean, which standardises the labels.
    """

    classification: bool
    low: float
    high: float

    @classmethod
    def fit(cls, labels: Floats, classification: bool) -> Self:
        """From training labels (n).

        Raises
        ------
        InputError
            If all labels are equal.
        """
        low, high = float(labels.min()), float(labels.max())
        if low == high:
            raise InputError(
                f"every label of the training part is {low:g}: there is nothing to learn; "
                "use more samples, or another seed for the split"
            )
        if not classification:
            mean, deviation = float(labels.mean()), float(labels.std())
            low, high = mean - deviation, mean + deviation
        return cls(classification=classification, low=low, high=high)

    @property
    def centre(self) -> float:
        """The label that becomes 0."""
        return (self.low + self.high) / 2

    @property
    def scale(self) -> float:
        """Label units in one unit of the engine: the standard deviation, but for classes."""
        return (self.high - self.low) / 2

    def apply(self, labels: Floats) -> Floats:
        """Labels (n) -> scaled labels (n)."""
        return (labels - self.centre) / self.scale

    def invert(self, scaled: Floats) -> Floats:
        """Margins or scaled labels (n) -> labels (n); with two classes, the class of each sign."""
        if self.classification:
            return np.where(scaled < 0, self.low, self.high)
        return scaled * self.scale + self.centre

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `from_json` reads back without loss."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """Raises `InputError` if ``saved`` is not what `to_json` makes."""
        with _reading_saved("label scaling"):
            return cls(
                classification=bool(saved["classification"]),
                low=float(saved["low"]),
                high=float(saved["high"]),
            )


@contextmanager
def _reading_saved(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as fault:
        raise InputError(
            f"the saved {what} is damaged ({fault!r}); train the model again"
        ) from fault
