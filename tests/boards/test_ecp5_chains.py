"""Tightened carry chains compute what they did before, whatever comes in at their open ends."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.boards.cells import drop_open_outputs
from zipsgd.boards.ecp5 import chains, pins
from zipsgd.boards.ecp5.chains import CARRY
from zipsgd.boards.ecp5.netlist import LUT_PINS, OPEN
from zipsgd.boards.ecp5.packing import Report, pack
from zipsgd.boards.ecp5.pins import Adder, balance
from zipsgd.boards.flows import TOP
from zipsgd.boards.place_and_route import yosys
from zipsgd.boards.tools import FlowError

ANY = "any"
"""An input that nothing should depend on."""
SOURCE = """
module gold(
    input {any}, input [{last}:0] a, b, c, d, e, f, input g, h, output [{width}:0] sum,
    output [{last}:0] difference, gated, half_gated, output less, below);
  assign sum = a + b;
  assign difference = c - d;
  assign less = c < d;
  assign gated = (g ? a : 0) + (h ? b : 0);
  assign half_gated = c - (g ? d : 0);
  assign below = $signed(e) < $signed(f);
endmodule
"""
GATED = sum(((n & n >> 1 ^ n >> 2 & n >> 3) & 1) << n for n in range(16))
"""Table of (a & g) + (b & h) without carry, of a, g, b and h; and of a & g."""
GATED_CARRY = sum((n & n >> 1 & 1) << n for n in range(16))
SYNTHESIS = "read_verilog gold.v; synth_ecp5 -top gold; write_json made.json"
PROOF = (
    "read_verilog gold.v; read_verilog -DNO_INCLUDES +/ecp5/cells_sim.v; "
    f"read_json made.json; miter -equiv -make_outputs gold {TOP} miter; "
    "hierarchy -top miter; proc; flatten; opt; sat -verify -prove trigger 0 miter"
)


def packed(width: int, folder: Path) -> tuple[dict[str, Any], Report]:
    """A design with chains of so many places and one more."""
    (folder / "gold.v").write_text(SOURCE.format(any=ANY, last=width - 1, width=width))
    yosys(SYNTHESIS, folder)
    content = json.loads((folder / "made.json").read_text())
    report = pack(content, "gold")
    return content["modules"]["gold"], report


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
@pytest.mark.parametrize(("width", "count"), [(8, 5), (9, 4)])
def test_chains_compute_what_they_did(width: int, count: int, tmp_path: Path) -> None:
    module, report = packed(width, tmp_path)
    begins = [c["connections"]["CIN"] for c in module["cells"].values() if c["type"] == CARRY]
    assert (report.chains, begins.count([OPEN])) == (count, count)
    assert begins.count(["1"]) == 5 - count
    assert report.gates >= 3 * (width - 1)
    prove(module, tmp_path)


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        (chains, "GENERATE", {"0": chains.GENERATE["1"], "1": chains.GENERATE["1"]}),
        (chains, "GENERATE", {"0": chains.GENERATE["0"], "1": chains.GENERATE["0"]}),
        (pins, "FIRST_TWO", 0b01),
    ],
    ids=["always a carry", "never a carry", "only A generates"],
)
def test_what_is_wrong_is_seen(
    module: ModuleType, name: str, wrong: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins.ways.cache_clear()
    monkeypatch.setattr(module, name, wrong)
    design, _ = packed(8, tmp_path)
    pins.ways.cache_clear()
    with pytest.raises(FlowError):
        prove(design, tmp_path)


@pytest.mark.parametrize(
    ("adders", "most"),
    [
        # Of 16 signals a quarter on each pin; two that all places share are on two of them each.
        ([Adder((n, 10 + n), 0b0110, 0b1000) for n in range(8)], 4),
        ([Adder((n, 50, 10 + n, 60), GATED, GATED_CARRY) for n in range(8)], 5),
    ],
    ids=["sums", "gated sums"],
)
def test_signals_come_in_on_all_pins(adders: list[Adder | None], most: int) -> None:
    on: list[set[Any]] = [set() for _ in LUT_PINS]
    for adder, way in zip(adders, balance(adders), strict=True):
        assert adder
        assert way
        for signal, pin in zip(adder.signals, way[0], strict=True):
            on[pin].add(signal)
    assert max(map(len, on)) <= most
