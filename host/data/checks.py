"""What the data of every source is checked for, and the sentences that say what is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import InputError
from .dataset import Dataset, Floats
from .gather import windows

LARGEST = 1e100
"""Largest magnitude of a value: above it, a variance could overflow."""

MAX_NAMES = 8
"""Most names that one message lists."""

NO_NUMBER = "encode it as a number or remove the line"
"""What to do about a text that is not a number."""

MAX_SHOWN = 40
"""Most characters of a value that one message shows."""


def number(text: str) -> float | None:
    """The value of ``text``, if it is that of a number."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def usable(values: Floats) -> bool:
    """Whether every value is finite, and not so large that sums overflow."""
    return bool((np.abs(values) <= LARGEST).all())  # false for NaN too


def value_fault(what: str, value: float) -> str:
    """The sentence on a value that is not `usable`."""
    return f"{what} is {value:g}, which cannot be trained on; fill it in or remove the sample"


def cell_faults(what: str, text: str, remedy: str = NO_NUMBER) -> Iterator[str]:
    """The sentence on the text of a value, if something is wrong with it."""
    value = number(text)
    if value is None:
        found = f"is {text[:MAX_SHOWN]!r}, not a number" if text else "is empty"
        yield f"{what} {found}; {remedy}"
    elif not abs(value) <= LARGEST:
        yield value_fault(what, value)


def one_line(text: str) -> str:
    """Text from a file or a library, fit for a message."""
    return " ".join(text.split())


def listed(names: Sequence[str]) -> str:
    """The names, cut short if there are many."""
    rest = len(names) - MAX_NAMES
    return one_line(", ".join(names[:MAX_NAMES])) + (f" and {rest} more" if rest > 0 else "")


def target_column(source: str, names: Sequence[str], target: str | None) -> int:
    """Index of the column that ``target`` names, or counts from 0; the last if it is None.

    Raises
    ------
    InputError
        If there is no such column, or several.
    """
    if not names:
        raise InputError(f"{source} has no columns; give it features and labels")
    if target is None:
        return len(names) - 1
    if names.count(target) > 1:
        raise InputError(
            f"{source}: {names.count(target)} columns are named {target}; use an index from 0"
        )
    if target in names:
        return names.index(target)
    if re.fullmatch(r"-?\d{1,9}", target) and -len(names) <= int(target) < len(names):
        return int(target) % len(names)
    raise InputError(
        f"{source}: there is no column {target}; name one of {listed(names)}, "
        f"or give an index from 0 to {len(names) - 1}"
    )


def trainable(
    source: str, dataset: Dataset, drop_constant: bool, sample_weight: str | None = None
) -> Dataset:
    """The data set, if it can be trained on: without constant features, if they may be dropped.

    The column ``sample_weight`` is no feature and may be constant.
    """
    features, labels, test = dataset.features, dataset.labels, dataset.test
    if len(labels) < 2:
        count = "one sample" if len(labels) else "no samples"
        raise InputError(f"{source} has {count}; training needs at least two, add some")
    if not features.shape[1]:
        raise InputError(f"{source} has labels but no features; add a column at least")
    if (labels == labels[0]).all():
        raise InputError(
            f"{source}: every label is {labels[0]:g}, so there is nothing to learn; "
            "check which column holds the labels"
        )
    if test is not None and test.features.shape[1] != features.shape[1]:
        raise InputError(
            f"{source}: the training part has {features.shape[1]} features and the test part "
            f"{test.features.shape[1]}; save both with the same columns"
        )
    if test is not None and dataset.classification and not np.isin(test.labels, labels).all():
        raise InputError(
            f"{source}: the test part has labels that the training part has not; "
            "use the same two values in both"
        )

    constant = np.ones(features.shape[1], dtype=np.bool_)
    for _, rows in windows(features):
        constant &= (rows == features[0]).all(axis=0)
    learned = np.arange(features.shape[1])
    if sample_weight in dataset.feature_names:
        learned = np.delete(learned, dataset.feature_names.index(sample_weight))
    dropped = learned[constant[learned]]
    if len(dropped) == len(learned) > 0:
        raise InputError(f"{source}: every feature is constant; add features that vary")
    if len(dropped) and not drop_constant:
        names = [dataset.feature_names[j] for j in dropped]
        subject = f"feature {names[0]} is" if len(names) == 1 else f"features {listed(names)} are"
        raise InputError(
            f"{source}: {subject} constant and cannot be learned from; "
            "pass --drop-constant to leave out such features"
        )
    kept = np.delete(np.arange(features.shape[1]), dropped)
    return dataset.select(kept) if len(dropped) else dataset
