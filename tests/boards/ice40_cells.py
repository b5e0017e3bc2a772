"""Models of the iCE40's cells as its data sheets describe what is used here: the multiplier with
registers at its input and in its middle, and the adder behind it.

Source: Lattice, iCE Technology Library; FPGA-TN-02007, DSP function usage guide.
"""

from __future__ import annotations

LOGIC = """
module SB_LUT4(input I0, I1, I2, I3, output O);
  parameter [15:0] LUT_INIT = 0;
  wire [7:0] by_3 = I3 ? LUT_INIT[15:8] : LUT_INIT[7:0];
  wire [3:0] by_2 = I2 ? by_3[7:4] : by_3[3:0];
  wire [1:0] by_1 = I1 ? by_2[3:2] : by_2[1:0];
  assign O = I0 ? by_1[1] : by_1[0];
endmodule
module SB_CARRY(input I0, I1, CI, output CO);
  assign CO = (I0 & I1) | ((I0 | I1) & CI);
endmodule
module SB_MAC16(
    input CLK, CE, CHOLD, DHOLD, AHOLD, BHOLD, IRSTTOP, IRSTBOT, ORSTTOP, ORSTBOT,
    input OLOADTOP, OLOADBOT, ADDSUBTOP, ADDSUBBOT, OHOLDTOP, OHOLDBOT, CI, ACCUMCI, SIGNEXTIN,
    input [15:0] A, B, C, D, output [31:0] O, output CO, ACCUMCO, SIGNEXTOUT);
  parameter NEG_TRIGGER = 0, MODE_8x8 = 0, A_SIGNED = 0, B_SIGNED = 0;
  parameter A_REG = 0, B_REG = 0, C_REG = 0, D_REG = 0;
  parameter TOP_8x8_MULT_REG = 0, BOT_8x8_MULT_REG = 0;
  parameter PIPELINE_16x16_MULT_REG1 = 0, PIPELINE_16x16_MULT_REG2 = 0;
  parameter TOPOUTPUT_SELECT = 0, TOPADDSUB_LOWERINPUT = 0, TOPADDSUB_UPPERINPUT = 0;
  parameter TOPADDSUB_CARRYSELECT = 0;
  parameter BOTOUTPUT_SELECT = 0, BOTADDSUB_LOWERINPUT = 0, BOTADDSUB_UPPERINPUT = 0;
  parameter BOTADDSUB_CARRYSELECT = 0;
  reg [15:0] held_a = 0;
  reg signed [31:0] held_product = 0;
  wire signed [15:0] a = A_REG ? held_a : A, b = B;
  wire signed [31:0] product = a * b;
  always @(posedge CLK) begin
    held_a <= A;
    held_product <= product;
  end
  assign O = (PIPELINE_16x16_MULT_REG1 ? held_product : product) + {C, D};
  assign {CO, ACCUMCO, SIGNEXTOUT} = 0;
endmodule
"""

DFF = """
module SB_DFF{kind}(input C, D{ports}, output reg Q);
  initial Q = 0;
  always @(posedge C) {condition}Q <= {value};
endmodule
"""
RESETS = {"": "D", "SR": "R ? 1'b0 : D", "SS": "S ? 1'b1 : D"}

CELLS = LOGIC + "".join(
    DFF.format(
        kind=enable + reset,
        ports="".join(f", {port}" for port in enable + reset[1:]),
        condition="if (E) " if enable else "",
        value=value,
    )
    for enable in ("", "E")
    for reset, value in RESETS.items()
)

MULTIPLY_AND_ADD = {
    "A_SIGNED": 1,
    "B_SIGNED": 1,
    "MODE_8x8": 0,
    "B_REG": 0,
    "C_REG": 0,
    "D_REG": 0,
    "PIPELINE_16x16_MULT_REG2": 0,
    "TOPOUTPUT_SELECT": 0,
    "BOTOUTPUT_SELECT": 0,
    "TOPADDSUB_LOWERINPUT": 2,
    "BOTADDSUB_LOWERINPUT": 2,
    "TOPADDSUB_UPPERINPUT": 1,
    "BOTADDSUB_UPPERINPUT": 1,
    "TOPADDSUB_CARRYSELECT": 3,
    "BOTADDSUB_CARRYSELECT": 0,
}
"""What the model of `SB_MAC16` takes for granted: the output is that of the adders, which are one,
of a signed product and the operand that is called C and D."""
