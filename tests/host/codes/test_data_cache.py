from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zipsgd.host.codes import data_cache
from zipsgd.host.codes.data_cache import cached_set, source_digest
from zipsgd.host.codes.packed import PackedSet, PackOptions
from zipsgd.host.data.dataset import Dataset
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.errors import InputError


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ZIPSGD_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.csv"
    np.savetxt(path, np.random.default_rng(0).normal(size=(40, 4)), delimiter=",")
    return str(path)


def counted(source: str) -> tuple[Callable[[], Dataset], list[int]]:
    calls: list[int] = []

    def read() -> Dataset:
        calls.append(1)
        return read_dataset(source)

    return read, calls


def files(source: str) -> list[Path]:
    return sorted((Path(source).parent / "cache" / "packed").iterdir())


def test_the_second_time_nothing_is_read(source: str) -> None:
    read, calls = counted(source)
    first = cached_set(source, {}, PackOptions(), read)
    again = cached_set(source, {}, PackOptions(), read)
    assert len(calls) == 1
    assert np.array_equal(first.copies[0].beats, again.copies[0].beats)
    assert first.digest == source_digest(source)
    assert len(files(source)) == 1


@pytest.mark.parametrize(
    "changes",
    [{"bits": 5}, {"seed": 1}, {"copies": 2}, {"rounding": "single"}, {"scale": "minmax"}],
)
def test_other_options_are_packed_apart(source: str, changes: dict[str, Any]) -> None:
    read, calls = counted(source)
    cached_set(source, {}, PackOptions(), read)
    found: PackedSet = cached_set(source, {}, PackOptions(**changes), read)
    assert len(calls) == len(files(source)) == 2
    assert found.bits == changes.get("bits", 4)


def test_other_content_and_other_reading_are_packed_apart(source: str) -> None:
    read, calls = counted(source)
    cached_set(source, {}, PackOptions(), read)
    cached_set(source, {"target": "0"}, PackOptions(), read)
    with Path(source).open("a") as stream:
        stream.write("1,2,3,4\n")
    found = cached_set(source, {}, PackOptions(), read)
    assert len(calls) == 3
    assert len(found.labels) + len(found.heldout_labels) == 41


def test_a_damaged_set_is_packed_again(source: str, caplog: pytest.LogCaptureFixture) -> None:
    read, calls = counted(source)
    whole = cached_set(source, {}, PackOptions(), read).copies[0].beats.copy()
    (path,) = files(source)
    path.write_bytes(path.read_bytes()[:-1])
    assert np.array_equal(cached_set(source, {}, PackOptions(), read).copies[0].beats, whole)
    assert len(calls) == 2 and "cut short" in caplog.text


def test_the_oldest_make_room(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read, _ = counted(source)
    for seed in range(3):
        cached_set(source, {}, PackOptions(seed=seed), read)
    oldest = files(source)[1]
    os.utime(oldest, (1, 1))
    size = oldest.stat().st_size
    monkeypatch.setattr(data_cache, "LIMIT_BYTES", int(3.5 * size))
    cached_set(source, {}, PackOptions(seed=3), read)
    assert len(files(source)) == 3 and oldest not in files(source)


def test_a_folder_that_cannot_be_written(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZIPSGD_CACHE", source)
    with pytest.raises(InputError, match=r"cannot be written .* set ZIPSGD_CACHE to a folder"):
        cached_set(source, {}, PackOptions(), counted(source)[0])


def test_a_source_that_is_not_there(source: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read .* check the path"):
        source_digest(source + "x")
    assert source_digest("sklearn:iris") != source_digest("sklearn:wine")
