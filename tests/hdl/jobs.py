"""Random jobs for the tests, and jobs read back from ports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hdl.config import COARSE_BITS, MIN_BITS, NOISE_BITS, SEED_BITS, EngineConfig
from hdl.job import Epoch, Job, Loss, Mode, Step

PASSES = (Mode.TRAIN, Mode.PREDICT, Mode.EVALUATE)


def random_job(
    rng: np.random.Generator, config: EngineConfig, most_groups: int, most_epochs: int = 3
) -> Job:
    """A job that ``config`` can run, most often one that learns; its step sizes are anything: too
    small, in between, too large."""
    bits = int(rng.integers(MIN_BITS, config.max_bits + 1))
    delay = int(rng.integers(1, config.max_delay + 1))
    most_chunks = min(config.max_chunks, config.replay_beats // (delay * bits))
    chunks = int(rng.integers(1, most_chunks + 1))
    groups = int(rng.integers(1, most_groups + 1))
    shifts = rng.choice([config.max_step_shift - config.min_step_shift, config.mantissa_bits])
    job = Job(
        epochs=tuple(
            random_epoch(
                rng,
                Step(
                    mantissa=int(rng.integers(1, 1 << config.mantissa_bits)),
                    shift=config.min_step_shift + int(rng.integers(shifts + 1)),
                ),
            )
            for _ in range(rng.integers(1, most_epochs + 1))
        ),
        bits=bits,
        chunks=chunks,
        groups=groups,
        batch_groups=int(rng.integers(1, groups + 2)),
        delay=delay,
        sync=bool(rng.integers(2)),
        corrected=bool(rng.integers(4)),
        seed=int(rng.integers(1 << SEED_BITS)),
        mode=Mode(rng.choice(PASSES, p=[0.7, 0.15, 0.15])),
        loss=Loss(rng.integers(len(Loss))),
        unsigned=bool(rng.integers(2)),
        weighted=bool(rng.integers(2)),
        offset=bool(rng.integers(2)),
        regularised=int(rng.integers(chunks * config.lanes + 1)),
        model_drop=int(rng.choice([0, rng.integers(COARSE_BITS + 1)])),
        error_drop=int(rng.choice([0, rng.integers(NOISE_BITS + 1)])),
    )
    return feasible(config, job)


def random_epoch(rng: np.random.Generator, step: Step) -> Epoch:
    """``step`` with or without regularisation."""
    return Epoch(
        step=step,
        l2=float(rng.choice([0, 0.01, 0.3])),
        l1=float(rng.choice([0, 0.001, 0.05])),
        margin_variance=float(rng.choice([0, rng.uniform(0, 4.5)])),
    )


def calm_job(
    rng: np.random.Generator, config: EngineConfig, most_groups: int, most_epochs: int = 3
) -> Job:
    """A random job with step sizes as in a training that converges."""
    job = random_job(rng, config, most_groups, most_epochs)
    epochs = tuple(
        replace(epoch, step=Step.nearest(2.0 ** -rng.uniform(4, 9), config)) for epoch in job.epochs
    )
    return feasible(config, replace(job, epochs=epochs, corrected=True))


def steepest_job(config: EngineConfig, job: Job) -> Job:
    """``job`` with 2 bits and a step whose coefficient may be rounded up beyond its width."""
    spare = config.correction_unit_bits - config.mantissa_bits
    shift = config.correction_unit_frac - 2 * (MIN_BITS - 1) - spare
    step = Step(mantissa=(1 << config.mantissa_bits) - 1, shift=shift)
    epochs = tuple(Epoch(step=step) for _ in job.epochs)
    return replace(job, bits=MIN_BITS, epochs=epochs, corrected=True)


def largest_step_job(config: EngineConfig, job: Job) -> Job:
    """``job`` with the largest step: errors and model words saturate."""
    step = Step(mantissa=(1 << config.mantissa_bits) - 1, shift=config.min_step_shift)
    epochs = tuple(Epoch(step=step) for _ in job.epochs)
    return replace(
        job, epochs=epochs, corrected=False, mode=Mode.TRAIN, loss=Loss.LEAST_SQUARES, error_drop=0
    )


def feasible(config: EngineConfig, job: Job) -> Job:
    """``job``, without what its steps are too large for: its correction, then its regularisation."""
    for attempt in (
        job,
        replace(job, corrected=False),
        replace(job, epochs=tuple(replace(epoch, l2=0.0, l1=0.0) for epoch in job.epochs)),
    ):
        if _fits(config, attempt):
            return attempt
    bare = tuple(replace(epoch, l2=0.0, l1=0.0) for epoch in job.epochs)
    return replace(job, epochs=bare, corrected=False)


@dataclass(frozen=True, kw_only=True)
class SeenEpoch(Epoch):
    """An epoch that a port of `hdl.protocol.epoch_layout` shows: its fields are as they are."""

    fields: dict[str, int]

    @classmethod
    def of(cls, config: EngineConfig, fields: dict[str, int]) -> SeenEpoch:
        shift = fields["step_drop"] + config.min_step_shift
        return cls(step=Step(mantissa=fields["step_mantissa"], shift=shift), fields=fields)

    def decay(self, config: EngineConfig) -> int:
        return self.fields["decay"]

    def threshold(self, config: EngineConfig) -> int:
        return self.fields["threshold"]

    def variance(self) -> int:
        return self.fields["variance"]


@dataclass(frozen=True, kw_only=True)
class SeenJob(Job):
    """A job that a port of `hdl.protocol.job_layout` shows, with the epochs that went with it."""

    def correction(self, config: EngineConfig, epoch: Epoch) -> int:
        assert isinstance(epoch, SeenEpoch)
        return epoch.fields["correction"]


def job_of(
    config: EngineConfig, fields: dict[str, Any], epochs: list[dict[str, int]] | None = None
) -> SeenJob:
    """The job of what the ports show; without epochs, one for code that asks only how many."""
    flags = ("sync", "unsigned", "weighted", "offset")
    seen: tuple[Epoch, ...]
    if epochs is None:
        seen = (Epoch(step=Step(mantissa=1, shift=config.min_step_shift)),) * fields["epochs"]
    else:
        assert len(epochs) == fields["epochs"]
        seen = tuple(SeenEpoch.of(config, epoch) for epoch in epochs)
    return SeenJob(
        **{
            **fields,
            **{flag: bool(fields[flag]) for flag in flags},
            "mode": Mode(fields["mode"]),
            "loss": Loss(fields["loss"]),
            "epochs": seen,
            "corrected": True,
        }
    )


def _fits(config: EngineConfig, job: Job) -> bool:
    try:
        job.check(config)
    except ValueError:
        return False
    return True
