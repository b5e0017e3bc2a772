from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from zipsgd.hdl.contract.formats import WEIGHT_FRAC
from zipsgd.hdl.contract.job import Epoch, Loss, Step
from zipsgd.host.cli.app import app
from zipsgd.host.codes.copies import Part
from zipsgd.host.codes.sample_weights import (
    LARGEST,
    class_weights,
    quantise_weights,
    take_weights,
    weigh,
)
from zipsgd.host.codes.weaving import unweave
from zipsgd.host.data.dataset import Dataset, Floats
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices.open import open_device
from zipsgd.host.errors import InputError
from zipsgd.host.options.options import Options
from zipsgd.host.training.advice import advise
from zipsgd.host.training.loop import train_float
from zipsgd.host.training.prepare import prepare_source
from zipsgd.host.training.task import prepare


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


@pytest.mark.parametrize("drop_constant", [False, True])
def test_equal_weights_are_no_constant_feature(tmp_path: Path, drop_constant: bool) -> None:
    path, more = tmp_path / "a.csv", ["--drop-constant"] * drop_constant
    name, value = (",c", ",3") if drop_constant else ("", "")
    rows = (f"{k % 7},1{value},{k % 2}\n" for k in range(40))
    path.write_text(f"a,w{name},y\n" + "".join(rows))
    options = Options(epochs=2, loss="logistic", sample_weight="w")
    task = prepare_source(str(path), None, drop_constant, options)
    assert task.feature_names == ("a",)
    assert isinstance(task.train, Part) and task.train.weights is not None
    assert (task.train.weights == 1).all()
    command = ["plan", str(path), "--beat-width", "64", "--json", "--sample-weight", "w", *more]
    record = json.loads(CliRunner().invoke(app, command).stdout)
    assert (record["features"], record["weighted"]) == (1, True)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("w,y\n1,0\n1,1\n", "has no column but 'w'; add features to learn from"),
        ("a,w,y\n3,1,0\n3,2,1\n", "every feature is constant; add features that vary"),
        ("a,b,w,y\n3,1,1,0\n3,2,1,1\n", "feature a is constant .* pass --drop-constant"),
        ("a,w,y\n1,0,0\n2,0,1\n", "run from 0 to 0 .* with one above 0"),
    ],
)
def test_what_weights_leave_must_be_features(tmp_path: Path, rows: str, says: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(rows)
    with pytest.raises(InputError, match=says):
        prepare_source(str(path), None, False, Options(sample_weight="w"))


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
    weights = weigh(y, class_weights(y, "balanced"), None)
    assert weights is not None
    assert weights[0] == LARGEST
    assert weights[0] / weights[-1] == pytest.approx(99, rel=0.02)


def test_products_of_weights_keep_their_ratios() -> None:
    y, given = np.array([1.0, -1.0, -1.0, 1.0]), np.array([4.0, 4.0, 1.0, 0.0])
    weights = weigh(y, {1.0: 10.0, -1.0: 0.5}, given)
    assert weights is not None
    assert weights.tolist() == [LARGEST, 205 / 256, 51 / 256, 0]


@pytest.mark.parametrize(("by_class", "small"), [({1.0: 10.0, -1.0: 0.5}, 0.003), (None, 0.001)])
def test_weights_that_would_vanish_are_named(
    by_class: dict[float, float] | None, small: float
) -> None:
    y, given = np.array([1.0, -1.0, -1.0]), np.array([1.0, small, 0.0])
    with pytest.raises(InputError, match="1 of them would be rounded to 0; bring them nearer"):
        weigh(y, by_class, given)


@pytest.mark.parametrize(("rare", "warned"), [(5, True), (1000, False)])
def test_coarse_weights_are_warned_of(
    rare: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    features = np.random.default_rng(0).normal(size=(5000, 2))
    y = np.where(np.arange(5000) % (5000 // rare) == 0, 1.0, 0.0)
    options = Options(loss="logistic", step=0.01, epochs=1, class_weight="balanced")
    advise(prepare(Dataset("t", features, y, ("a", "b")), options))
    assert ("bring them nearer to each other" in caplog.text) == warned


def test_a_step_that_a_weight_makes_too_large() -> None:
    """The engine would hold the correction at its largest coefficient."""
    y = np.where(np.arange(40) % 8, 0.0, 1.0)
    features = np.random.default_rng(0).normal(size=(40, 2))
    options = Options(bits=2, step=2.0**-4, epochs=1, loss="squared-hinge", class_weight="balanced")
    message = "step size 0.0625 with weights up to 4 is too large for the correction at 2 bits"
    with pytest.raises(InputError, match=message):
        prepare(Dataset("t", features, y, ("a", "b")), options)
    task = prepare(Dataset("t", features, y, ("a", "b")), replace(options, step=2.0**-5))
    (job,), (woven, *_) = task.jobs, task.copies
    steep = replace(job, epochs=(Epoch(step=Step.nearest(2.0**-4, task.config)),))
    device = open_device("golden", task.config)
    device.load_model(np.zeros(job.chunks * task.config.lanes, dtype=np.int64))
    with pytest.raises(ValueError, match=message):
        device.run(steep, woven)
    assert device.run(job, woven).error_saturations == 0
    for loss, bound in ((Loss.LOGISTIC, 0.25), (Loss.HINGE, 0.0), (Loss.HUBER, 1.0)):
        for share in (0.5, 0.99, 1.0, 1.01, 2.0):
            most = 2.0 ** (task.config.coefficient_bits - task.config.coefficient_frac + 2)
            step = Step.nearest(2.0**-6 * share, task.config)
            weight = round(most / 2.0**-6 / max(bound, 0.25)) << WEIGHT_FRAC
            asked = replace(job, loss=loss, epochs=(Epoch(step=step),))
            context: Any = nullcontext()
            if bound and share >= 1:
                context = pytest.raises(ValueError, match="lower the step or the weights")
            with context:
                asked.check_weights(task.config, weight)


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
