"""A training, prepared for any device: the data scaled, rounded and woven, its jobs planned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Job

from ..codes.copies import Part, round_copies
from ..codes.packed import CodedPart, PackedSet
from ..codes.rounding import Ints
from ..codes.sample_weights import class_weights, take_weights, weigh
from ..codes.scaling import LabelScaling, Scaling, with_intercept
from ..codes.weaving import Woven
from ..data.dataset import Dataset, Floats
from ..data.encoding import Encoding
from ..errors import InputError
from ..options.losses import mean_loss
from ..options.options import Options
from .job_plan import differing_shares, plan_jobs, with_margin_variance
from .model_file import Model
from .rehearsal import choose_step


@dataclass(frozen=True)
class Losses:
    """Mean losses in scaled label units, without regularisation.

    Parameters
    ----------
    train, heldout : float
        On the unrounded training part and held-out part, samples weighed as in training.
    score : float or None
        On the held-out part, samples not weighed: the share of right classes, or R2, which labels
        without variance do not have.
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
        One an epoch, or fewer: see `host.training.job_plan`.
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

    @cached_property
    def differing(self) -> Floats:
        """See `host.training.job_plan.differing_shares`; of the first copy, for all are drawn
        alike."""
        return differing_shares(self.copies[0], self.config)

    def epochs_before(self, index: int) -> int:
        """Epochs in the jobs before job ``index``."""
        return sum(len(job.epochs) for job in self.jobs[:index])

    def job(self, index: int, words: Ints) -> tuple[Job, tuple[Woven, ...]]:
        """Job ``index`` from a model of ``words`` (chunks * lanes), and the copies of its epochs,
        in their order; they start over if it has more epochs."""
        job, first = self.jobs[index], self.epochs_before(index)
        if self.options.uses_margin_variance:
            job = with_margin_variance(job, words, self.differing, self.config)
        used = min(len(job.epochs), len(self.copies))
        return job, tuple(self.copies[(first + k) % len(self.copies)] for k in range(used))

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
            loss=self.options.loss,
        )

    def evaluate(self, weights: Floats) -> Losses:
        """The losses of weights (d + 1)."""
        z, y = self.heldout.v @ weights, self.heldout.y
        variance, score = float(y.var()), None
        if self.label_scaling.classification:
            score = float(np.mean((z < 0) == (y < 0)))
        elif variance:
            score = 1 - float(np.square(z - y).mean()) / variance
        return Losses(
            train=self.train.loss(weights),
            heldout=mean_loss(self.heldout.loss_name, z, y, self.heldout.weights),
            score=score,
        )


def prepare(dataset: Dataset, options: Options, scaling: Scaling | None = None) -> Task:
    """Split, scale (as the options say, unless a ``scaling`` is given), round and weave
    ``dataset``, and plan its jobs.

    Raises
    ------
    InputError
        If the engine cannot run this training.
    """
    parts, by_sample = list(dataset.split(options.holdout, options.seed)), [None, None]
    if options.sample_weight is not None:
        taken = [take_weights(part, options.sample_weight) for part in parts]
        by_sample, parts = [list(column) for column in zip(*taken, strict=True)]
    train, heldout = parts
    if scaling is None:
        scaling = Scaling.fit(train.features, options.scale, options.unsigned)
    label_scaling = LabelScaling.fit(train.labels, dataset.classification)
    check_labels(dataset.name, label_scaling, options)
    by_class = None
    if options.class_weight is not None:
        by_class = class_weights(label_scaling.apply(train.labels), options.class_weight)

    def scaled(part: Dataset, weights: Floats | None) -> Part:
        v = with_intercept(scaling.apply(part.features, options.bits))
        y = label_scaling.apply(part.labels)
        return Part(v, y, weigh(y, by_class, weights), options.loss)

    part = scaled(train, by_sample[0])
    copies = round_copies(part, options)
    return Task(
        name=dataset.name,
        options=options,
        scaling=scaling,
        label_scaling=label_scaling,
        feature_names=train.feature_names,
        encoding=train.encoding,
        train=part,
        heldout=scaled(heldout, by_sample[1]),
        jobs=plan_jobs(copies[0], options, _step(part, copies[0].samples, options)),
        copies=copies,
    )


def prepare_packed(packed: PackedSet, options: Options) -> Task:
    """The same from a packed set, whose own options replace those that made it.

    Without unrounded features the training loss is estimated from the codes (`CodedPart`).

    Raises
    ------
    InputError
        If the engine cannot run this training, or reads another stream.
    """
    check_packable(packed.name, options)
    check_labels(packed.name, packed.label_scaling, options)
    packed.check(options.config)
    copies = packed.copies[: options.epochs]
    options = replace(options, **packed.decided)
    unrounded, head = packed.unrounded, packed.head
    first = Part(head, packed.labels[: len(head)], None, options.loss)
    return Task(
        name=packed.name,
        options=options,
        scaling=packed.scaling,
        label_scaling=packed.label_scaling,
        feature_names=packed.feature_names,
        encoding=packed.encoding,
        train=replace(packed.coded(), loss_name=options.loss)
        if unrounded is None
        else Part(unrounded, packed.labels, None, options.loss),
        heldout=Part(packed.heldout, packed.heldout_labels, None, options.loss),
        jobs=plan_jobs(copies[0], options, _step(first, copies[0].samples, options)),
        copies=copies,
    )


def check_packable(name: str, options: Options) -> None:
    """Raises `InputError` if ``options`` ask of a packed set what none has."""
    for option in ("unsigned", "class_weight", "sample_weight"):
        if getattr(options, option):
            raise InputError(
                f"{name} is packed with signed codes and without weights, so "
                f"--{option.replace('_', '-')} comes too late; name the original data"
            )


def check_labels(name: str, label_scaling: LabelScaling, options: Options) -> None:
    """Raises `InputError` if the loss needs two classes and the labels are no such."""
    if options.two_classes and not label_scaling.classification:
        raise InputError(
            f"{name} has labels of more than two values, and --loss {options.loss} tells two "
            "classes apart, as 0 and 1 or -1 and +1; use --loss least-squares or huber, or make "
            "classes of the labels"
        )


def _step(part: Part, samples: int, options: Options) -> float:
    """What ``--step`` says, or what the first of the samples suggest."""
    if options.step is not None:
        return options.step
    return choose_step(part, samples, options)
