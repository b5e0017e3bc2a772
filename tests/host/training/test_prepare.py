"""A training from a packed set, or from the cache, is the training from the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from zipsgd.host.cli.app import app
from zipsgd.host.codes import data_cache
from zipsgd.host.codes.packed import CodedPart, PackOptions, pack
from zipsgd.host.data.dataset import Dataset
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices.software import GoldenDevice
from zipsgd.host.errors import InputError
from zipsgd.host.options.choices import LossName
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import EpochResult, Part, Task, prepare, train, train_float
from zipsgd.host.training.prepare import prepare_source

OPTIONS = Options(epochs=3, copies=2, seed=5)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ZIPSGD_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5))
    path = tmp_path / "a.csv"
    np.savetxt(path, np.column_stack([x, x @ np.arange(5) + rng.normal(size=300)]), delimiter=",")
    return str(path)


def trained(task: Task) -> list[EpochResult]:
    return list(train(task, GoldenDevice(task.config)))


def same(found: Task, expected: Task) -> None:
    for ours, theirs in zip(trained(found), trained(expected), strict=True):
        assert np.array_equal(ours.words, theirs.words)
        assert ours.losses == theirs.losses
        assert ours.counters == theirs.counters


def test_the_cache_changes_nothing(data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = prepare_source(data, None, False, OPTIONS)
    assert not (Path(data).parent / "cache").exists()
    monkeypatch.setattr(data_cache, "LEAST_BYTES", 1)
    for _ in range(2):
        same(prepare_source(data, None, False, OPTIONS), plain)
    assert len(list((Path(data).parent / "cache" / "packed").iterdir())) == 1


@pytest.mark.parametrize("unrounded", [True, False])
def test_a_packed_set_trains_alike(data: str, unrounded: bool) -> None:
    path = Path(data).with_suffix(".zsgd")
    packing = PackOptions(copies=2, seed=5, unrounded=unrounded)
    with path.open("wb") as stream:
        pack(read_dataset(data), stream, packing)
    found = prepare_source(str(path), None, False, replace(OPTIONS, bits=8, copies=8))
    expected = prepare(read_dataset(data), OPTIONS)
    assert found.jobs == expected.jobs and found.options == expected.options
    if unrounded:
        assert isinstance(found.train, Part)
        same(found, expected)
        return
    assert isinstance(found.train, CodedPart)
    for ours, theirs in zip(trained(found), trained(expected), strict=True):
        assert np.array_equal(ours.words, theirs.words)
        assert ours.losses.heldout == theirs.losses.heldout
        # Estimated from the codes of 240 samples, whose noise is about 0.005.
        assert ours.losses.train == pytest.approx(theirs.losses.train, abs=0.01)
    with pytest.raises(InputError, match="pack it with --unrounded"):
        next(train_float(found))


AGAINST = [
    (("--bits", "4"), "--bits 3 and the command line says --bits 4"),
    (("--rounding", "single"), "--rounding double and the command line says --rounding single"),
    (("--copies", "8"), "--copies 2 and the command line says --copies 8"),
    (("--scale", "minmax"), "--scale sigma and the command line says --scale minmax"),
    (("--holdout", "0.25"), "--holdout 0.2 and the command line says --holdout 0.25"),
    (("--lanes", "32"), "lanes = 16 and the engine has 32"),
]


@pytest.mark.parametrize("command", ["train", "compare"])
def test_an_option_that_contradicts_a_packed_set_is_refused(data: str, command: str) -> None:
    path = str(Path(data).with_suffix(".zsgd"))
    with Path(path).open("wb") as stream:
        pack(read_dataset(data), stream, PackOptions(bits=3, copies=2))
    devices = ("--devices", "golden,fast") if command == "compare" else ("--device", "fast")

    def run(*more: str) -> Result:
        return CliRunner().invoke(app, [command, path, *devices, "--epochs", "1", *more])

    assert run().exit_code == run("--bits", "3", "--copies", "2").exit_code == 0
    for arguments, message in AGAINST:
        done = run(*arguments)
        assert done.exit_code == 2 and message in done.stderr and not done.stdout
        assert done.stderr.count("\n") == 1


def test_a_packed_set_is_not_read_another_way(data: str) -> None:
    with pytest.raises(InputError, match="leave out the options on how to read data"):
        prepare_source("a.zsgd", "y", False, OPTIONS)


@pytest.mark.parametrize("loss", ["logistic", "squared-hinge"])
def test_a_loss_is_estimated_from_codes_to_second_order(loss: LossName, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, 5))
    labels = np.where(x @ np.arange(5) / 4 + rng.normal(size=4000) > 0, 1.0, 0.0)
    dataset = Dataset("made", x, labels, tuple("abcde"))
    path, options = tmp_path / "a.zsgd", replace(OPTIONS, loss=loss)
    with path.open("wb") as stream:
        pack(dataset, stream, PackOptions(copies=2, seed=5))
    found, expected = prepare_source(str(path), None, False, options), prepare(dataset, options)
    assert isinstance(found.train, CodedPart)
    for ours, theirs in zip(trained(found), trained(expected), strict=True):
        assert np.array_equal(ours.words, theirs.words)
        assert ours.losses.train == pytest.approx(theirs.losses.train, rel=0.06)
    uncorrected = replace(found.train, corrected=False)
    weights = expected.model(trained(expected)[-1].words).weights
    exact = expected.train.loss(weights)
    assert uncorrected.loss(weights) - exact > 2 * abs(found.train.loss(weights) - exact)


@pytest.mark.parametrize(
    "changes", [{"unsigned": True}, {"class_weight": "balanced"}, {"sample_weight": "a"}]
)
def test_what_a_packed_set_lacks_is_refused(
    data: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(data).with_suffix(".zsgd")
    dataset = read_dataset(data)
    classes = replace(dataset, labels=np.sign(dataset.labels))
    with path.open("wb") as stream:
        pack(classes, stream, PackOptions())
    with pytest.raises(InputError, match="comes too late; name the original data"):
        prepare_source(str(path), None, False, replace(OPTIONS, loss="hinge", **changes))
    if "unsigned" in changes:
        monkeypatch.setattr(data_cache, "LEAST_BYTES", 1)  # large data are not packed then
        task = prepare_source(data, None, False, replace(OPTIONS, **changes))
        assert all(copy.unsigned for copy in task.copies) and isinstance(task.train, Part)


def test_a_packed_regression_has_no_classes(data: str) -> None:
    path = Path(data).with_suffix(".zsgd")
    with path.open("wb") as stream:
        pack(read_dataset(data), stream, PackOptions())
    with pytest.raises(InputError, match="labels of more than two values"):
        prepare_source(str(path), None, False, replace(OPTIONS, loss="logistic"))
