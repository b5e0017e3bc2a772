"""Functions that numba compiles are kept where everything compiled is kept, or not at all."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import pytest

from zipsgd.host.codes import fused
from zipsgd.host.data import libsvm
from zipsgd.sim import fast
from zipsgd.sim.build import CACHE_VARIABLE
from zipsgd.sim.compiled import FOLDER

SOURCE = """
from zipsgd.sim.compiled import compiled

@compiled(nogil=True)
def double(x):
    return 2 * x
"""


def imported(folder: Path) -> Any:
    """A module with a compiled function."""
    path = folder / "example.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("example", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_they_are_kept_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    assert imported(tmp_path).double(3) == 6
    assert list((tmp_path / "cache" / FOLDER).rglob("*.nbi"))
    assert not list((tmp_path / "__pycache__").glob("*.nb?"))
    again = imported(tmp_path).double
    assert again(3) == 6
    assert sum(again.stats.cache_hits.values()) == 1


def test_without_a_place_they_are_compiled_anew_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As root, no permission keeps a test from writing; a file in the way does."""
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.WARNING):
        assert imported(tmp_path).double(3) == 6
        assert imported(tmp_path).double(3) == 6
    (record,) = caplog.records
    assert f"set {CACHE_VARIABLE} to a folder that can" in record.getMessage()


def test_the_whole_project_keeps_them_there() -> None:
    """A function with a cache of numba's own would fail where its source cannot be written."""
    kept = [
        getattr(value._cache, "cache_path", None)
        for module in (fast, fused, libsvm)
        for value in vars(module).values()
        if hasattr(value, "enable_caching") and "inline" not in value.targetoptions
    ]
    assert len(kept) > 10
    assert all(path and f"/{FOLDER}/" in path for path in kept)
