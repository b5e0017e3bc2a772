"""A packed set holds what a training in memory would have made, and says so truthfully."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.geometries import GEOMETRIES
from tests.host.codes.damage import json_values, replaced_somewhere
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.host.codes import packed
from zipsgd.host.codes.container import ContainerWriter, open_container
from zipsgd.host.codes.packed import PackedSet, PackOptions, open_packed, pack
from zipsgd.host.codes.rounding import Draws, Rounding, quantise_labels, round_codes
from zipsgd.host.codes.scaling import LabelScaling, Scaling, with_intercept
from zipsgd.host.codes.weaving import weave
from zipsgd.host.data.dataset import Dataset
from zipsgd.host.errors import InputError
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import prepare


def dataset(samples: int = 500, features: int = 7, test: Dataset | None = None) -> Dataset:
    rng = np.random.default_rng(samples)
    x = rng.lognormal(size=(samples, features))
    x[:, 2] = x[:, 2] > 1
    y = x @ rng.normal(size=features) + rng.normal(size=samples)
    return Dataset("example", x, y, tuple(f"f{j}" for j in range(features)), test)


def packed_set(folder: Path, source: Dataset, options: PackOptions) -> PackedSet:
    path = folder / "a.zsgd"
    with path.open("wb") as stream:
        pack(source, stream, options, digest="d" * 64)
    return open_packed(path)


@pytest.mark.parametrize("rounding", ["double", "single", "nearest"])
@pytest.mark.parametrize("name", ["16x4", "2x4", "64x1", "16bit"])
@pytest.mark.parametrize("window", [50, 1 << 20])
def test_it_holds_what_a_training_in_memory_would_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounding: Rounding, name: str, window: int
) -> None:
    monkeypatch.setattr(packed, "WINDOW_VALUES", window)
    config, source = GEOMETRIES[name], dataset()
    bits = min(config.max_bits, 5)
    found = packed_set(
        tmp_path,
        source,
        PackOptions(
            bits=bits,
            rounding=rounding,
            copies=3,
            seed=4,
            holdout=0.3,
            unrounded=True,
            config=config,
        ),
    )
    train, held_out = source.split(0.3, 4)
    scaling, label_scaling = (
        Scaling.fit(train.features),
        LabelScaling.fit(train.labels, source.classification),
    )
    v = with_intercept(scaling.apply(train.features, bits))
    y = label_scaling.apply(train.labels)
    assert np.array_equal(found.labels, y)
    assert found.unrounded is not None and np.array_equal(found.unrounded, v)
    assert np.array_equal(found.head, v)
    assert np.array_equal(found.heldout, with_intercept(scaling.apply(held_out.features, bits)))
    assert np.array_equal(found.heldout_labels, label_scaling.apply(held_out.labels))
    assert found.scaling.to_json() == scaling.to_json()
    assert found.label_scaling == label_scaling
    assert len(found.copies) == (1 if rounding == "nearest" else 3)
    for index, copy in enumerate(found.copies):
        codes = round_codes(v, bits, rounding, Draws.of(4, index))
        expected = weave(codes, quantise_labels(y, config), bits, config)
        assert np.array_equal(copy.beats, expected.beats)
        assert asdict(replace(copy, beats=expected.beats)).keys() == asdict(expected).keys()
        assert isinstance(copy.beats, np.memmap) and not copy.beats.flags.writeable
    found.check(config)


def test_a_training_on_the_same_options_uses_the_same_bits(tmp_path: Path) -> None:
    task = prepare(dataset(), Options(bits=5, copies=2, seed=9, epochs=4))
    found = packed_set(tmp_path, dataset(), PackOptions(bits=5, copies=2, seed=9, unrounded=True))
    assert len(task.copies) == len(found.copies) == 2
    for copy, expected in zip(found.copies, task.copies, strict=True):
        assert np.array_equal(copy.beats, expected.beats)
    assert found.unrounded is not None and np.array_equal(found.unrounded, task.train.v)
    assert np.array_equal(found.heldout, task.heldout.v)


def test_an_official_test_part_is_held_out(tmp_path: Path) -> None:
    found = packed_set(tmp_path, dataset(test=dataset(60)), PackOptions())
    assert found.heldout.shape == (60, 8) and len(found.labels) == 500


def test_data_in_mapped_files_gives_the_same_bytes(tmp_path: Path) -> None:
    source = dataset(3000)
    np.save(tmp_path / "x.npy", source.features)
    mapped = replace(source, features=np.load(tmp_path / "x.npy", mmap_mode="r"))
    first, second = io.BytesIO(), io.BytesIO()
    pack(source, first, PackOptions(seed=3))
    pack(mapped, second, PackOptions(seed=3))
    assert first.getvalue() == second.getvalue()


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_the_loss_from_the_codes_is_that_on_unrounded_data(tmp_path: Path, bits: int) -> None:
    options = PackOptions(bits=bits, copies=10, unrounded=True, holdout=0.01)
    found = packed_set(tmp_path, dataset(20_000), options)
    assert found.unrounded is not None
    for seed in range(3):
        weights = np.random.default_rng(seed).normal(size=8)
        exact = np.square(found.unrounded @ weights - found.labels).mean() / 2
        parts = [replace(found.coded(), woven=copy) for copy in found.copies]
        losses = np.array([part.loss(weights) for part in parts])
        plain = np.array([replace(part, corrected=False).loss(weights) for part in parts])
        standard_error = losses.std(ddof=1) / len(losses) ** 0.5
        assert abs(losses.mean() - exact) < 4 * standard_error
        if bits <= 4:
            assert plain.mean() - exact > 12 * standard_error, "uncorrected, it must be too high"


def test_another_stream_is_refused(tmp_path: Path) -> None:
    found = packed_set(tmp_path, dataset(), PackOptions())
    with pytest.raises(InputError, match=r"packed for lanes = 16 and the engine has 32; pack it"):
        found.check(EngineConfig(lanes=32))
    with pytest.raises(InputError, match="bits = 4 is out of range; this engine takes 2 to 3"):
        found.check(EngineConfig(max_bits=3, error_bits=32, error_frac=30))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 1}, "--bits is 1; it must be 2 or more"),
        ({"copies": 0}, "--copies is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"rounding": "up"}, "no rounding 'up'"),
        ({"scale": "robust"}, "no scaling 'robust'"),
        ({"bits": 9}, "bits = 9 is out of range"),
        ({"holdout": 1.0}, "must be above 0 and below 1"),
        ({"config": EngineConfig(lanes=2, banks=4, max_chunks=2)}, "choose more lanes"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pack(dataset(), io.BytesIO(), PackOptions(**options))


CHANGES: list[tuple[str, Any]] = [
    ("format", "other"),
    ("bits", 1),
    ("bits", 17),
    ("bits", 4.0),
    ("bits", True),
    ("bits", 5),
    ("samples", 0),
    ("samples", 399),
    ("samples", 2**39),
    ("copies", 2),
    ("copies", 0),
    ("seed", -1),
    ("rounding", "up"),
    ("rounding", []),
    ("holdout", 1),
    ("holdout", "x"),
    ("name", 3),
    ("digest", None),
    ("feature_names", ["a"]),
    ("feature_names", [1, 2, 3, 4, 5, 6, 7]),
    ("feature_names", 7),
    ("geometry", {}),
    ("geometry", 3),
    ("geometry", {"lanes": 12, "banks": 4, "model_bits": 24, "model_frac": 16}),
    ("geometry", {"lanes": 32, "banks": 4, "model_bits": 24, "model_frac": 16}),
    ("geometry", {"lanes": 16, "banks": 4, "model_bits": 99, "model_frac": 16}),
    ("scaling", None),
    ("scaling", {"kind": "sigma"}),
    ("label_scaling", 1),
    ("label_scaling", {"low": "x"}),
    ("encoding", []),
    ("encoding", {"columns": ["a"], "categories": {}, "fill": {"b": 1.0}}),
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *CHANGES,
        *(
            (key, "missing")
            for key in (
                "format",
                "bits",
                "samples",
                "copies",
                "rounding",
                "scaling",
                "geometry",
                "holdout",
                "encoding",
            )
        ),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, name: str, value: Any) -> None:
    packed_set(tmp_path, dataset(), PackOptions())
    content, arrays = open_container(tmp_path / "a.zsgd")
    content[name] = value
    if value == "missing":
        del content[name]
    path = tmp_path / "b.zsgd"
    with path.open("wb") as stream:
        writer = ContainerWriter(
            stream, content, {key: (array.dtype.str, array.shape) for key, array in arrays.items()}
        )
        for key, array in arrays.items():
            writer.append(key, array)
        writer.finish()
    with pytest.raises(InputError, match=r"b\.zsgd: the header \(byte 20\) is not right: .*; pack"):
        open_packed(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0), value=json_values)
def test_no_header_with_right_checksums_gets_a_traceback(
    tmp_path: Path, place: int, value: Any
) -> None:
    path = tmp_path / "a.zsgd"
    if not path.exists():
        packed_set(tmp_path, dataset(), PackOptions())
    content, arrays = open_container(path)
    try:
        changed = replaced_somewhere(content, place, value)
        stream = io.BytesIO()
        shapes = {key: (array.dtype.str, array.shape) for key, array in arrays.items()}
        writer = ContainerWriter(stream, changed, shapes)
    except ValueError:
        return  # not finite: no JSON
    for key, array in arrays.items():
        writer.append(key, array)
    writer.finish()
    other = tmp_path / "b.zsgd"
    other.write_bytes(stream.getvalue())
    try:
        open_packed(other)
    except InputError as fault:
        assert str(fault).startswith(str(other)) and "\n" not in str(fault)
