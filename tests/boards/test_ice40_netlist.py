"""What synthesis makes of the lean update on an iCE40 is what its testbench wants, DSP blocks and
their adders included."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.boards.ice40_cells import CELLS, MULTIPLY_AND_ADD
from tests.geometries import GEOMETRIES
from tests.hdl.runner import SIMULATORS, simulate
from zipsgd.boards.flows import FLOWS, MAPS, WITHOUT_NAMES
from zipsgd.boards.place_and_route import yosys
from zipsgd.hdl.engine.lean_update import LeanUpdate
from zipsgd.hdl.lib.verilog import to_verilog

GEOMETRY = "tiny"
# Bits of a carry chain in one vector, which is no loop; pins that are not used.
WAIVERS = "".join(
    f"/* verilator lint_off {rule} */\n"
    for rule in ("UNOPTFLAT", "WIDTHTRUNC", "WIDTHEXPAND", "PINMISSING")
)


@pytest.mark.parametrize("simulator", SIMULATORS[:1])
def test_lean_update(simulator: str, tmp_path: Path) -> None:
    config = GEOMETRIES[GEOMETRY]
    update = LeanUpdate(config)
    (tmp_path / "top.v").write_text(to_verilog(update, "top"), encoding="utf-8")
    shutil.copy(MAPS["ice40"], tmp_path)
    yosys(
        f"read_verilog top.v; {WITHOUT_NAMES}; {FLOWS['ice40'].synthesis}; "
        "write_json cells.json; write_verilog -noattr -selected mapped.v",
        tmp_path,
    )
    cells = json.loads((tmp_path / "cells.json").read_text())["modules"]["top"]["cells"].values()
    blocks = [cell["parameters"] for cell in cells if cell["type"] == "SB_MAC16"]
    assert len(blocks) == config.lanes
    for block in blocks:
        found = {name: int(block[name], 2) for name in MULTIPLY_AND_ADD}
        assert found == MULTIPLY_AND_ADD
    netlist = WAIVERS + CELLS + (tmp_path / "mapped.v").read_text(encoding="utf-8")
    simulate(update, "hdl.engine.bench_lean_update", GEOMETRY, simulator, tmp_path, netlist=netlist)
