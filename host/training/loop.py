"""Training: the jobs of a task on an engine, one after the other, whatever the engine is.

The host prepares everything before the first epoch (`host.training.task`). The model stays on the
device; the host reads it after each job.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from zipsgd.sim.golden import Counters

from ..codes.copies import Part as Part
from ..codes.packed import CodedPart
from ..codes.rounding import Ints
from ..devices.interface import Device
from ..errors import InputError, MismatchError
from ..options.losses import LOSSES
from .task import Losses as Losses
from .task import Task as Task
from .task import prepare as prepare
from .task import prepare_packed as prepare_packed


@dataclass(frozen=True, eq=False)
class EpochResult:
    """What one job left behind: an epoch, or several that ran without the host.

    Parameters
    ----------
    number : int
        Of its last epoch, from 1.
    losses : Losses
    words : int64 (chunks * lanes)
        Of the model after it.
    counters : Counters
        Of this job.
    elapsed_s : float
        Seconds since the training began.
    retries : int, optional
        Requests that the link has sent again since the job before; none without a link.
    """

    number: int
    losses: Losses
    words: Ints
    counters: Counters
    elapsed_s: float
    retries: int | None = None

    @property
    def utilisation(self) -> float:
        """Beats a cycle."""
        return self.counters.beats / self.counters.cycles

    @property
    def saturations(self) -> int:
        """Margins, errors and model words that did not fit."""
        count = self.counters
        return count.margin_saturations + count.error_saturations + count.model_saturations


def train(task: Task, device: Device, done: Sequence[EpochResult] = ()) -> Iterator[EpochResult]:
    """Train on ``device`` from a model of zeros, or after the jobs ``done``, one at a time."""
    start = time.perf_counter() - (done[-1].elapsed_s if done else 0)
    chunks = task.copies[0].chunks
    zeros = np.zeros(chunks * device.config.lanes, dtype=np.int64)
    words = done[-1].words if done else zeros
    before = device.retries
    device.load_model(words)
    for index in range(len(done), len(task.jobs)):
        job, copies = task.job(index, words)
        counters = device.run(job, *copies)
        words = device.read_model(chunks)
        losses = task.evaluate(task.model(words).weights)
        number = task.epochs_before(index + 1)
        now = device.retries
        retries = None if now is None or before is None else now - before
        before = now
        yield EpochResult(number, losses, words, counters, time.perf_counter() - start, retries)


def train_float(task: Task) -> Iterator[Losses]:
    """The same training as textbook mini-batch SGD, an epoch at a time: float64, unrounded
    features, no delay; the proximal step of ``--l1`` follows every mini-batch.

    Steps are those of the engine, whose codes count N / 2**(q-1) of a feature, which is left out
    here, and twice that if they are unsigned, which is not.
    """
    part, options = task.train, task.options
    if isinstance(part, CodedPart):
        raise InputError(f"{task.name} has no unrounded features; pack it with --unrounded")
    v, y, derivative = part.v, part.y, LOSSES[options.loss].derivative
    size = options.batch_groups * task.config.banks
    regularised = np.ones(v.shape[1])
    regularised[-1] = options.regularise_intercept
    weights = np.zeros(v.shape[1])
    for epoch in (epoch for job in task.jobs for epoch in job.epochs):
        step = epoch.step.value * (1 + options.unsigned) ** 2
        for start in range(0, len(v), size):
            rows = slice(start, start + size)
            f = derivative(v[rows] @ weights, y[rows])
            if part.weights is not None:
                f *= part.weights[rows]
            weights = weights - step * (f @ v[rows])
            if options.l2 or options.l1:
                share = step * len(f) * regularised
                weights = weights * (1 - share * options.l2)
                held = np.maximum(np.abs(weights) - share * options.l1, 0)
                weights = np.sign(weights) * held
        yield task.evaluate(weights)


def compare(
    task: Task, devices: Sequence[Device], done: Sequence[EpochResult] = ()
) -> Iterator[EpochResult]:
    """Train on all ``devices`` in step, after the jobs ``done``; yields those of the first.

    Raises
    ------
    MismatchError
        If a model word differs after a job.
    """
    for first, *others in zip(*(train(task, device, done) for device in devices), strict=True):
        for device, epoch in zip(devices[1:], others, strict=True):
            different = np.flatnonzero(epoch.words != first.words)
            if different.size:
                word = different[0]
                raise MismatchError(
                    f"{task.name}: after epoch {first.number} model word {word} is "
                    f"{first.words[word]} on {devices[0].name} and {epoch.words[word]} on "
                    f"{device.name}, the first of {different.size} that differ; "
                    "one of the two has a fault"
                )
        yield first
