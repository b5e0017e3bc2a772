"""Engines by name."""

from __future__ import annotations

from dataclasses import replace

from .config import EngineConfig
from .parameters import Loss

_LEAST_SQUARES = EngineConfig(
    losses=(Loss.LEAST_SQUARES,),
    evaluate=False,
    sample_words=False,
    regularisation=False,
    coarsening=False,
)

_RAPID = replace(
    _LEAST_SQUARES,
    error_bits=20,
    error_frac=16,
    max_delay=4,
    count_bits=24,
    fanout_stages=2,
)

_SMALL = replace(
    _LEAST_SQUARES,
    lanes=8,
    banks=1,
    max_bits=4,
    max_chunks=32,
    max_delay=2,
    replay_beats=256,
    model_bits=16,
    model_frac=10,
    error_bits=18,
    error_frac=14,
    coefficient_bits=10,
    coefficient_frac=14,
    mantissa_bits=4,
    random_bits=8,
    read_latency=1,
    count_bits=16,
)

ENGINES = {
    "default": EngineConfig(),
    # The same with every wire that spans lanes or banks cut: six cycles more of a dot product, for
    # the clock rate. A shorter mantissa leaves room in the multiplier of a step for the lowest bits
    # of its shift.
    "complete": EngineConfig(fanout_stages=2, mantissa_bits=10),
    # An 18-bit model takes one multiplier of a DSP block a lane, a 24-bit one two.
    "medium": EngineConfig(
        lanes=16,
        banks=1,
        model_bits=18,
        model_frac=12,
        error_bits=20,
        error_frac=16,
        evaluate=False,
    ),
    # Least squares alone, for beats as wide as a clock of 100 MHz allows.
    "wide": replace(
        _LEAST_SQUARES,
        lanes=16,
        banks=4,
        model_bits=18,
        model_frac=12,
        error_bits=18,
        error_frac=14,
        fanout_stages=1,
    ),
    # Least squares alone, as fast as a clock gets: every wire that spans lanes or banks is cut.
    "rapid": _RAPID,
    # The same for beats of 512 bits: 16 samples of 32 features, at up to 4 bits. Fewer lanes have
    # fewer multipliers, which are far from most of them, and shorter wires than 64 x 8.
    "broad": replace(
        _RAPID,
        lanes=32,
        banks=16,
        max_bits=4,
        max_chunks=32,
        max_delay=2,
        replay_beats=256,
        adder_levels=2,
        model_bits=16,
        model_frac=10,
        error_bits=16,
        error_frac=12,
        coefficient_bits=10,
        coefficient_frac=14,
        mantissa_bits=8,
        random_bits=8,
    ),
    # Fits an iCE40-UP5K.
    "small": _SMALL,
    # Fits one together with link, memory and UART.
    "tiny": replace(
        _SMALL,
        model_bits=13,
        error_bits=14,
        count_bits=14,
        error_frac=12,
        coefficient_bits=8,
        adder_levels=3,
    ),
}
