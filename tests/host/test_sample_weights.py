from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hdl.formats import WEIGHT_FRAC
from host.copies import Part
from host.dataset import Dataset, Floats
from host.errors import InputError
from host.options import Options
from host.readers import read_dataset
from host.sample_weights import LARGEST, class_weights, quantise_weights, take_weights, weigh
from host.task import prepare
from host.training import train_float
from host.weaving import unweave


def table(weights: Floats) -> Dataset:
    rng = np.random.default_rng(0)
    features = np.column_stack(
        [rng.normal(size=len(weights)), weights, rng.normal(size=len(weights))]
    )
    return Dataset("t", features, np.where(features[:, 0] < 0.5, 0.0, 1.0), ("a", "w", "b"))


def test_a_column_becomes_weights_and_no_feature() -> None:
    given = np.array([0.5, 1.0, 0.0, 3.0])
    weights, rest = take_weights(table(given), "w")
    assert weights.tolist() == given.tolist()
    assert rest.feature_names == ("a", "b") and rest.features.shape == (4, 2)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ([1.0, -1.0], "run from -1 to 1"),
        ([1.0, 16.0], "run from 1 to 16"),
        ([0.0, 0.0], "with one above 0"),
        ([1.0, 0.001], "1 weights in column w are above 0 but below 0.00195312"),
    ],
)
def test_weights_that_the_engine_cannot_take_are_named(weights: list[float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        take_weights(table(np.array(weights)), "w")


def test_new_data_need_not_have_the_column(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,w,y\n" + "".join(f"{k % 7},{1 + k % 2},{k % 2}\n" for k in range(40)))
    dataset = read_dataset(str(path), impute=True)
    encoding = take_weights(dataset, "w")[1].encoding
    assert encoding is not None and encoding.columns == ("a",) and list(encoding.fill) == ["a"]


def test_balanced_classes_weigh_alike_and_one_on_average() -> None:
    y = np.array([1.0, -1.0, -1.0, -1.0])
    by_class = class_weights(y, "balanced")
    weights = weigh(y, by_class, None)
    assert weights is not None
    assert by_class == {1.0: 2.0, -1.0: 2 / 3}
    assert abs(weights[0] - weights[1:].sum()) < 3 / 512 and abs(weights.mean() - 1) < 1 / 512
    doubled = weigh(y, by_class, np.full(4, 2.0))
    assert doubled is not None and doubled[0] == 4
    assert weigh(y, None, None) is None


def test_a_rare_class_keeps_its_ratio() -> None:
    y = np.where(np.arange(1000) < 10, 1.0, -1.0)
    by_class = class_weights(y, "balanced")
    assert by_class[1.0] == pytest.approx(LARGEST)
    assert by_class[1.0] / by_class[-1.0] == pytest.approx(99)


def test_the_stream_has_the_weights_that_the_loss_counts() -> None:
    rng = np.random.default_rng(1)
    dataset = table(rng.uniform(0.2, 3, size=200))
    options = Options(loss="logistic", class_weight="balanced", sample_weight="w", epochs=2)
    task = prepare(dataset, options)
    stream = unweave(task.copies[1], task.config).weights
    assert isinstance(task.train, Part)
    weights = task.train.weights
    assert stream is not None and weights is not None
    assert np.array_equal(stream.reshape(-1)[: len(weights)], quantise_weights(weights))
    assert np.array_equal(weights * (1 << WEIGHT_FRAC), quantise_weights(weights))
    assert all(job.weighted for job in task.jobs)
    losses = task.evaluate(np.zeros(3))
    assert losses.train == pytest.approx(np.log(2)) == losses.heldout


def test_a_weight_of_two_counts_like_two_samples() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 2))
    y = np.where(x[:, 0] + 0.5 * rng.normal(size=300) > 0.3, 1.0, 0.0)
    test = Dataset("t", x, y, ("a", "b"))
    twice = Dataset("t", np.vstack([x, x[y > 0]]), np.append(y, y[y > 0]), ("a", "b"), test)
    weighed = Dataset(
        "t",
        np.column_stack([x, 1 + y]),
        y,
        ("a", "b", "w"),
        Dataset("t", np.column_stack([x, 1 + y]), y, ("a", "b", "w")),
    )
    found = []
    base = Options(loss="logistic", epochs=200, step=2.0**-7, schedule="constant", batch=40)
    for dataset, column in ((twice, None), (weighed, "w")):
        *_, last = train_float(prepare(dataset, replace(base, sample_weight=column)))
        found.append(last.train)
    assert found[0] == pytest.approx(found[1], rel=2e-3)
