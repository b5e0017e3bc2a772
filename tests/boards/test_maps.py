"""`boards/ice40.v` and `boards/ecp5.v` keep every sum, difference and comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from zipsgd.boards.flows import MAPS
from zipsgd.boards.place_and_route import yosys
from zipsgd.boards.targets import Family
from zipsgd.boards.tools import FlowError

OPERANDS = """
module gold (
    input signed [3:0] a, input signed [6:0] b, input [3:0] c, input [6:0] d,
    output signed [8:0] signed_difference, signed_sum, output [8:0] difference, sum,
    output [2:0] low, above, output [3:0] compared);
  assign signed_difference = a - b;
  assign difference = c - d;
  assign signed_sum = a + b + signed_difference;
  assign sum = c + d + difference;
  assign low = c - d;
  assign above = d - c;
  assign compared = {a < b, c < d, b <= a, d <= c};
endmodule
"""
PREPARED: dict[Family, str] = {"ice40": "alumacc; opt", "ecp5": "wreduce"}
# The inverted sums of the signed and of the unsigned difference; every sum and difference.
LEAST: dict[Family, int] = {"ice40": 2, "ecp5": 6}
SOUND: dict[Family, tuple[str, ...]] = {
    "ice40": ("assign Y = ~sum;", "assign CO = ~carries;", ".CI(1'b0)"),
    "ecp5": ('"$sub" ? 1\'b1', ".A_SIGNED(A_SIGNED)", ".BI(SUBTRACTS)"),
}
WRONG = {"~": "", "1'b0": "1'b1", "1'b1": "1'b0", "(A_SIGNED)": "(0)", "(SUBTRACTS)": "(1'b0)"}


def prove(family: Family, rules: str, folder: Path) -> None:
    (folder / "gold.v").write_text(OPERANDS)
    (folder / MAPS[family].name).write_text(rules)
    yosys(
        f"read_verilog gold.v; proc; copy gold gate; cd gate; {PREPARED[family]}; "
        f"techmap -map {MAPS[family].name}; opt; "
        f"select -assert-min {LEAST[family]} t:$alu a:src=*{MAPS[family].name}* %i; cd; "
        "miter -equiv -flatten -make_outputs gold gate miter; "
        "sat -verify -prove trigger 0 miter",
        folder,
    )


@pytest.mark.parametrize("family", MAPS)
def test_same_results(family: Family, tmp_path: Path) -> None:
    prove(family, MAPS[family].read_text(), tmp_path)


@pytest.mark.parametrize(
    ("family", "sound"), [(family, sound) for family in SOUND for sound in SOUND[family]]
)
def test_a_wrong_rule_is_seen(family: Family, sound: str, tmp_path: Path) -> None:
    rules = MAPS[family].read_text()
    assert sound in rules
    was, becomes = next((was, becomes) for was, becomes in WRONG.items() if was in sound)
    with pytest.raises(FlowError):
        prove(family, rules.replace(sound, sound.replace(was, becomes)), tmp_path)
