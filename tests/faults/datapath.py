"""Faults of what computes: from beats to model words."""

from __future__ import annotations

from .fault import Fault

SUMS = (
    Fault(
        name="dot-sum",
        stage="dot",
        what="the lowest bit of every plane's sum is inverted",
        old="partial = sum_tree(m, gated, config.adder_levels)",
        new="partial = sum_tree(m, gated, config.adder_levels) ^ 1",
    ),
    Fault(
        name="dot-gate",
        stage="dot",
        what="the bit of feature 0 of sample 0 is stuck at 1",
        old="Mux(plane[i], self.x[i], 0)",
        new="Mux(plane[i] | (bank == i == 0), self.x[i], 0)",
    ),
    Fault(
        name="dot-chunk",
        stage="dot",
        what="the flag of the first chunk is stuck at 0",
        old="Mux(first_chunk, 0, total)",
        new="total",
    ),
    Fault(
        name="gradient-sum",
        stage="gradient",
        what="the lowest bit of every plane's sum is inverted",
        old="partial = sum_tree(m, gated, config.adder_levels)",
        new="partial = sum_tree(m, gated, config.adder_levels) ^ 1",
    ),
    Fault(
        name="gradient-gate",
        stage="gradient",
        what="the bit of feature 0 of sample 0 is stuck at 1",
        old="Mux(beat[bank * config.lanes + lane], error",
        new="Mux(beat[bank * config.lanes + lane] | (bank == lane == 0), error",
    ),
    Fault(
        name="gradient-bit",
        stage="gradient",
        what="bit 20 of lane 0 is inverted",
        old="self.sums[lane].eq(aligned + noise)",
        new="self.sums[lane].eq((aligned ^ ((lane == 0) << 20)) + noise)",
    ),
    Fault(
        name="update-step",
        stage="update",
        what="the lowest bit of every step is inverted",
        old="step.eq(dithered >> config.gradient_drop)",
        new="step.eq((dithered >> config.gradient_drop) ^ 1)",
    ),
    Fault(
        name="update-terms",
        stage="update",
        what="the lowest bit of the correction is inverted, before it is dropped",
        old="- (self.terms[lane] << align)",
        new="- ((self.terms[lane] ^ 1) << align)",
        geometry="narrow",
    ),
    Fault(
        name="update-flag",
        stage="update",
        what="lane 0 saturates but does not count it",
        old="flag.eq((over | under) & valid)",
        new="flag.eq((over | under) & valid & (lane != 0))",
    ),
    Fault(
        name="update-width",
        stage="update",
        what="a model word less a step is as wide as a model word",
        old="max(config.model_bits + 1, len(step)) + 1",
        new="config.model_bits",
        geometry="16x1",
    ),
    Fault(
        name="update-threshold",
        stage="update",
        what="the soft threshold acts on lane 0 whether it is regularised or not",
        old="Mux(self.regularised[lane], self.threshold, 0)",
        new="Mux(self.regularised[lane] | (lane == 0), self.threshold, 0)",
    ),
)
"""Dot product, gradient and update: the test suite plants these."""

ERRORS = (
    Fault(
        name="labels-word",
        stage="labels",
        what="the lowest bit of every label word is inverted",
        old="data.View(layout, word[",
        new="data.View(layout, (word ^ 1)[",
    ),
    Fault(
        name="margin-half",
        stage="margin",
        what="the margin is rounded down instead of to the nearest",
        old="                    shifted[0],",
        new="                    Const(0, 1),",
    ),
    Fault(
        name="derivative-bend",
        stage="derivative",
        what="the margin-variance term is left out",
        old="bend = registered_product(m, row.bend, self.variance)",
        new="bend = registered_product(m, row.bend, Const(0, 1))",
    ),
    Fault(
        name="derivative-end",
        stage="derivative",
        what="the table begins anew where it ends",
        old="magnitude.eq(Mux(size > end, end, size))",
        new="magnitude.eq(size)",
    ),
    Fault(
        name="scaled-error-half",
        stage="scaled_error",
        what="the scaled error is rounded down instead of to the nearest",
        old="rounds = delay(m, shifted[0] & ~overflow, 1)",
        new="rounds = Const(0, 1)",
    ),
    Fault(
        name="scaled-error-ceiling",
        stage="scaled_error",
        what="a coefficient that is rounded up beyond its width wraps",
        old="return clamp(m, noisy[config.random_bits :], config.coefficient_bits)",
        new="return noisy[config.random_bits :][: config.coefficient_bits]",
    ),
    Fault(
        name="loss-threshold",
        stage="loss",
        what="the soft threshold is not rounded to the model's grid",
        old="(threshold & grid)",
        new="threshold",
    ),
    Fault(
        name="evaluate-valid",
        stage="evaluate",
        what="samples that only fill the last group count",
        old="delay(m, valid & sample.valid, 14)",
        new="delay(m, valid, 14)",
    ),
    Fault(
        name="correction-parity",
        stage="correction",
        what="the parity of feature 0 of sample 0 is stuck at odd",
        old="self.beat[bank * config.lanes + lane] == odd",
        new="(self.beat[bank * config.lanes + lane] | (bank == lane == 0)) == odd",
    ),
    Fault(
        name="gradient-dither",
        stage="gradient",
        what="the lowest random bit of the dither is inverted",
        old="self.random[lane] & used",
        new="(self.random[lane] ^ 1) & used",
        geometry="narrow",
    ),
    Fault(
        name="random-shift",
        stage="random",
        what="the generator's second shift is one too short",
        old="word = word ^ (word >> right)",
        new="word = word ^ (word >> (right - 1))",
    ),
    Fault(
        name="lean-carry",
        stage="lean_update",
        what="the second plane does without the carry that the first one's sign needs",
        old="m.d.sync += carry.eq(~negative)",
        new="m.d.sync += carry.eq(1)",
        geometry="lean",
    ),
    Fault(
        name="lean-limit",
        stage="lean_update",
        what="a word that is too small becomes the largest",
        old="self.row[lane].eq(-1 << magnitude)",
        new="self.row[lane].eq((1 << magnitude) - 1)",
        geometry="lean",
    ),
    Fault(
        name="lean-loss-tie",
        stage="lean_loss",
        what="the scaled error is not rounded",
        old="shifted[1:].as_signed() + shifted[0], config.error_bits",
        new="shifted[1:].as_signed(), config.error_bits",
        geometry="tiny",
    ),
)
"""Labels, losses and errors, random numbers, and the update of a small engine."""
