"""Tables with named columns: categories become one column each, missing values are filled in.

The rule of imputation: a missing number becomes the median of its column, a missing category the
most frequent one, over all samples of the file that have it. A missing label is always an error.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import MAX_SHOWN, one_line, target_column
from .dataset import Dataset, Floats
from .errors import InputError
from .gather import MAX_COLUMNS, Gatherer, windows

MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})
"""Texts that stand for a missing value, in small letters."""

MAX_CATEGORIES = 1000

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What to make of a table.

    Parameters
    ----------
    target : str or None
        Column with the labels, by name or index; the last one if None.
    one_hot : tuple of str
        Columns with categories, by name or index.
    impute : bool
        Fill in missing values; otherwise they are an error.
    """

    target: str | None = None
    one_hot: tuple[str, ...] = ()
    impute: bool = False


@dataclass(eq=False)
class TableBuilder:
    """Collects the rows of a table, categories as their numbers, missing values as NaN.

    Parameters
    ----------
    source : str
    source_bytes : int
        See `Gatherer`.
    names : sequence of str
        Of all columns.
    options : TableOptions
    """

    source: str
    source_bytes: int
    names: Sequence[str]
    options: TableOptions
    target: int = field(init=False)
    categories: dict[int, dict[str, int]] = field(init=False)

    def __post_init__(self) -> None:
        if len(self.names) > MAX_COLUMNS:
            raise InputError(
                f"{self.source} has {len(self.names)} columns, more than {MAX_COLUMNS}; "
                "select features"
            )
        self.target = target_column(self.source, self.names, self.options.target)
        found = (target_column(self.source, self.names, name) for name in self.options.one_hot)
        self.categories = {column: {} for column in found}
        if self.target in self.categories:
            raise InputError(
                f"{self.source}: column {self.names[self.target]} holds the labels and cannot be "
                "one-hot; leave it out of --one-hot or choose another --target"
            )
        self._gatherer = Gatherer(self.source, self.source_bytes)

    def code(self, column: int, text: str) -> int:
        """The number of a category."""
        known = self.categories[column]
        if text not in known and len(known) == MAX_CATEGORIES:
            raise InputError(
                f"{self.source}: column {self.names[column]} has more than {MAX_CATEGORIES} "
                "categories; leave it out of --one-hot"
            )
        return known.setdefault(text, len(known))

    def append(self, rows: Floats) -> None:
        """Rows (m, columns)."""
        self._gatherer.append(np.delete(rows, self.target, axis=1), rows[:, self.target])

    def finish(self) -> Dataset:
        """The data set of all rows."""
        features, labels = self._gatherer.finish()
        names = [name for j, name in enumerate(self.names) if j != self.target]
        if not len(labels):
            features = np.empty((0, len(names)))
        known = {j - (j > self.target): found for j, found in self.categories.items()}
        if self.options.impute:
            self._fill_in(features, names, known)
        if known and len(labels):
            features, names = self._expand(features, names, known)
        return Dataset(Path(self.source).name, features, labels, tuple(names))

    def _fill_in(
        self, features: Floats, names: list[str], known: dict[int, dict[str, int]]
    ) -> None:
        for j, name in enumerate(names):
            column = np.asarray(features[:, j])
            missing = np.isnan(column)
            count = int(missing.sum())
            if not count:
                continue
            present = column[~missing]
            if not present.size:
                raise InputError(
                    f"{self.source}: column {name} has no values at all; remove the column"
                )
            if j in known:
                counts = np.bincount(present.astype(np.int64))
                value = float(counts.argmax())
                shown = f"{list(known[j])[int(value)][:MAX_SHOWN]}, the most frequent one"
            else:
                value = float(np.median(present))
                shown = f"{value:g}, the median"
            features[missing, j] = value
            _logger.info("%s: %d missing values of %s became %s", self.source, count, name, shown)

    def _expand(
        self, features: Floats, names: list[str], known: dict[int, dict[str, int]]
    ) -> tuple[Floats, list[str]]:
        gatherer = Gatherer(self.source, features.nbytes * 2)
        empty = np.empty(0)
        for _, rows in windows(features):
            parts: list[NDArray[Any]] = []
            for j in range(len(names)):
                if j in known:
                    order = [known[j][text] for text in sorted(known[j])]
                    parts.append(rows[:, j : j + 1] == np.array(order))
                else:
                    parts.append(rows[:, j : j + 1])
            gatherer.append(np.hstack(parts), empty)
        wide = [
            one_line(f"{name}={text}") if text is not None else name
            for j, name in enumerate(names)
            for text in (sorted(known[j]) if j in known else [None])
        ]
        return gatherer.finish()[0], wide
