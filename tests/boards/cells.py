"""Models of the ECP5 cells that yosys has none for, as the data sheet describes what is used here:
the 18 x 18 multiplier, and the block RAM with a write and a read port of 36 bits.
"""

from __future__ import annotations

from zipsgd.boards.ecp5.netlist import OPEN, Cell

MULTIPLIER = """
module MULT18X18D({ports});
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE", REG_OUTPUT_CLK = "NONE";
  input {inputs};
  output {outputs};
  wire [17:0] a = {{{a}}}, b = {{{b}}};
  reg [17:0] held_a = 0, held_b = 0;
  reg [35:0] held_p = 0;
  wire [17:0] x = REG_INPUTA_CLK == "NONE" ? a : held_a;
  wire [17:0] y = REG_INPUTB_CLK == "NONE" ? b : held_b;
  wire signed [18:0] left = {{SIGNEDA & x[17], x}}, right = {{SIGNEDB & y[17], y}};
  wire signed [37:0] product = left * right;
  always @(posedge CLK0) begin
    held_a <= a;
    held_b <= b;
    held_p <= product[35:0];
  end
  assign {{{p}}} = REG_OUTPUT_CLK == "NONE" ? product[35:0] : held_p;
endmodule
"""

MEMORY = """
module DP16KD({ports});
  parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG";
  parameter DATA_WIDTH_A = 36, DATA_WIDTH_B = 36;
  parameter CLKAMUX = "", CLKBMUX = "", CSDECODE_A = "", CSDECODE_B = "", GSR = "";
  parameter RESETMODE = "", ASYNC_RESET_RELEASE = "", WRITEMODE_A = "", WRITEMODE_B = "";
  {contents}
  input {inputs};
  output {outputs};
  wire [13:0] to = {{{ada}}}, from = {{{adb}}};
  wire [35:0] data = {{{dib}, {dia}}};
  localparam [20479:0] START = {{{start}}};
  reg [35:0] words [0:511];
  integer n;
  initial for (n = 0; n < 512; n = n + 1)
    words[n] = {{START[n * 40 + 20 +: 18], START[n * 40 +: 18]}};
  reg [35:0] read = 0, held = 0;
  integer k;
  always @(posedge CLKA) if (CEA && WEA)
    for (k = 0; k < 4; k = k + 1) if (to[k]) words[to[13:5]][9 * k +: 9] <= data[9 * k +: 9];
  always @(posedge CLKB) begin
    if (CEB) read <= words[from[13:5]];
    if (OCEA && OCEB) held <= read;
  end
  assign {{{doa}}} = REGMODE_A == "OUTREG" ? held[17:0] : read[17:0];
  assign {{{dob}}} = REGMODE_B == "OUTREG" ? held[35:18] : read[35:18];
endmodule
"""


def _pins(name: str, count: int) -> list[str]:
    return [f"{name}{index}" for index in reversed(range(count))]


def multiplier() -> str:
    a, b, p = _pins("A", 18), _pins("B", 18), _pins("P", 36)
    controls = ["SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB", "CLK0", "CE0", "RST0"]
    inputs = [*a, *b, *_pins("C", 18), *controls]
    names = {"a": a, "b": b, "p": p, "inputs": inputs, "outputs": p, "ports": [*inputs, *p]}
    return MULTIPLIER.format(**{key: ", ".join(pins) for key, pins in names.items()})


def memory() -> str:
    data = {name: _pins(name.upper(), 18) for name in ("dia", "dib", "doa", "dob")}
    addresses = {name: _pins(name.upper(), 14) for name in ("ada", "adb")}
    controls = [f"{pin}{side}" for side in "AB" for pin in ("CLK", "CE", "OCE", "WE", "RST")]
    controls += [f"CS{side}{index}" for side in "AB" for index in range(3)]
    inputs = [*data["dia"], *data["dib"], *addresses["ada"], *addresses["adb"], *controls]
    outputs = [*data["doa"], *data["dob"]]
    names = data | addresses | {"inputs": inputs, "outputs": outputs, "ports": [*inputs, *outputs]}
    rows = [f"INITVAL_{index:02X}" for index in range(64)]
    return MEMORY.format(
        contents="parameter [319:0] " + ", ".join(f"{row} = 320'b0" for row in rows) + ";",
        start=", ".join(reversed(rows)),
        **{key: ", ".join(pins) for key, pins in names.items()},
    )


def drop_open_outputs(cell: Cell) -> None:
    """Yosys knows an output that is open by its not being there; nextpnr wants to see it."""
    for pin, direction in [*cell["port_directions"].items()]:
        if direction == "output" and cell["connections"][pin] == [OPEN]:
            del cell["port_directions"][pin], cell["connections"][pin]
