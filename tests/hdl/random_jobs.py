"""Random jobs for the tests, and jobs read back from ports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import COARSE_BITS, MIN_BITS, NOISE_BITS
from zipsgd.hdl.contract.generators import SEED_BITS
from zipsgd.hdl.contract.job import PARTS, Epoch, Job, Loss, Mode, Step
from zipsgd.hdl.contract.protocol import LOSS_BITS, Error, job_layout
from zipsgd.sim import golden
from zipsgd.sim.golden import Bools, Ints

PASSES = (Mode.TRAIN, Mode.PREDICT, Mode.EVALUATE)


def random_job(
    rng: np.random.Generator, config: EngineConfig, most_groups: int, most_epochs: int = 3
) -> Job:
    """A job that ``config`` can run, most often one that learns; its step sizes are anything: too
    small, in between, too large."""
    modes = modes_of(config)
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
        mode=Mode.TRAIN if rng.random() < 0.7 else Mode(rng.choice(modes[1:])),
        loss=Loss(rng.choice(config.losses)),
        unsigned=bool(rng.integers(2)),
        weighted=bool(rng.integers(2)),
        offset=bool(rng.integers(2)),
        regularised=int(rng.integers(chunks * config.lanes + 1)),
        model_drop=int(rng.integers(2) * rng.integers(COARSE_BITS + 1)),
        error_drop=int(rng.integers(2) * rng.integers(NOISE_BITS + 1)),
    )
    return feasible(config, possible(config, job))


def modes_of(config: EngineConfig) -> list[Mode]:
    """What an engine does with samples; it trains first of all."""
    return [mode for mode in PASSES if config.evaluate or mode != Mode.EVALUATE]


def possible(config: EngineConfig, job: Job) -> Job:
    """``job`` without the options of which ``config`` lacks the part."""
    absent = [names for part, names in PARTS.items() if not getattr(config, part)]
    neutral = {name: type(getattr(job, name))(0) for names in absent for name in names}
    epochs = job.epochs
    if not config.regularisation:
        epochs = tuple(replace(epoch, l2=0.0, l1=0.0) for epoch in epochs)
    return replace(job, epochs=epochs, **neutral)


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
        job,
        epochs=epochs,
        corrected=False,
        mode=Mode.TRAIN,
        loss=Loss.LEAST_SQUARES,
        unsigned=False,
        weighted=False,
        offset=False,
        error_drop=0,
    )


def feasible(config: EngineConfig, job: Job) -> Job:
    """``job``, without what its steps are too large for: correction, regularisation, or both."""
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
    """An epoch that a port of `hdl.contract.protocol.epoch_layout` shows: its fields are as they
    are."""

    fields: dict[str, int]

    @classmethod
    def of(cls, config: EngineConfig, fields: dict[str, int]) -> SeenEpoch:
        shift = fields["step_drop"] + config.min_step_shift
        return cls(step=Step(mantissa=fields["step_mantissa"], shift=shift), fields=fields)

    def decay(self, config: EngineConfig) -> int:
        return self.fields.get("decay", 0)

    def threshold(self, config: EngineConfig) -> int:
        return self.fields.get("threshold", 0)

    def variance(self) -> int:
        return self.fields.get("variance", 0)


@dataclass(frozen=True, kw_only=True)
class SeenJob(Job):
    """A job that a port of `hdl.contract.protocol.job_layout` shows, with the epochs that went with
    it."""

    def correction(self, config: EngineConfig, epoch: Epoch) -> int:
        assert isinstance(epoch, SeenEpoch)
        return epoch.fields["correction"]


def job_of(
    config: EngineConfig, fields: dict[str, Any], epochs: list[dict[str, int]] | None = None
) -> Job:
    """The job of what the ports show; without epochs, one for code that asks only how many.

    Raises
    ------
    ValueError
        If there is no such mode or loss.
    """
    values = {
        **fields,
        **{flag: bool(fields.get(flag)) for flag in ("sync", "unsigned", "weighted", "offset")},
        "mode": Mode(fields["mode"]),
        "loss": Loss(fields["loss"]),
    }
    if epochs is None:
        step = Step(mantissa=1, shift=config.min_step_shift)
        return Job(**{**values, "epochs": (Epoch(step=step),) * fields["epochs"]}, corrected=False)
    assert len(epochs) == fields["epochs"]
    seen = tuple(SeenEpoch.of(config, epoch) for epoch in epochs)
    return SeenJob(**{**values, "epochs": seen}, corrected=True)


def verdict(config: EngineConfig, fields: dict[str, int]) -> Error:
    """What the engine must say to a job: what `Job.check` says to it."""
    error: Any = Error.NONE
    if fields["mode"] in (Mode.LOAD, Mode.DUMP):
        if not 1 <= fields["chunks"] <= config.max_chunks:
            error = Error.RANGE
        return error
    try:
        job_of(config, fields).check(config)
    except ValueError as fault:
        error = Error.REPLAY if "replay buffer" in str(fault) else Error.RANGE
    return error


def bad_fields(config: EngineConfig) -> list[dict[str, int]]:
    """Changes to a job's fields each of which makes it one that the engine must refuse."""
    layout = job_layout(config)
    ranges = {
        "mode": (0, max(Mode)),
        "bits": (MIN_BITS, config.max_bits),
        "chunks": (1, config.max_chunks),
        "groups": (1, None),
        "batch_groups": (1, None),
        "epochs": (1, None),
        "delay": (1, config.max_delay),
        **({"model_drop": (0, COARSE_BITS)} if config.coarsening else {}),
        **({"error_drop": (0, NOISE_BITS)} if config.coarsening else {}),
    }
    bad = []
    for name, (least, most) in ranges.items():
        largest = (1 << layout[name].width) - 1
        values = {least - 1, 0} if least else set()
        if most is not None and most < largest:
            values |= {most + 1, largest}
        bad += [{name: value} for value in sorted(values)]
    bad += [{"loss": loss} for loss in range(1 << LOSS_BITS) if loss not in config.losses]
    bad += [{"mode": mode} for mode in PASSES if mode not in modes_of(config)]
    if config.overflows:
        bad.append(
            {"delay": config.max_delay, "chunks": config.max_chunks, "bits": config.max_bits}
        )
    return bad


def _fits(config: EngineConfig, job: Job) -> bool:
    try:
        job.check(config)
    except ValueError:
        return False
    return True


def any_job(config: EngineConfig, **options: Any) -> Job:
    """The plainest job, for functions of the golden model that ask it for ``options``."""
    step = Step(mantissa=1, shift=config.min_step_shift)
    plain = Job(
        epochs=(Epoch(step=step),),
        bits=MIN_BITS,
        chunks=1,
        groups=1,
        batch_groups=1,
        delay=1,
        sync=False,
        corrected=False,
        seed=0,
    )
    return replace(plain, **options)


def product_margin(
    config: EngineConfig, bits: int, product: Ints, offset: Ints
) -> tuple[Ints, Bools]:
    """`golden.margin` of dot products (B) that were made before."""
    job = any_job(config, bits=bits)
    return golden.margin(config, job, product[:, None], np.ones(1, dtype=np.int64), offset)
