"""Named engine configurations of the tests: small, and each odd in its own way."""

from __future__ import annotations

from dataclasses import replace

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.parameters import Loss
from zipsgd.hdl.contract.presets import ENGINES

GEOMETRIES = {
    # The plain case.
    "4x2": EngineConfig(lanes=4, banks=2, max_chunks=8, max_delay=4, replay_beats=256),
    # No tree over the banks; a delay that is not a power of two. Few label beats: writing the model
    # takes longer than the beats of a short sample.
    "16x1": EngineConfig(lanes=16, banks=1, max_chunks=4, max_delay=3, replay_beats=128),
    # Labels take longer than dot products; delay 1 only.
    "2x4": EngineConfig(lanes=2, banks=4, max_chunks=8, max_delay=1, replay_beats=64),
    # The product's default shape.
    "16x4": EngineConfig(lanes=16, banks=4, max_chunks=4, replay_beats=256),
    # The gradient's pipeline is longer than the correction's; one label beat.
    "32x8": EngineConfig(lanes=32, banks=8, max_chunks=2, max_delay=2, replay_beats=64),
    # A label word is half a beat.
    "64x1": EngineConfig(lanes=64, banks=1, max_chunks=2, max_delay=2, replay_beats=64),
    # Few bits: everything saturates, more often than can be counted, every dropped bit is random,
    # the correction is aligned. The replay buffer does not hold every job, nor does that of two
    # bits.
    "narrow": EngineConfig(
        lanes=4,
        banks=2,
        max_bits=4,
        max_chunks=4,
        max_delay=2,
        replay_beats=16,
        model_bits=12,
        model_frac=6,
        error_bits=17,
        error_frac=11,
        coefficient_bits=5,
        coefficient_frac=7,
        mantissa_bits=7,
        random_bits=8,
        count_bits=8,
    ),
    # Codes of two bits only.
    "2bit": EngineConfig(
        lanes=4, banks=2, max_bits=2, max_chunks=4, max_delay=2, replay_beats=8, random_bits=8
    ),
    # Codes wider than the golden model's dot product takes at once.
    "32bit": EngineConfig(
        lanes=4, banks=2, max_bits=32, max_chunks=2, max_delay=2, replay_beats=128
    ),
    # Twice the default width, and the widest random numbers.
    "16bit": EngineConfig(
        lanes=4, banks=4, max_bits=16, max_chunks=2, max_delay=2, replay_beats=64, random_bits=16
    ),
    # What lanes and banks share comes to them through registers.
    "spread": EngineConfig(
        lanes=8,
        banks=4,
        max_chunks=4,
        max_delay=2,
        replay_beats=64,
        adder_levels=2,
        fanout_stages=2,
    ),
    # Built without most parts.
    "small": ENGINES["small"],
    "tiny": ENGINES["tiny"],
    # And fast all the same.
    "wide": replace(ENGINES["wide"], max_chunks=4, max_delay=3, replay_beats=128),
    # Without those between gradient and model word, but with several samples in a group; slots are
    # as short as they get.
    "lean": EngineConfig(
        lanes=32,
        banks=2,
        max_chunks=2,
        max_delay=3,
        replay_beats=64,
        read_latency=1,
        adder_levels=2,
        regularisation=False,
        coarsening=False,
    ),
    # Built without those that the other has and the other way round, as far as that goes.
    "parts": EngineConfig(
        lanes=4,
        banks=2,
        max_chunks=8,
        max_delay=2,
        replay_beats=128,
        read_latency=1,
        adder_levels=2,
        losses=(Loss.LOGISTIC, Loss.LEAST_SQUARES, Loss.HUBER),
        sample_words=False,
        coarsening=False,
    ),
    # The engines whose clock rates the README gives, with memories that a simulation fills.
    "rapid": replace(ENGINES["rapid"], max_chunks=4, replay_beats=128),
    "broad": replace(ENGINES["broad"], max_chunks=2, replay_beats=16),
    "complete": replace(ENGINES["complete"], max_chunks=4, replay_beats=128),
    "medium": replace(ENGINES["medium"], max_chunks=4, replay_beats=128),
}

SMALL = ("4x2", "16x1", "2x4", "narrow")
"""Those that every testbench runs on."""

ALL = tuple(GEOMETRIES)
