"""Training: one pass of an engine an epoch, whatever the engine is.

The host prepares everything before the first epoch: jobs, and copies of the training part that are
rounded independently and used in turn. An epoch is one job; the model stays on the device.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from hdl.config import EngineConfig
from hdl.job import Epoch as JobEpoch
from hdl.job import Job, Step
from sim.golden import Counters

from .auto_step import auto_step
from .dataset import Dataset, Floats
from .devices import Device
from .encoding import Encoding
from .errors import InputError, MismatchError
from .fused import round_and_weave
from .model_file import Model
from .options import Options
from .packed import CodedPart, PackedSet
from .rounding import Draws, Ints, quantise_labels
from .scaling import LabelScaling, Scaling, with_intercept
from .steps import scheduled
from .weaving import Woven


@dataclass(frozen=True, eq=False)
class Part:
    """Scaled samples: v (n, d + 1) unrounded with the intercept, labels y (n)."""

    v: Floats
    y: Floats

    def loss(self, weights: Floats) -> float:
        """Half the mean squared error of the margins ``v @ weights``."""
        return float(np.square(self.v @ weights - self.y).mean() / 2)


@dataclass(frozen=True)
class Losses:
    """Half mean squared errors in scaled label units.

    Parameters
    ----------
    train, heldout : float
        On the unrounded training part and held-out part.
    score : float or None
        On the held-out part: the share of right classes, or R2, which labels without variance
        do not have.
    """

    train: float
    heldout: float
    score: float | None


@dataclass(frozen=True, eq=False)
class Task:
    """A training, ready for any device of its geometry.

    Parameters
    ----------
    name : str
        Of the data set.
    options : Options
    scaling, label_scaling, feature_names, encoding
        See `Model`.
    train : Part or CodedPart
    heldout : Part
    jobs : tuple of Job
        One an epoch.
    copies : tuple of Woven
        The training part, rounded; epoch k uses copy (k - 1) % copies.
    """

    name: str
    options: Options
    scaling: Scaling
    label_scaling: LabelScaling
    feature_names: tuple[str, ...]
    train: Part | CodedPart
    heldout: Part
    jobs: tuple[Job, ...]
    copies: tuple[Woven, ...]
    encoding: Encoding | None

    @property
    def config(self) -> EngineConfig:
        return self.options.config

    @property
    def step(self) -> float:
        """Step size of a sample in the first epoch."""
        return self.jobs[0].epochs[0].step.value

    @property
    def score_name(self) -> str:
        """What `Losses.score` is."""
        return "accuracy" if self.label_scaling.classification else "R2"

    def model(self, words: Ints) -> Model:
        """The model of an engine's words (chunks * lanes)."""
        return Model(
            words=words[: len(self.feature_names) + 1],
            fractional_bits=self.config.model_frac,
            bits=self.options.bits,
            rounding=self.options.rounding,
            scaling=self.scaling,
            label_scaling=self.label_scaling,
            feature_names=self.feature_names,
            encoding=self.encoding,
        )

    def evaluate(self, weights: Floats) -> Losses:
        """The losses of weights (d + 1)."""
        v, y = self.heldout.v, self.heldout.y
        heldout, variance = self.heldout.loss(weights), float(y.var())
        score = None
        if self.label_scaling.classification:
            score = float(np.mean((v @ weights < 0) == (y < 0)))
        elif variance:
            score = 1 - 2 * heldout / variance
        return Losses(train=self.train.loss(weights), heldout=heldout, score=score)


@dataclass(frozen=True, eq=False)
class Epoch:
    """What one epoch left behind.

    Parameters
    ----------
    number : int
        From 1.
    losses : Losses
    words : int64 (chunks * lanes)
        Of the model after the epoch.
    counters : Counters
        Of this epoch.
    elapsed_s : float
        Seconds since the training began.
    """

    number: int
    losses: Losses
    words: Ints
    counters: Counters
    elapsed_s: float

    @property
    def utilisation(self) -> float:
        """Beats a cycle."""
        return self.counters.beats / self.counters.cycles

    @property
    def saturations(self) -> int:
        """Margins, errors and model words that did not fit."""
        count = self.counters
        return count.margin_saturations + count.error_saturations + count.model_saturations


def prepare(dataset: Dataset, options: Options) -> Task:
    """Split, scale, round and weave ``dataset``, and describe a job for every epoch.

    Raises
    ------
    InputError
        If the engine cannot run this training.
    """
    train, heldout = dataset.split(options.holdout, options.seed)
    scaling = Scaling.fit(train.features, options.scale)
    label_scaling = LabelScaling.fit(train.labels, dataset.classification)

    def scaled(part: Dataset) -> Part:
        v = with_intercept(scaling.apply(part.features, options.bits))
        return Part(v=v, y=label_scaling.apply(part.labels))

    part = scaled(train)
    return Task(
        name=dataset.name,
        options=options,
        scaling=scaling,
        label_scaling=label_scaling,
        feature_names=dataset.feature_names,
        encoding=dataset.encoding,
        train=part,
        heldout=scaled(heldout),
        **_jobs_and_copies(part, _copies(part, options), options),
    )


