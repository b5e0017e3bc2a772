"""Options of a training, described once: the command line is made from this dataclass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from typer import BadParameter, Option

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import COARSE_BITS, MIN_BITS, NOISE_BITS

from ..errors import InputError
from .choices import ClassWeight, Correction, FeatureScale, LossName, Rounding, Schedule
from .engine_choice import DEFAULT, EngineName, engine_config

LossOf = Annotated[LossName, Option("--loss", help="What training minimises.")]
WeighClasses = Annotated[
    ClassWeight | None,
    Option("--class-weight", help="Let both classes weigh alike.", show_default="none"),
]
WeighSamples = Annotated[
    str | None,
    Option("--sample-weight", help="Column that weighs each sample's loss.", metavar="COLUMN"),
]

OF_ENGINE: Any = None
"""Stands for what the engine has; `Options` puts that in its place."""


def step_size(text: str) -> float | None:
    """A number, or None for ``auto``: the data decides, see `host.training.auto_step`."""
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as fault:
        raise BadParameter(f"{text!r} is neither a number nor auto") from fault


def epoch_numbers(text: str | None) -> frozenset[int]:
    """Of ``1,5,20``: epochs, counted from 1.

    Raises
    ------
    InputError
        If one is not a positive whole number.
    """
    numbers = [each.strip() for each in text.split(",")] if text is not None else []
    for number in numbers:
        if not (number.isascii() and number.isdigit() and int(number) > 0):
            raise InputError(
                f"--snapshot-at is {text!r}; it must be numbers of epochs with commas between "
                "them, for instance 1,5,20"
            )
    return frozenset(map(int, numbers))


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to train.

    Raises
    ------
    InputError
        If a value is out of range. What depends on the data is checked by
        `host.training.loop.prepare`.
    """

    bits: Annotated[int, Option(help="Bits of a code.")] = 4
    rounding: Annotated[Rounding, Option(help="How features become codes.")] = "double"
    epochs: Annotated[int, Option(help="Passes over the training part.")] = 10
    batch: Annotated[
        int | None,
        Option(help="Samples of a mini-batch, a multiple of the banks.", show_default="one group"),
    ] = None
    delay: Annotated[int, Option(help="Groups from a dot product to its update.")] = 2
    sync: Annotated[bool, Option("--sync", help="End a mini-batch before the next one starts.")] = (
        False
    )
    copies: Annotated[int, Option(help="Independent roundings of the data, used in turn.")] = 8
    step: Annotated[
        float | None,
        Option(
            help="Step size of a sample in the first epoch; auto chooses a power of two.",
            parser=step_size,
            metavar="FLOAT|auto",
            show_default="auto",
        ),
    ] = None
    schedule: Annotated[Schedule, Option(help="Step size in epoch k, to the first.")] = "1/k"
    seed: Annotated[int, Option(help="Seed of the split and of every rounding.")] = 0
    scale: Annotated[FeatureScale, Option(help="How features come to [-1, 1].")] = "sigma"
    holdout: Annotated[
        float, Option(help="Share of the samples to hold out, if there is no official test part.")
    ] = 0.2
    engine: EngineName = DEFAULT
    lanes: Annotated[int, Option(help="Features in a beat.", show_default="the engine's")] = (
        OF_ENGINE
    )
    banks: Annotated[
        int, Option(help="Samples in a beat: a group.", show_default="the engine's")
    ] = OF_ENGINE
    loss: LossOf = "least-squares"
    l2: Annotated[float, Option(help="Adds l2 / 2 times the weights' squares to the loss.")] = 0.0
    l1: Annotated[float, Option(help="Adds l1 times the weights' magnitudes to the loss.")] = 0.0
    regularise_intercept: Annotated[
        bool, Option("--regularise-intercept", help="Let --l2 and --l1 act on the intercept too.")
    ] = False
    model_bits: Annotated[
        int, Option(help="Bits of a model word that are used.", show_default="all")
    ] = OF_ENGINE
    gradient_bits: Annotated[
        int, Option(help="Bits kept of a sample's scaled error.", show_default="all")
    ] = OF_ENGINE
    unsigned: Annotated[
        bool, Option("--unsigned", help="Features in [0, 1]: codes from 0 up, zero stays zero.")
    ] = False
    class_weight: WeighClasses = None
    sample_weight: WeighSamples = None
    correction: Annotated[
        Correction, Option(help="Terms that unbias double sampling; for research.")
    ] = "full"
    epochs_per_job: Annotated[
        int, Option(help="Epochs that the engine runs without the host in between.")
    ] = 1
    snapshot_every: Annotated[
        int | None,
        Option(
            help="Epochs between models that are saved beside --output; each ends the engine's job."
        ),
    ] = None
    snapshot_at: Annotated[
        str | None,
        Option(help="The same after these epochs, for instance 1,5,20.", metavar="EPOCH,..."),
    ] = None
    max_bits: Annotated[
        int,
        Option(
            help="Most bits of a code that the engine is built for.", show_default="the engine's"
        ),
    ] = OF_ENGINE

    def __post_init__(self) -> None:
        config = self.config
        has = {name: getattr(config, name) for name in ("lanes", "banks", "max_bits", "model_bits")}
        for name, value in {**has, "gradient_bits": config.error_bits}.items():
            if getattr(self, name) is OF_ENGINE:
                object.__setattr__(self, name, value)
        least = {
            "bits": MIN_BITS,
            "epochs": 1,
            "batch": 1,
            "delay": 1,
            "copies": 1,
            "seed": 0,
            "model_bits": config.model_bits - COARSE_BITS * config.coarsening,
            "gradient_bits": config.error_bits - NOISE_BITS * config.coarsening,
            "epochs_per_job": 1,
            "snapshot_every": 1,
        }
        most = {
            "bits": config.max_bits,
            "delay": config.max_delay,
            "model_bits": config.model_bits,
            "gradient_bits": config.error_bits,
        }
        for name, value in vars(self).items():
            if value is None:
                continue
            option = f"--{name.replace('_', '-')}"
            if name in least and value < least[name]:
                raise InputError(f"{option} is {value}; it must be {least[name]} or more")
            if name in most and value > most[name]:
                more = f"; --max-bits {value} builds another" if name == "bits" else ""
                raise InputError(
                    f"{option} is {value}; this engine takes at most {most[name]}{more}"
                )
            if name in ("l1", "l2") and not (math.isfinite(value) and value >= 0):
                raise InputError(f"{option} is {value:g}; it must be 0 or a positive number")
        if self.step is not None and not (math.isfinite(self.step) and self.step > 0):
            raise InputError(f"--step is {self.step:g}; it must be a positive number")
        for option, value, last in (
            ("--snapshot-every", self.snapshot_every, self.snapshot_every or 0),
            ("--snapshot-at", self.snapshot_at, max(self.snapshots, default=0)),
        ):
            if last > self.epochs:
                raise InputError(
                    f"{option} is {value}; there are {self.epochs} epochs, see --epochs"
                )
        if not 0 < self.holdout < 1:
            raise InputError(f"--holdout is {self.holdout:g}; it must be above 0 and below 1")
        if self.batch is not None and self.batch % self.config.banks:
            raise InputError(
                f"--batch is {self.batch}; it must be a multiple of the {self.banks} banks, whose "
                "samples the engine takes at once"
            )
        if self.class_weight is not None and not self.two_classes:
            raise InputError(
                f"--class-weight needs two classes, which --loss {self.loss} does not; choose "
                "--loss logistic, hinge or squared-hinge"
            )
        if self.correction != "full" and self.rounding != "double":
            raise InputError(
                f"--correction {self.correction} leaves out terms that --rounding {self.rounding} "
                "does not have; use it with --rounding double"
            )

    @cached_property
    def config(self) -> EngineConfig:
        """The engine of this geometry."""
        return engine_config(self.engine, self.lanes, self.banks, self.max_bits)

    @cached_property
    def snapshots(self) -> frozenset[int]:
        """Epochs, counted from 1, after which the model is saved."""
        every = range(0, self.epochs + 1, self.snapshot_every) if self.snapshot_every else ()
        return epoch_numbers(self.snapshot_at) | {number for number in every if number}

    @property
    def batch_groups(self) -> int:
        """Groups in a mini-batch."""
        return 1 if self.batch is None else self.batch // self.banks

    @property
    def two_classes(self) -> bool:
        """Whether labels must be those of two classes."""
        from .losses import LOSSES  # it needs NumPy, which --help should not wait for

        return LOSSES[self.loss].two_classes

    @property
    def weighted(self) -> bool:
        """Whether every sample has a weight."""
        return self.class_weight is not None or self.sample_weight is not None

    @property
    def corrected(self) -> bool:
        """Whether gradients have the parity-gated curvature term."""
        return self.rounding == "double" and self.correction != "none"

    @property
    def uses_margin_variance(self) -> bool:
        """Whether gradients have the margin-variance term."""
        return self.loss == "logistic" and self.rounding == "double" and self.correction == "full"

    @property
    def precision(self) -> str:
        """Bits of data, model and gradient, as in D4M16G8."""
        return f"D{self.bits}M{self.model_bits}G{self.gradient_bits}"

    @property
    def samples_in_flight(self) -> int:
        """Samples whose gradients are computed at one model, the delay included, if an epoch has
        as many."""
        return (self.batch_groups + (0 if self.sync else self.delay)) * self.banks

    def stale_in(self, samples: int) -> int:
        """The same in an epoch of ``samples``, which ends its last mini-batch early."""
        return min(self.samples_in_flight, samples)

    def batch_groups_in(self, groups: int) -> int:
        """Groups in a mini-batch of an epoch of ``groups``."""
        return min(self.batch_groups, groups)
