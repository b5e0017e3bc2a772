"""A data set in memory, and its parts for training and for evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .encoding import Encoding
from .gather import Floats as Floats
from .gather import select_columns

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples with their labels, unscaled.

    Parameters
    ----------
    name : str
        What messages and reports call it.
    features : float64 (n, d)
    labels : float64 (n)
    feature_names : tuple of d str
    test : Dataset or None
        The official test part, if the source has one.
    encoding : Encoding or None
        How columns became features, if that is more than taking their numbers.
    """

    name: str
    features: Floats
    labels: Floats
    feature_names: tuple[str, ...]
    test: Dataset | None = None
    encoding: Encoding | None = None

    @property
    def classification(self) -> bool:
        """Whether the labels have exactly two distinct values."""
        return len(np.unique(self.labels)) == 2

    def split(self, holdout: float, seed: int) -> tuple[Dataset, Dataset]:
        """The training part, its rows shuffled once, and the held-out part.

        The held-out part is the official test part, or else ``holdout`` of the samples (a share,
        at least one sample) drawn at random.

        Raises
        ------
        InputError
            If ``holdout`` is not above 0 and below 1.
        """
        train, held_out = self.parts(holdout, seed)
        if self.test is not None:
            return self._take(train), self.test
        return self._take(train), self._take(held_out)

    def parts(self, holdout: float, seed: int) -> tuple[Rows, Rows]:
        """Indices of the samples of the two parts of `split`; held out none if `test` is."""
        if not 0 < holdout < 1:
            raise InputError(
                f"the share of samples to hold out must be above 0 and below 1, not {holdout:g}"
            )
        order = np.random.default_rng(seed).permutation(len(self.labels))
        count = min(max(round(holdout * len(order)), 1), len(order) - 1)
        if self.test is not None:
            count = 0
        return order[count:], order[:count]

    def select(self, columns: NDArray[np.int64]) -> Dataset:
        """The data set with these features alone, in its test part too."""
        return replace(
            self,
            features=select_columns(self.features, columns),
            feature_names=tuple(self.feature_names[j] for j in columns),
            test=None if self.test is None else self.test.select(columns),
        )

    def _take(self, rows: Rows) -> Dataset:
        return replace(self, features=self.features[rows], labels=self.labels[rows], test=None)