def prepare_packed(packed: PackedSet, options: Options) -> Task:
    """The same from a packed set, whose own options replace those that made it.

    Without unrounded features the training loss is estimated from the codes (`CodedPart`).

    Raises
    ------
    InputError
        If the engine cannot run this training, or reads another stream.
    """
    packed.check(options.config)
    copies = packed.copies[: options.epochs]
    options = replace(options, **packed.decided)
    unrounded = packed.unrounded
    return Task(
        name=packed.name,
        options=options,
        scaling=packed.scaling,
        label_scaling=packed.label_scaling,
        feature_names=packed.feature_names,
        encoding=packed.encoding,
        train=packed.coded() if unrounded is None else Part(v=unrounded, y=packed.labels),
        heldout=Part(v=packed.heldout, y=packed.heldout_labels),
        **_jobs_and_copies(Part(v=packed.head, y=packed.labels), copies, options),
    )


def train(task: Task, device: Device, done: Sequence[Epoch] = ()) -> Iterator[Epoch]:
    """Train on ``device`` from a model of zeros, or after the epochs ``done``, one at a time."""
    start = time.perf_counter() - (done[-1].elapsed_s if done else 0)
    chunks = task.copies[0].chunks
    zeros = np.zeros(chunks * device.config.lanes, dtype=np.int64)
    device.load_model(done[-1].words if done else zeros)
    for index, job in enumerate(task.jobs[len(done) :], start=len(done)):
        counters = device.run(job, task.copies[index % len(task.copies)])
        words = device.read_model(chunks)
        losses = task.evaluate(task.model(words).weights)
        yield Epoch(index + 1, losses, words, counters, time.perf_counter() - start)


def train_float(task: Task) -> Iterator[Losses]:
    """The same training as textbook mini-batch SGD: float64, unrounded features, no delay."""
    if isinstance(task.train, CodedPart):
        raise InputError(f"{task.name} has no unrounded features; pack it with --unrounded")
    v, y = task.train.v, task.train.y
    size = task.options.batch_groups * task.config.banks
    weights = np.zeros(v.shape[1])
    for job in task.jobs:
        for start in range(0, len(v), size):
            rows = slice(start, start + size)
            weights = weights - job.epochs[0].step.value * ((v[rows] @ weights - y[rows]) @ v[rows])
        yield task.evaluate(weights)


def compare(task: Task, devices: Sequence[Device], done: Sequence[Epoch] = ()) -> Iterator[Epoch]:
    """Train on all ``devices`` in step, after the epochs ``done``; yields those of the first.

    Raises
    ------
    MismatchError
        If a model word differs after an epoch.
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


def _copies(part: Part, options: Options) -> tuple[Woven, ...]:
    """Independent roundings of the training part; rounding to nearest has only one."""
    labels = quantise_labels(part.y, options.config)
    count = 1 if options.rounding == "nearest" else min(options.copies, options.epochs)

    def copy(index: int) -> Woven:
        draws = Draws.of(options.seed, index)
        return round_and_weave(
            part.v, labels, options.bits, options.rounding, draws, options.config
        )

    return tuple(copy(index) for index in range(count))


class _JobsAndCopies(TypedDict):
    jobs: tuple[Job, ...]
    copies: tuple[Woven, ...]


def _jobs_and_copies(part: Part, copies: tuple[Woven, ...], options: Options) -> _JobsAndCopies:
    """A job for every epoch; the step size may come from the first samples of ``part``."""
    step = options.step or auto_step(part.v, part.y[: len(part.v)], copies[0].samples, options)
    jobs = tuple(_job(copies[0], options, step, k) for k in range(1, options.epochs + 1))
    return {"jobs": jobs, "copies": copies}


def _job(woven: Woven, options: Options, step: float, epoch: int) -> Job:
    """The job of ``epoch``, counted from 1."""
    config = options.config
    try:
        size = Step.nearest(scheduled(step, options.schedule, epoch), config)
        job = Job(
            epochs=(JobEpoch(step=size),),
            bits=options.bits,
            chunks=woven.chunks,
            groups=woven.groups,
            batch_groups=options.batch_groups,
            delay=options.delay,
            sync=options.sync,
            corrected=options.rounding == "double",
            seed=int(np.random.SeedSequence([options.seed, epoch]).generate_state(1)[0]),
        )
        job.check(config)
    except ValueError as fault:
        raise InputError(f"this engine cannot run epoch {epoch}: {fault}") from fault
    return job
