"""How the named columns of a table become numbers: fitted on one table, applied to others.

It is saved with the model. On new data a missing value becomes the one that training filled in, not
that of the new data. A category that training did not have sets none of its column's features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What `host.data.tables` found in the columns of a table.

    Parameters
    ----------
    columns : tuple of str
        Names of all columns but the labels', each of them once.
    categories : dict of str to tuple of str
        Of a column with categories: those it has, in the order of their features.
    fill : dict of str to (float or str)
        What stands for a missing value of a column: every column has one, or none has.
    """

    columns: tuple[str, ...]
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fill: dict[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = set(self.columns)
        if len(known) != len(self.columns) or not {*self.categories, *self.fill} <= known:
            raise ValueError("the encoding describes columns that are not there, or one twice")
        texts = [
            *self.columns,
            *(text for found in self.categories.values() for text in found),
        ]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("names of columns and categories must be text")
        for name, value in self.fill.items():
            if name in self.categories:
                good = value in self.categories[name]
            else:
                good = isinstance(value, float) and math.isfinite(value)
            if not good:
                raise ValueError(f"{value!r} cannot stand for a missing value of {name}")

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `from_json` reads back without loss."""
        return {
            "columns": list(self.columns),
            "categories": {name: list(found) for name, found in self.categories.items()},
            "fill": dict(self.fill),
        }

    @classmethod
    def from_json(cls, saved: Any) -> Self | None:
        """None of None; `KeyError`, `TypeError` or `ValueError` unless `to_json` made the rest."""
        if saved is None:
            return None
        if not isinstance(saved, dict):
            raise TypeError("an encoding must be an object")
        categories, fill = saved["categories"], saved["fill"]
        if not isinstance(categories, dict) or not isinstance(fill, dict):
            raise TypeError("categories and fill must be objects")
        encoding = cls(
            columns=tuple(saved["columns"]),
            categories={name: tuple(found) for name, found in categories.items()},
            fill=fill,
        )
        if encoding.to_json() != saved:
            raise ValueError("a value has the wrong type")
        return encoding
