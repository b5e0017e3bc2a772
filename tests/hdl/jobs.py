"""Random jobs for the testbenches, and jobs read back from a port."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hdl.config import MIN_BITS, SEED_BITS, EngineConfig, Job, Step


def random_job(rng: np.random.Generator, config: EngineConfig, most_groups: int) -> Job:
    """A job that ``config`` can run, with any step size: too small, in between or too large."""
    bits = int(rng.integers(MIN_BITS, config.max_bits + 1))
    delay = int(rng.integers(1, config.max_delay + 1))
    chunks = int(rng.integers(1, min(config.max_chunks, config.replay_beats // (delay * bits)) + 1))
    groups = int(rng.integers(1, most_groups + 1))
    shifts = rng.choice([config.max_step_shift - config.min_step_shift, config.mantissa_bits])
    job = Job(
        bits=bits,
        chunks=chunks,
        groups=groups,
        batch_groups=int(rng.integers(1, groups + 2)),
        delay=delay,
        sync=bool(rng.integers(2)),
        step=Step(
            mantissa=int(rng.integers(1, 1 << config.mantissa_bits)),
            shift=config.min_step_shift + int(rng.integers(shifts + 1)),
        ),
        corrected=bool(rng.integers(4)),
        seed=int(rng.integers(1 << SEED_BITS)),
    )
    return job if _fits(config, job) else replace(job, corrected=False)


def calm_job(rng: np.random.Generator, config: EngineConfig, most_groups: int) -> Job:
    """A random job with a step size as in a training that converges."""
    job = random_job(rng, config, most_groups)
    return replace(job, step=Step.nearest(2.0 ** -rng.uniform(4, 9), config), corrected=True)


def steepest_job(config: EngineConfig, job: Job) -> Job:
    """``job`` with 2 bits and a step whose coefficient may be rounded up beyond its width."""
    spare = config.correction_unit_bits - config.mantissa_bits
    shift = config.correction_unit_frac - 2 * (MIN_BITS - 1) - spare
    step = Step(mantissa=(1 << config.mantissa_bits) - 1, shift=shift)
    return replace(job, bits=MIN_BITS, step=step, corrected=True)


def largest_step_job(config: EngineConfig, job: Job) -> Job:
    """``job`` with the largest step: errors and model words saturate."""
    step = Step(mantissa=(1 << config.mantissa_bits) - 1, shift=config.min_step_shift)
    return replace(job, step=step, corrected=False)


def job_of(config: EngineConfig, fields: dict[str, Any]) -> Job:
    """The training job that a port of `hdl.protocol.job_layout` shows."""
    job = Job(
        bits=fields["bits"],
        chunks=fields["chunks"],
        groups=fields["groups"],
        batch_groups=fields["batch_groups"],
        delay=fields["delay"],
        sync=bool(fields["sync"]),
        step=Step(mantissa=fields["step_mantissa"], shift=fields["step_shift"]),
        corrected=bool(fields["correction"]),
        seed=fields["seed"],
    )
    assert job.correction(config) == fields["correction"]
    return job


def _fits(config: EngineConfig, job: Job) -> bool:
    try:
        job.check(config)
    except ValueError:
        return False
    return True
