"""Number formats and limits that are the same in every engine.

A name that ends in ``_FRAC`` counts fractional bits.
"""

from __future__ import annotations

MIN_BITS = 2
"""Fewest bits of a code: below two there is no odd grid with a sign."""

MAX_BITS = 32
"""Most bits of a code that any engine takes: 16 and 32 are the full-precision baseline."""

MAX_BEAT_BITS = 4096
"""Widest beat: eight times the widest memory port in sight, and a guard against slips."""

LABEL_WORD_BITS = 32
"""Bits of a sample's label word in the woven stream, and of each word that a job adds to it."""

MODEL_WORD_BITS = LABEL_WORD_BITS
"""Bits of a model word or margin outside the engine: sign-extended, so that memory holds plain
integers, as it does for labels."""

EPOCH_DEPTH = 64
"""Epochs that can wait in the queue before an engine, be it behind AXI or a link."""

WEIGHT_BITS, WEIGHT_FRAC = 12, 8
"""Format of a sample's weight (unsigned)."""

CURVATURE_FRAC = 10
"""Fractional bits of a loss's second derivative f', which is at most 1."""

VARIANCE_BITS, VARIANCE_FRAC = 10, 8
"""Format of the margin variance s2 (unsigned)."""

THRESHOLD_BITS = 12
"""Integer bits of the soft threshold, in units of the model's last place."""

COARSE_BITS = 9
"""Most low bits of a model word that a job may hold at zero."""

STEP_DROPS = 32
"""Right shifts that the product of a step's mantissa and a residual can take: 0 to 31."""

NOISE_BITS = 16
"""Most low bits of a scaled error that a job may round away."""

TABLE_STEP_BITS = 5
"""The tables of the logistic loss (`hdl.contract.tables`) have an entry every
``2**-TABLE_STEP_BITS``."""

MAX_GRADIENT_BITS = 64
"""Widest sum of a gradient: what `sim.golden` and `sim.fast` compute in an integer of theirs."""

MAX_MANTISSA_BITS, MAX_COEFFICIENT_BITS, MAX_ERROR_BITS, MAX_RANDOM_BITS = 24, 24, 32, 24
"""Widest factors and dithers: the products of the first two with weights and curvatures fit an
integer of `sim.golden`, errors one of 32 bits in `sim.fast`."""

MAX_COUNT_BITS = 32
"""Widest counters of groups, and the width of those of saturations."""
