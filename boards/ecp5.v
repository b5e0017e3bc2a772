// For Yosys: an addition or subtraction is one carry chain.
//
// Left to itself, Yosys joins additions that follow each other into one sum of many operands, and
// makes that of LUTs that add three bits. On an ECP5 a carry cell is an adder anyway.
(* techmap_celltype = "$add $sub" *)
module one_chain (A, B, Y);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;

  parameter _TECHMAP_CELLTYPE_ = "";
  localparam SUBTRACTS = _TECHMAP_CELLTYPE_ == "$sub" ? 1'b1 : 1'b0;

  wire [Y_WIDTH-1:0] propagates, carries;
  \$alu #(
      .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED),
      .A_WIDTH(A_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) add (.A(A), .B(B), .CI(SUBTRACTS), .BI(SUBTRACTS), .X(propagates), .Y(Y), .CO(carries));
endmodule
