"""A saved model on new data: its columns found by name, predictions, and how good they are."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ..codes.scaling import with_intercept
from ..data.checks import listed
from ..data.dataset import Dataset, Floats
from ..data.gather import windows
from ..errors import InputError
from ..options.losses import mean_loss, sigmoid
from .model_file import Model

if TYPE_CHECKING:
    from .engine_predict import EngineModel

_logger = logging.getLogger(__name__)


def aligned(source: str, model: Model, dataset: Dataset) -> Dataset:
    """The data set with the model's features, in the model's order, in its test part too.

    Columns are found by name; others are ignored. Numbered columns stand for named ones, and those
    that count from 0 for those that count from 1, if there are as many. An index past the end of
    LIBSVM text is 0.

    Raises
    ------
    InputError
        If a feature of the model is missing.
    """
    wanted, names = model.feature_names, dataset.feature_names
    if names == wanted:
        return dataset
    known = {name: j for j, name in enumerate(names)}
    missing = [name for name in wanted if name not in known]
    numbered = [all(map(str.isdecimal, each)) for each in (names, wanted)]
    # Arrays count from 0, LIBSVM text mostly from 1.
    shifted = all(numbered) and (names[:1] == ("0",)) != (wanted[:1] == ("0",))
    by_place = numbered[0] != numbered[1] or (shifted and _whole(names) and _whole(wanted))
    if missing and len(names) == len(wanted) and by_place:
        return _renamed(dataset, wanted)
    last = max(map(int, names), default=-1) if all(numbered) else 0
    past_end = all(numbered) and not shifted and all(int(name) > last for name in missing)
    if missing and not past_end:
        raise InputError(
            f"{source} lacks {len(missing)} of the {len(wanted)} features of the model: "
            f"{listed(missing)}; give it data with the same columns"
        )
    ignored = [name for name in names if name not in set(wanted)]
    if ignored:
        _logger.info("%s: the model does not use %s", source, listed(ignored))
    columns = np.array([known.get(name, -1) for name in wanted])
    return _selected(dataset, columns, wanted)


def _whole(names: tuple[str, ...]) -> bool:
    """Whether no number is left out."""
    return [int(name) - int(names[0]) for name in names] == list(range(len(names)))


def margins(model: Model, features: Floats) -> Iterator[Floats]:
    """The margins of features (n, d) in the units of the data set, a window of samples at a time.

    Raises
    ------
    InputError
        If the number of features is not the model's.
    """
    for _, rows in windows(features):
        yield with_intercept(model.scaling.apply(rows, model.bits)) @ model.weights


def write_predictions(model: Model, z: Iterable[Floats], out: TextIO) -> None:
    """CSV with a row for each of the margins z: the predicted label; with two classes, the margin
    as well, and of a logistic model the probability of the larger label."""
    classes, logistic = model.label_scaling.classification, model.loss == "logistic"
    heading = ["prediction", *["margin"] * classes, *["probability"] * logistic]
    out.write(",".join(heading) + "\n")
    for part in z:
        labels = model.label_scaling.invert(part).tolist()
        columns = [map(_shown if classes else repr, labels)]
        if classes:
            columns.append(map(repr, part.tolist()))
        if logistic:
            columns.append(map(repr, sigmoid(part).tolist()))
        out.writelines(f"{','.join(row)}\n" for row in zip(*columns, strict=True))


def metrics(model: Model, dataset: Dataset, engine: EngineModel | None = None) -> dict[str, Any]:
    """How good the predictions are, of ``engine`` if there is one.

    ``loss`` is the mean of the model's loss in scaled label units, as training reports it but for
    weights of samples. With two classes: accuracy, area under the ROC curve, and counts of the
    four outcomes, the larger label being positive; otherwise R2, and errors in units of the
    labels. What a part with equal labels does not define is None.

    Raises
    ------
    InputError
        If a label is neither of the model's two classes.
    """
    scaling, labels = model.label_scaling, dataset.labels
    strange = labels[(labels != scaling.low) & (labels != scaling.high)]
    if scaling.classification and strange.size:
        raise InputError(
            f"{dataset.name} has a label {strange[0]:g}, and the model tells {scaling.low:g} "
            f"from {scaling.high:g}; give it data with these labels"
        )
    y, features = scaling.apply(labels), dataset.features
    parts = margins(model, features) if engine is None else engine.margins(features)
    z = np.concatenate([np.empty(0), *parts])
    loss = mean_loss(model.loss, z, y) if engine is None else engine.loss(features, y)
    result: dict[str, Any] = {"samples": len(labels), "loss": loss}
    if scaling.classification:
        true, found = y > 0, z >= 0
        return result | {
            "accuracy": float(np.mean(true == found)),
            "auc": _auc(z, true),
            "true_positives": int((true & found).sum()),
            "false_positives": int((~true & found).sum()),
            "true_negatives": int((~true & ~found).sum()),
            "false_negatives": int((true & ~found).sum()),
        }
    error, variance = scaling.invert(z) - labels, float(y.var())
    return result | {
        "R2": 1 - float(np.square(z - y).mean()) / variance if variance else None,
        "root_mean_squared_error": float(np.sqrt(np.square(error).mean())),
        "mean_absolute_error": float(np.abs(error).mean()),
    }


def _auc(z: Floats, positive: Any) -> float | None:
    """The share of pairs of a positive and a negative sample that ``z`` orders rightly."""
    count = int(positive.sum())
    pairs = count * (len(z) - count)
    if not pairs:
        return None
    _, rank, ties = np.unique(z, return_inverse=True, return_counts=True)
    mid_rank = np.cumsum(ties) - (ties - 1) / 2
    return float((mid_rank[rank][positive].sum() - count * (count + 1) / 2) / pairs)


def _selected(dataset: Dataset, columns: Any, names: tuple[str, ...]) -> Dataset:
    """Some columns, 0 where the index is -1."""
    present = columns >= 0
    if present.all():
        return _renamed(dataset.select(columns), names)

    def widened(part: Dataset) -> Dataset:
        features = np.zeros((len(part.labels), len(columns)))
        features[:, present] = part.features[:, columns[present]]
        test = None if part.test is None else widened(part.test)
        return Dataset(part.name, features, part.labels, names, test)

    return widened(dataset)


def _renamed(dataset: Dataset, names: tuple[str, ...]) -> Dataset:
    test = None if dataset.test is None else _renamed(dataset.test, names)
    return Dataset(dataset.name, dataset.features, dataset.labels, names, test)


def _shown(label: float) -> str:
    """A class: whole numbers without a point."""
    return str(int(label)) if label.is_integer() else repr(label)
