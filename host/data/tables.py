"""Tables with named columns: categories become one column each, missing values are filled in.

The rule of imputation: a missing number becomes the median of its column, a missing category the
most frequent one, over all samples of the file that have it. A missing label is always an error.
What was found is kept (`host.data.encoding`) and applied to the data that a model predicts on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .checks import MAX_SHOWN, one_line, target_column
from .dataset import Dataset, Floats
from .encoding import Encoding
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
    labelled : bool
        Whether one of the columns holds labels; otherwise the labels become 0.
    encoding : Encoding or None
        Of a model: it says which columns hold categories, and what fills in missing values.
    """

    target: str | None = None
    one_hot: tuple[str, ...] = ()
    impute: bool = False
    labelled: bool = True
    encoding: Encoding | None = None


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

    Members
    -------
    target : int
        The labels' column.
    categories : dict of int to dict
        Columns with categories, and the number of each category.
    impute : bool
        Whether missing values are filled in.
    """

    source: str
    source_bytes: int
    names: Sequence[str]
    options: TableOptions
    target: int = field(init=False)
    categories: dict[int, dict[str, int]] = field(init=False)
    impute: bool = field(init=False)

    def __post_init__(self) -> None:
        if len(self.names) > MAX_COLUMNS:
            raise InputError(
                f"{self.source} has {len(self.names)} columns, more than {MAX_COLUMNS}; "
                "select features"
            )
        self.target = len(self.names)  # no column
        if self.options.labelled:
            self.target = target_column(self.source, self.names, self.options.target)
        encoding = self.options.encoding
        if encoding is None:
            found = (target_column(self.source, self.names, name) for name in self.options.one_hot)
            self.categories = {column: {} for column in found}
            self.impute = self.options.impute
        else:
            self.names = self._renamed(encoding)
            self.categories = {
                self.names.index(name): {text: number for number, text in enumerate(known)}
                for name, known in encoding.categories.items()
                if name in self.names
            }
            self.impute = bool(encoding.fill)
        if self.target in self.categories:
            raise InputError(
                f"{self.source}: column {self.names[self.target]} holds the labels and cannot be "
                "one-hot; leave it out of --one-hot or choose another --target"
            )
        if (self.categories or self.impute) and len(set(self.names)) != len(self.names):
            twice = next(name for name in self.names if list(self.names).count(name) > 1)
            raise InputError(
                f"{self.source}: two columns are named {twice}; rename one: categories and missing "
                "values go by names"
            )
        self._unknown: dict[int, int] = {}
        self._gatherer = Gatherer(self.source, self.source_bytes)

    def _renamed(self, encoding: Encoding) -> Sequence[str]:
        """The names of the columns; those of the model if these are numbers, and as many."""
        features = [j for j in range(len(self.names)) if j != self.target]
        numbered = all(map(str.isdecimal, (*self.names, *encoding.columns)))
        if not numbered or len(features) != len(encoding.columns):
            return self.names
        names = list(self.names)
        for j, name in zip(features, encoding.columns, strict=True):
            names[j] = name
        if self.target < len(names):
            names[self.target] = "label"
        return names

    def code(self, column: int, text: str) -> int:
        """The number of a category; -1 for one that the model does not know."""
        known = self.categories[column]
        if self.options.encoding is not None:
            if text not in known:
                self._unknown[column] = self._unknown.get(column, 0) + 1
            return known.get(text, -1)
        if text not in known and len(known) == MAX_CATEGORIES:
            raise InputError(
                f"{self.source}: column {self.names[column]} has more than {MAX_CATEGORIES} "
                "categories; leave it out of --one-hot"
            )
        return known.setdefault(text, len(known))

    def append(self, rows: Floats) -> None:
        """Rows (m, columns)."""
        if self.options.labelled:
            self._gatherer.append(np.delete(rows, self.target, axis=1), rows[:, self.target])
        else:
            self._gatherer.append(rows, np.zeros(len(rows)))

    def finish(self) -> Dataset:
        """The data set of all rows."""
        features, labels = self._gatherer.finish()
        names = [name for j, name in enumerate(self.names) if j != self.target]
        if not len(labels):
            features = np.empty((0, len(names)))
        known = {j - (j > self.target): found for j, found in self.categories.items()}
        for column, count in self._unknown.items():
            _logger.warning(
                "%s: %d samples have a category of %s that the model does not know; none of its "
                "features is set for them",
                self.source,
                count,
                self.names[column],
            )
        encoding = self.options.encoding
        fill = self._fill_in(features, names, known) if self.impute and len(labels) else {}
        if encoding is None and (known or fill):
            categories = {names[j]: tuple(sorted(found)) for j, found in known.items()}
            encoding = Encoding(columns=tuple(names), categories=categories, fill=fill)
        if known and len(labels):
            features, names = self._expand(features, names, known)
        return Dataset(Path(self.source).name, features, labels, tuple(names), encoding=encoding)

    def _fill_in(
        self, features: Floats, names: list[str], known: dict[int, dict[str, int]]
    ) -> dict[str, float | str]:
        """Replace every NaN; returns what stands for a missing value of each column."""
        fill: dict[str, float | str] = {}
        saved = None if self.options.encoding is None else self.options.encoding.fill
        for j, name in enumerate(names):
            column = np.asarray(features[:, j])
            missing = np.isnan(column)
            if saved is not None:
                # A column that the model does not use may hold anything.
                value, why = saved.get(name, 0.0), "that of training"
            elif missing.all():
                raise InputError(
                    f"{self.source}: column {name} has no values at all; remove the column"
                )
            elif j in known:
                most = np.bincount(column[~missing].astype(np.int64)).argmax()
                value, why = list(known[j])[most], "the most frequent one"
            else:
                value, why = float(np.median(column[~missing])), "the median"
            fill[name] = value
            if missing.any():
                features[missing, j] = known[j][value] if isinstance(value, str) else value
                shown = value[:MAX_SHOWN] if isinstance(value, str) else f"{value:g}"
                _logger.info(
                    "%s: %d missing values of %s became %s, %s",
                    *(self.source, missing.sum(), name, shown, why),
                )
        return fill

    def _expand(
        self, features: Floats, names: list[str], known: dict[int, dict[str, int]]
    ) -> tuple[Floats, list[str]]:
        """A feature for each category, in alphabetical order."""
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
