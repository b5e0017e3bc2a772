"""`boards/ice40.v` keeps every subtraction and every comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from boards.place_and_route import ICE40_MAP, FlowError, yosys

OPERANDS = """
module gold (
    input signed [3:0] a, input signed [6:0] b, input [3:0] c, input [6:0] d,
    output signed [8:0] signed_difference, output [8:0] difference, output [2:0] low, above,
    output [3:0] compared);
  assign signed_difference = a - b;
  assign difference = c - d;
  assign low = c - d;
  assign above = d - c;
  assign compared = {a < b, c < d, b <= a, d <= c};
endmodule
"""
PROOF = (
    "read_verilog gold.v; proc; copy gold gate; cd gate; alumacc; opt; techmap -map ice40.v; opt; "
    # The inverted sums of the signed and of the unsigned difference, at least.
    "select -assert-min 2 t:$alu a:src=*ice40.v* %i; cd; "
    "miter -equiv -flatten -make_outputs gold gate miter; "
    "sat -verify -prove trigger 0 miter"
)


def prove(rules: str, folder: Path) -> None:
    (folder / "gold.v").write_text(OPERANDS)
    (folder / "ice40.v").write_text(rules)
    yosys(PROOF, folder)


def test_same_results(tmp_path: Path) -> None:
    prove(ICE40_MAP.read_text(), tmp_path)


@pytest.mark.parametrize("sound", ["assign Y = ~sum;", "assign CO = ~carries;", ".CI(1'b0)"])
def test_a_wrong_rule_is_seen(sound: str, tmp_path: Path) -> None:
    rules = ICE40_MAP.read_text()
    assert sound in rules
    wrong = sound.replace("~", "").replace("1'b0", "1'b1")
    with pytest.raises(FlowError):
        prove(rules.replace(sound, wrong), tmp_path)
