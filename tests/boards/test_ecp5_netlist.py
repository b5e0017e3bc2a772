"""Packed netlists pass the testbenches of the components that they were made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from amaranth.lib import wiring

from boards.flows import TOP
from boards.place_and_route import synthesise, yosys
from hdl.correction import Correction
from hdl.derivative import Derivative
from hdl.gradient import Gradient
from hdl.ring import Ring
from hdl.verilog import to_verilog
from tests.boards.cells import memory, multiplier
from tests.geometries import GEOMETRIES
from tests.hdl.runner import simulate

GEOMETRY = "2x4"
CONFIG = GEOMETRIES[GEOMETRY]
MADE_OF = (
    "read_verilog -DNO_INCLUDES +/ecp5/cells_sim.v; read_json {}; "
    f"hierarchy -top {TOP}; proc; flatten; opt_clean; write_verilog -noattr made.v"
)
DEEP = {"width": 40, "depth": 512}
"""A ring of two block RAMs."""

# Yosys's ABC ends without a word on the correction of other small geometries.
CASES: dict[str, tuple[wiring.Component, tuple[str, ...], dict[str, int]]] = {
    "correction": (Correction(CONFIG), ("product_registers", "factor_registers", "gates"), {}),
    "derivative": (Derivative(CONFIG), ("ram_registers", "product_registers", "gates"), {}),
    "gradient": (Gradient(CONFIG), ("gates",), {}),
    "ring": (Ring(DEEP["width"], DEEP["depth"], 2), ("ram_registers",), DEEP),
}


@pytest.mark.parametrize("name", CASES)
def test_packed_netlist(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    component, packed, parameters = CASES[name]
    with caplog.at_level("INFO", logger="boards.place_and_route"):
        netlist = synthesise(to_verilog(component, TOP), "ecp5", tmp_path)
    for what in packed:
        assert f"{what}=0" not in caplog.text, f"nothing was packed: {caplog.text}"
    content = json.loads(netlist.read_text())
    content["modules"] = {TOP: content["modules"][TOP]}  # the models take the libraries' place
    netlist.write_text(json.dumps(content))
    yosys(MADE_OF.format(netlist.name), tmp_path)
    made = (tmp_path / "made.v").read_text() + multiplier() + memory()
    bench = f"bench_{name}"
    simulate(component, bench, GEOMETRY, "verilator", tmp_path, netlist=made, **parameters)
