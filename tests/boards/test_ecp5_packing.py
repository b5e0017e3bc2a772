"""Packed netlists pass the testbenches of the components that they were made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from amaranth.lib import wiring

from tests.boards.cells import drop_open_outputs, memory, multiplier
from tests.geometries import GEOMETRIES
from tests.hdl.runner import simulate
from zipsgd.boards.flows import TOP
from zipsgd.boards.place_and_route import synthesise, yosys
from zipsgd.hdl.engine.correction import Correction
from zipsgd.hdl.engine.derivative import Derivative
from zipsgd.hdl.engine.gradient import Gradient
from zipsgd.hdl.engine.loss import LossPipeline
from zipsgd.hdl.lib.ring import Ring
from zipsgd.hdl.lib.verilog import to_verilog

GEOMETRY, FLAT = "2x4", "wide"
CONFIG = GEOMETRIES[GEOMETRY]
MADE_OF = (
    "read_verilog -DNO_INCLUDES +/ecp5/cells_sim.v; read_json {}; "
    f"hierarchy -top {TOP}; proc; flatten; opt_clean; write_verilog -noattr made.v"
)
DEEP = {"width": 40, "depth": 512}
"""A ring of two block RAMs."""


class Case(NamedTuple):
    """A component, what is packed of it, and what its testbench takes."""

    component: wiring.Component
    packed: tuple[str, ...]
    geometry: str = GEOMETRY
    parameters: dict[str, int] = {}  # noqa: RUF012


# Yosys's ABC ends without a word on the correction of other small geometries.
CASES = {
    "correction": Case(
        Correction(CONFIG), ("product_registers", "factor_registers", "gates", "chains")
    ),
    "derivative": Case(Derivative(CONFIG), ("ram_registers", "product_registers", "gates")),
    "gradient": Case(Gradient(CONFIG), ("gates", "chains")),
    "loss": Case(LossPipeline(GEOMETRIES[FLAT]), ("factor_registers", "resets"), FLAT),
    "ring": Case(Ring(DEEP["width"], DEEP["depth"], 2), ("ram_registers",), parameters=DEEP),
}


RARELY = ("loss", "correction")
EACH = [pytest.param(name, marks=[pytest.mark.long] if name in RARELY else []) for name in CASES]


@pytest.mark.parametrize("name", EACH)
def test_packed_netlist(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    component, packed, geometry, parameters = CASES[name]
    with caplog.at_level("DEBUG", logger="zipsgd.boards.place_and_route"):
        netlist = synthesise(to_verilog(component, TOP), "ecp5", tmp_path)
    for what in packed:
        assert f"{what}=" in caplog.text
        assert f"{what}=0" not in caplog.text, f"nothing was packed: {caplog.text}"
    content = json.loads(netlist.read_text())
    content["modules"] = {TOP: content["modules"][TOP]}  # the models take the libraries' place
    for cell in content["modules"][TOP]["cells"].values():
        drop_open_outputs(cell)
    netlist.write_text(json.dumps(content))
    yosys(MADE_OF.format(netlist.name), tmp_path)
    made = (tmp_path / "made.v").read_text() + multiplier() + memory()
    bench = f"hdl.{'lib' if name == 'ring' else 'engine'}.bench_{name}"
    simulate(component, bench, geometry, "verilator", tmp_path, netlist=made, **parameters)
