"""Cycles a sample of the published engines: facts to stand beside this one's.

Each was measured by simulating the published Verilog or VHDL at full input rate, for 8 to 2,048
features, and follows the formula here. None of them has an intercept, which is a feature here.

- ZipML on PYNQ: Zhang et al., "ZipML", ICML 2017, and its demonstrator of the same year; 64-bit
  beats, one rounding to nearest, a cycle more than its beats.
- ZipML on Xeon+FPGA: Kara et al., "FPGA-accelerated dense linear machine learning: a
  precision-convergence trade-off", FCCM 2017; 512-bit beats, two stochastic roundings of each
  feature and its label.
- MLWeaving: Wang et al., "Accelerating generalized linear models with MLWeaving", VLDB 2019;
  512-bit beats of one bit of 64 features of 8 samples, which waits for the update of every
  mini-batch.
"""

from __future__ import annotations

import math

LONG = 60_000
"""Samples of an epoch beside theirs: what fills and drains an engine hardly counts."""
BATCH = 256
"""Of MLWeaving's mini-batches, its fastest here."""


def zipml_pynq(features: int, bits: int) -> float:
    return math.ceil(features * bits / 64) + 1


def zipml_xeon(features: int, bits: int) -> float:
    """For 2 bits and more; 1 bit takes twice as long."""
    return math.ceil((2 * features * bits + 32) / 512)


def mlweaving(features: int, bits: int, batch: int) -> float:
    """For mini-batches of a multiple of 8 samples."""
    groups, chunks = batch // 8, math.ceil(features / 64)
    return (groups * chunks * bits + 2 * (groups - 1) + 43 + bits) / batch
