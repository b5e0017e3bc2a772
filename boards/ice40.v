// For Yosys: A - B is ~(~A + B).
//
// A carry cell of an iCE40 takes both operands as they are, so a subtraction costs a LUT for every
// bit of the operand that it inverts, while the inversion of a sum joins the carry cell's own LUT.
// So the narrower operand is inverted.
(* techmap_celltype = "$alu" *)
module invert_narrower (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  input CI, BI;
  output [Y_WIDTH-1:0] X, Y, CO;

  parameter _TECHMAP_CONSTVAL_CI_ = 1'b0;
  parameter _TECHMAP_CONSTVAL_BI_ = 1'b0;
  localparam SUBTRACTS = _TECHMAP_CONSTVAL_CI_ === 1'b1 && _TECHMAP_CONSTVAL_BI_ === 1'b1;
  wire _TECHMAP_FAIL_ = !SUBTRACTS || A_WIDTH >= B_WIDTH || A_SIGNED != B_SIGNED;

  wire [Y_WIDTH-1:0] inverted, sum, carries;
  \$not #(
      .A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) complement (.A(A), .Y(inverted));
  \$alu #(
      .A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED),
      .A_WIDTH(Y_WIDTH), .B_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)
  ) add (.A(inverted), .B(B), .CI(1'b0), .BI(1'b0), .X(X), .Y(sum), .CO(carries));
  assign Y = ~sum;
  assign CO = ~carries;  // A carry out of A - B says that A >= B; one out of ~A + B that B > A.
endmodule
