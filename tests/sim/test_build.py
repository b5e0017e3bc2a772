"""The cache of compiled engines stays within its bounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zipsgd.sim import build

SIZE = 1000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(build.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(build, "KEPT_BYTES", 3 * SIZE)
    return tmp_path


def engine(number: int) -> Path:
    def make(work: Path) -> Path:
        (work / "made").write_bytes(bytes(SIZE))
        return work / "made"

    return build.cached("engine.so", (str(number),), make)


def test_engines_that_were_not_used_for_longest_make_room(folder: Path) -> None:
    made = [engine(number) for number in range(3)]
    for age, path in enumerate(made):
        os.utime(path, (age + 1, age + 1))
    assert engine(0) == made[0]  # used again
    newest = engine(3)
    assert [path.exists() for path in made] == [True, False, True] and newest.exists()
    assert sum(path.stat().st_size for path in folder.glob("*.so")) <= build.KEPT_BYTES


def test_the_newest_stays_however_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "KEPT_BYTES", 1)
    first, second = engine(1), engine(2)
    assert second.exists() and not first.exists()


def test_what_killed_processes_left_goes_after_a_day(folder: Path) -> None:
    old, new, other = folder / "engine-1.build", folder / "engine-2.build", folder / "notes.txt"
    for path in (old, new):
        path.mkdir()
        (path / "half.so").touch()
    other.write_bytes(bytes(10 * SIZE))
    os.utime(old, (1, 1))
    engine(1)
    assert not old.exists() and new.exists() and other.exists()
