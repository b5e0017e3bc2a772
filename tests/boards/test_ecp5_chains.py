"""Tightened carry chains compute what they did before, whatever comes in at their open ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boards.ecp5 import chains
from boards.ecp5.chains import CARRY, starts, tighten
from boards.ecp5.netlist import OPEN, Netlist
from boards.flows import TOP
from boards.place_and_route import yosys
from boards.tools import FlowError
from tests.boards.cells import drop_open_outputs

ANY = "any"
"""An input that nothing should depend on."""
SOURCE = """
module gold(
    input {any}, input [{last}:0] a, b, c, d, e, f, output [{width}:0] sum,
    output [{last}:0] difference, output less, below);
  assign sum = a + b;
  assign difference = c - d;
  assign less = c < d;
  assign below = $signed(e) < $signed(f);
endmodule
"""
SYNTHESIS = "read_verilog gold.v; synth_ecp5 -top gold; write_json made.json"
PROOF = (
    "read_verilog gold.v; read_verilog -DNO_INCLUDES +/ecp5/cells_sim.v; "
    f"read_json made.json; miter -equiv -make_outputs gold {TOP} miter; "
    "hierarchy -top miter; proc; flatten; opt; sat -verify -prove trigger 0 miter"
)


def tightened(width: int, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """A design with chains of so many places, and the first cells of those that were tightened."""
    (folder / "gold.v").write_text(SOURCE.format(any=ANY, last=width - 1, width=width))
    yosys(SYNTHESIS, folder)
    module = json.loads((folder / "made.json").read_text())["modules"]["gold"]
    state = Netlist(module["cells"])
    state.ports = {bit for port in module["ports"].values() for bit in port["bits"]}
    return module, [name for name in starts(state) if tighten(state, name)]


def prove(module: dict[str, Any], folder: Path) -> None:
    """That it computes what its source says, for all inputs."""
    (anything,) = module["ports"][ANY]["bits"]
    for cell in module["cells"].values():
        drop_open_outputs(cell)
        for bits in cell["connections"].values():
            bits[:] = [anything if bit == OPEN else bit for bit in bits]
    (folder / "made.json").write_text(json.dumps({"modules": {TOP: module}}))
    yosys(PROOF, folder)


# Of the signed comparison in 9 bits a carry is read on the way.
@pytest.mark.parametrize(("width", "count"), [(8, 3), (9, 2)])
def test_chains_compute_what_they_did(width: int, count: int, tmp_path: Path) -> None:
    module, names = tightened(width, tmp_path)
    begins = [c["connections"]["CIN"] for c in module["cells"].values() if c["type"] == CARRY]
    assert (len(names), begins.count([OPEN])) == (count, count)
    assert begins.count(["1"]) == 3 - count
    prove(module, tmp_path)


@pytest.mark.parametrize("constant", "01")
def test_a_wrong_constant_is_seen(
    constant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = chains.GENERATE["1" if constant == "0" else "0"]
    monkeypatch.setitem(chains.GENERATE, constant, wrong)
    module, _ = tightened(8, tmp_path)
    with pytest.raises(FlowError):
        prove(module, tmp_path)
