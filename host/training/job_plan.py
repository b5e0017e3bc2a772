"""From options to jobs: which epochs a job runs, and what the engine is told of each.

By default a job is one epoch. A job of several epochs runs them without the host: it draws its
random numbers from one seed, and its pipeline is not drained in between, so the first groups of an
epoch do not see the last updates of the one before. Its bits therefore differ from those of single
epochs, by as little as another seed changes them; on every device they are the same.

Units. The host's model w works on features v, the engine's words X on the codes' values v s with
s = `full_scale`, so w = s X: ``--l2`` and ``--l1`` act on w, alike at every precision.

Precision, in the vocabulary of DMGC (De Sa et al., "Understanding and optimizing asynchronous
low-precision SGD", ISCA 2017): D4M16G8 has 4-bit data (``--bits``), 16-bit model words
(``--model-bits``: the low 24 - 16 bits of each stay zero, `Job.model_drop`) and 8-bit gradient
scales (``--gradient-bits``: as many of each sample's scaled error are kept, `Job.error_drop`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Epoch, Job, Step

from ..codes.rounding import Ints
from ..codes.scaling import full_scale
from ..codes.weaving import Bytes, Woven
from ..data.dataset import Floats
from ..errors import InputError
from ..options.losses import LOSSES
from ..options.options import Options
from .schedule import scheduled


def plan_jobs(woven: Woven, options: Options, step: float) -> tuple[Job, ...]:
    """The jobs of a training on data of this shape, in order.

    Raises
    ------
    InputError
        If the engine cannot run one of them.
    """
    return tuple(_job(woven, options, step, epochs) for epochs in spans(options))


def spans(options: Options) -> list[range]:
    """The epochs of each job, counted from 1.

    A job ends where a snapshot is due. If the margin variance is needed, the first epoch is a job
    of its own: the model of zeros that it starts from has none, the next job's has.
    """
    found: list[range] = []
    first = 1
    while first <= options.epochs:
        end = min(first + options.epochs_per_job, options.epochs + 1)
        end = min([end, *(epoch + 1 for epoch in options.snapshots if epoch >= first)])
        if first == 1 and options.uses_margin_variance:
            end = 2
        found.append(range(first, end))
        first = end
    return found


def with_margin_variance(job: Job, words: Ints, differing: Floats, config: EngineConfig) -> Job:
    """``job`` with s2 = d**2 * sum_j p_j X_j**2 of the model that it starts from.

    Parameters
    ----------
    words : int64 (chunks * lanes)
        X, ``model_frac`` fractional bits.
    differing : float64 (chunks * lanes)
        p: see `differing_shares`.
    """
    x = words * 2.0**-config.model_frac
    s2 = float(differing @ np.square(x)) * 4.0 ** -(job.bits - 1)
    return replace(job, epochs=tuple(replace(one, margin_variance=s2) for one in job.epochs))


def differing_shares(woven: Woven, config: EngineConfig) -> Floats:
    """The share of samples whose two draws differ in each feature: (chunks * lanes).

    They do where the code is even (odd if unsigned), which its lowest plane shows.
    """
    beats = woven.beats.reshape(woven.groups, -1, config.beat_bytes)
    lowest = slice(woven.bits - 1, woven.chunks * woven.bits, woven.bits)
    ones = np.zeros((woven.chunks, config.beat_bits), dtype=np.int64)
    for start in range(0, woven.groups, 1 << 12):
        planes: Bytes = beats[start : start + (1 << 12), lowest]
        ones += np.unpackbits(planes, axis=-1, bitorder="little").sum(axis=0, dtype=np.int64)
    odd = ones.reshape(woven.chunks, config.banks, config.lanes).sum(axis=1).reshape(-1)
    differing = odd if woven.unsigned else woven.samples - odd
    differing[woven.features :] = 0
    return np.asarray(differing / woven.samples)


def _job(woven: Woven, options: Options, step: float, epochs: range) -> Job:
    config, scale = options.config, full_scale(options.bits, options.unsigned)
    regularised = 0
    if options.l1 or options.l2:
        regularised = woven.features - (not options.regularise_intercept)
    try:
        job = Job(
            epochs=tuple(
                Epoch(
                    step=Step.nearest(scheduled(step, options.schedule, epoch), config),
                    l2=options.l2 * scale**2,
                    l1=options.l1 * scale,
                )
                for epoch in epochs
            ),
            bits=options.bits,
            chunks=woven.chunks,
            groups=woven.groups,
            batch_groups=options.batch_groups_in(woven.groups),
            delay=options.delay,
            sync=options.sync,
            corrected=options.corrected,
            seed=int(np.random.SeedSequence([options.seed, epochs[0]]).generate_state(1)[0]),
            loss=LOSSES[options.loss].engine,
            unsigned=woven.unsigned,
            weighted=woven.weighted,
            regularised=regularised,
            model_drop=config.model_bits - options.model_bits,
            error_drop=config.error_bits - options.gradient_bits,
        )
        if config.regularisation:
            for each in job.epochs:
                _check_regularisation(each, options, scale)
        job.check(config)
        job.check_weights(config, woven.most_weight)
    except ValueError as fault:
        which = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs from {epochs[0]} on"
        raise InputError(f"this engine cannot run {which}: {fault}") from fault
    return job


def _check_regularisation(epoch: Epoch, options: Options, scale: float) -> None:
    """Says in the units of the options what `Job.check` would say in the engine's."""
    limits = (
        ("--l2", options.l2, epoch.most_l2(options.config) / scale**2),
        ("--l1", options.l1, epoch.most_l1(options.config) / scale),
    )
    for name, value, most in limits:
        if value > most:
            raise ValueError(
                f"{name} {value:g} with step size {epoch.step.value:g} is out of range; "
                f"keep {name} below {most:.3g}, or lower the step"
            )
