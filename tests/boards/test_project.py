"""The project of a board that takes the vendor's tools: its Verilog, its pins, its script."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.hdl.test_lint import lint
from zipsgd.boards.build import Build
from zipsgd.boards.catalogue import BOARDS
from zipsgd.boards.description import Board
from zipsgd.boards.flows import TOP
from zipsgd.hdl.lib.verilog import WAIVERS
from zipsgd.host.cli.app import app
from zipsgd.host.devices import loader
from zipsgd.host.errors import InputError

BOXES = """
module IBUF(input I, output O);
  assign O = I;
endmodule
module OBUFT(input I, input T, output O);
  assign O = T ? 1'bz : I;
endmodule
"""
"""The vendor's primitives at the pins."""

VENDOR = [board for board in BOARDS.values() if board.family == "xilinx"]
assert VENDOR


@functools.cache
def project(board: Board) -> dict[str, str]:
    return {name: content.decode() for name, content in Build(board).project().items()}


@pytest.mark.parametrize("board", VENDOR, ids=lambda board: board.name)
def test_no_warnings(board: Board, tmp_path: Path) -> None:
    text = project(board)[f"{TOP}.v"]
    assert lint(text + BOXES, tmp_path, WAIVERS, top=TOP) == []
    assert set(re.findall(r"^  ([A-Z]\w+) ", text, re.MULTILINE)) == {"IBUF", "OBUFT"}


def test_the_project_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {name: text.encode() for name, text in project(BOARDS["arty-a7"]).items()}
    monkeypatch.setattr(Build, "project", lambda _: made)
    folder = tmp_path / "made" / "arty"
    done = CliRunner().invoke(app, ["build", "arty-a7", "-o", str(folder)])
    assert done.exit_code == 0, done.output
    assert (
        "No open tool makes the bitstream of Arty A7-35T with XC7A35T; Vivado does" in done.stdout
    )
    files = {path.name: path.read_text() for path in folder.iterdir()}
    assert files == project(BOARDS["arty-a7"])
    script, pins = files[f"{TOP}.tcl"], files[f"{TOP}.xdc"]
    assert "-part xc7a35t" in script and "write_bitstream" in script
    for name in re.findall(r"(?:add_files|read_xdc) (\S+)", script):
        assert name in files
    # Every module on the way to a pin names it.
    ports = set(re.findall(r"put (\w+_0__\w+|led_\w+__io);", files[f"{TOP}.v"]))
    assert len(ports) == 7 and set(re.findall(r'LOC \S+ \[get_ports "(\w+)"', pins)) == ports
    assert "-period 10.0" in pins
    monkeypatch.setattr(loader, "find_loader", lambda: "openFPGALoader")
    needed = CliRunner().invoke(app, ["flash", "arty-a7"])
    assert needed.exit_code == InputError.exit_code and "Pass the result with" in needed.stderr
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    refused = CliRunner().invoke(app, ["build", "arty-a7", "-o", str(in_the_way)])
    assert refused.exit_code == InputError.exit_code and "name another folder" in refused.stderr
