from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.host.codes.damage import json_values, replaced_somewhere
from zipsgd.host.data.dataset import Dataset
from zipsgd.host.data.encoding import Encoding
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices.software import GoldenDevice
from zipsgd.host.errors import InputError
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import Task, prepare, train
from zipsgd.host.training.model_file import VERSION, Model, dump_model, load_model


def trained(name: str, options: Options) -> tuple[Dataset, Task, Model, float | None]:
    dataset = read_dataset(f"sklearn:{name}")
    task = prepare(dataset, options)
    *_, last = train(task, GoldenDevice(options.config))
    return dataset, task, task.model(last.words), last.losses.score


@pytest.fixture(scope="module")
def model() -> Model:
    return trained("diabetes", Options(epochs=3))[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.json"


def test_round_trip(model: Model, path: Path) -> None:
    path.write_bytes(dump_model(model))
    loaded = load_model(path)
    assert dump_model(loaded) == path.read_bytes()
    assert loaded.feature_names == model.feature_names
    features = read_dataset("sklearn:diabetes").features
    np.testing.assert_array_equal(loaded.predict(features), model.predict(features))


@pytest.mark.parametrize("name", ["diabetes", "breast_cancer"])
def test_predictions_give_the_score_that_training_reported(name: str) -> None:
    options = Options(epochs=3)
    dataset, task, model, score = trained(name, options)
    _, heldout = dataset.split(options.holdout, options.seed)
    predicted = model.predict(heldout.features)
    if task.score_name == "accuracy":
        assert np.mean(predicted == heldout.labels) == score
    else:
        residual, spread = predicted - heldout.labels, heldout.labels - heldout.labels.mean()
        assert 1 - np.sum(residual**2) / np.sum(spread**2) == pytest.approx(score)


def test_the_file_does_not_depend_on_the_geometry() -> None:
    wide = Options(epochs=1, lanes=32, banks=2)
    assert len(trained("diabetes", wide)[2].words) == 11


def change(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set the value at a dotted key, or delete it if the value is Ellipsis."""

    def apply(saved: Any) -> None:
        *parents, last = (int(part) if part.isdigit() else part for part in key.split("."))
        for parent in parents:
            saved = saved[parent]
        if value is ...:
            del saved[last]
        else:
            saved[last] = value

    return apply


ENCODING = {"columns": ["a", "b"], "categories": {"b": ["x", "y"]}, "fill": {"a": 1.0, "b": "x"}}

FAULTS: dict[str, tuple[str, Any]] = {
    "format": ("format", "other"),
    "no format": ("format", ...),
    "newer": ("version", VERSION + 1),
    "no words": ("words", ...),
    "a word too few": ("words.0", ...),
    "fraction of a word": ("words.0", 0.5),
    "word as text": ("words.0", "1"),
    "huge word": ("words.0", 2**70),
    "words as text": ("words", "many"),
    "nested words": ("words", [[1]]),
    "fractional bits": ("fractional_bits", -1),
    "fractional bits as text": ("fractional_bits", "16"),
    "bits": ("bits", 1),
    "many bits": ("bits", 33),
    "bits as number": ("bits", 4.5),
    "bits as list": ("bits", [4]),
    "rounding": ("rounding", "up"),
    "rounding as list": ("rounding", ["double"]),
    "no scaling": ("scaling", ...),
    "scaling as number": ("scaling", 3),
    "centre too short": ("scaling.centre.0", ...),
    "negative scale": ("scaling.scale.0", -1.0),
    "infinite scale": ("scaling.scale.0", float("inf")),
    "centre not a number": ("scaling.centre.0", float("nan")),
    "scale as text": ("scaling.scale.0", "1"),
    "scaling of another kind": ("scaling.kind", "other"),
    "column as text": ("scaling.two_valued.0.column", "x"),
    "column out of range": ("scaling.two_valued.0.column", 10),
    "share": ("scaling.two_valued.0.share", 0.0),
    "rare as text": ("scaling.two_valued.0.rare", "x"),
    "no rare": ("scaling.two_valued.0.rare", ...),
    "labels upside down": ("label_scaling.low", 1e9),
    "labels as text": ("label_scaling.low", "x"),
    "no label scaling": ("label_scaling", ...),
    "names as number": ("feature_names", 3),
    "name as number": ("feature_names.0", 3),
    "loss": ("loss", "other"),
    "no loss": ("loss", ...),
    "more": ("more", 1),
    "no encoding": ("encoding", ...),
    "encoding as number": ("encoding", 0),
    "encoding as list": ("encoding", []),
    "encoding without columns": ("encoding", {"categories": {}, "fill": {}}),
    "a fill that is no number": ("encoding", ENCODING | {"fill": {"a": "x"}}),
    "a fill that is a whole number": ("encoding", ENCODING | {"fill": {"a": 1}}),
    "a fill that is no category": ("encoding", ENCODING | {"fill": {"b": "z"}}),
    "a fill of no column": ("encoding", ENCODING | {"fill": {"c": 1.0}}),
    "a category as number": ("encoding", ENCODING | {"categories": {"b": [1]}}),
    "categories as text": ("encoding", ENCODING | {"categories": {"b": "xy"}}),
    "a column twice": ("encoding", ENCODING | {"columns": ["a", "a", "b"]}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_field_is_one_sentence(model: Model, path: Path, fault: str) -> None:
    saved = json.loads(dump_model(model))
    change(*FAULTS[fault])(saved)
    path.write_text(json.dumps(saved))
    with pytest.raises(InputError, match=r"model\.json is not a model .*train the model again"):
        load_model(path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"null", b"[" * 100_000, b'{"format": NaN}']
)
def test_what_is_not_a_model_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a model"):
        load_model(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0), value=json_values)
def test_no_value_in_a_model_is_a_traceback(
    model: Model, path: Path, place: int, value: Any
) -> None:
    """Any one value replaced by any other: refused in a sentence, or a model that predicts."""
    saved = json.loads(dump_model(replace(model, encoding=Encoding.from_json(ENCODING))))
    path.write_text(json.dumps(replaced_somewhere(saved, place, value)))
    try:
        found = load_model(path)
    except InputError as fault:
        assert "model.json is not a model" in str(fault) and "train the model again" in str(fault)
    else:
        with np.errstate(all="ignore"):
            assert found.predict(np.zeros((2, 10))).shape == (2,)


def test_a_file_cut_short_is_refused(model: Model, path: Path) -> None:
    path.write_bytes(dump_model(model)[:-10])
    with pytest.raises(InputError, match="is not a model"):
        load_model(path)


def test_a_missing_file_is_an_input_error(path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_model(path)


def test_other_columns_are_refused(model: Model) -> None:
    with pytest.raises(InputError, match="features"):
        model.predict(np.zeros((2, 9)))


def test_a_model_of_zeros_predicts_the_mean(model: Model) -> None:
    blank = replace(model, words=np.zeros_like(model.words))
    labels = blank.predict(np.zeros((3, 10)))
    np.testing.assert_allclose(labels, model.label_scaling.centre)
