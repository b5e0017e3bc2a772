"""The iCE40's SPRAM block as its usage guide describes it: one port; a write shows nothing."""

from __future__ import annotations

SPRAM = """
module SB_SPRAM256KA(
  input [13:0] ADDRESS, input [15:0] DATAIN, input [3:0] MASKWREN,
  input WREN, CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF,
  output reg [15:0] DATAOUT);
  reg [15:0] words [0:16383];
  integer n;
  initial begin
    for (n = 0; n < 16384; n = n + 1) words[n] = 16'hdead ^ n[15:0];
    DATAOUT = 16'hbeef;
  end
  wire on = CHIPSELECT & ~STANDBY & ~SLEEP & POWEROFF;
  always @(posedge CLOCK) if (on) begin
    if (WREN) begin
      for (n = 0; n < 4; n = n + 1)
        if (MASKWREN[n]) words[ADDRESS][4 * n +: 4] <= DATAIN[4 * n +: 4];
      DATAOUT <= 16'hbeef;
    end else
      DATAOUT <= words[ADDRESS];
  end
endmodule
"""
