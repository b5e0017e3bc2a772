"""Options of a training, described once: the command line is made from this dataclass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from typer import BadParameter, Option

from hdl.config import MIN_BITS, EngineConfig

from .choices import FeatureScale, Rounding, Schedule
from .errors import InputError


def step_size(text: str) -> float | None:
    """A number, or None for ``auto``: the data decides, see `host.auto_step`."""
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as fault:
        raise BadParameter(f"{text!r} is neither a number nor auto") from fault


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to train.

    Raises
    ------
    InputError
        If a value is out of range. What depends on the data is checked by `host.training.prepare`.
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
    lanes: Annotated[int, Option(help="Features in a beat.")] = 16
    banks: Annotated[int, Option(help="Samples in a beat: a group.")] = 4
    max_bits: Annotated[int, Option(help="Most bits of a code that the engine is built for.")] = 8

    def __post_init__(self) -> None:
        least = {"bits": MIN_BITS, "epochs": 1, "batch": 1, "delay": 1, "copies": 1, "seed": 0}
        most = {"bits": self.config.max_bits, "delay": self.config.max_delay}
        for name, value in vars(self).items():
            if value is None:
                continue
            if name in least and value < least[name]:
                raise InputError(f"--{name} is {value}; it must be {least[name]} or more")
            if name in most and value > most[name]:
                more = f"; --max-bits {value} builds another" if name == "bits" else ""
                raise InputError(
                    f"--{name} is {value}; this engine takes at most {most[name]}{more}"
                )
        if self.step is not None and not (math.isfinite(self.step) and self.step > 0):
            raise InputError(f"--step is {self.step:g}; it must be a positive number")
        if not 0 < self.holdout < 1:
            raise InputError(f"--holdout is {self.holdout:g}; it must be above 0 and below 1")
        if self.batch is not None and self.batch % self.config.banks:
            raise InputError(
                f"--batch is {self.batch}; it must be a multiple of the {self.banks} banks, whose "
                "samples the engine takes at once"
            )

    @cached_property
    def config(self) -> EngineConfig:
        """The engine of this geometry."""
        return engine_config(self.lanes, self.banks, self.max_bits)

    @property
    def batch_groups(self) -> int:
        """Groups in a mini-batch."""
        return 1 if self.batch is None else self.batch // self.banks

    @property
    def stale(self) -> int:
        """Samples whose gradients are computed at one model, the delay included."""
        return (self.batch_groups + (0 if self.sync else self.delay)) * self.banks


def engine_config(lanes: int, banks: int, max_bits: int = EngineConfig.max_bits) -> EngineConfig:
    """An engine of this geometry, or `InputError`.

    Wider codes take more beats, and the replay buffer grows so that it holds as many features.
    """
    times = math.ceil(max_bits / EngineConfig.max_bits)
    replay_beats = EngineConfig.replay_beats << max(times - 1, 0).bit_length()
    try:
        return EngineConfig(lanes=lanes, banks=banks, max_bits=max_bits, replay_beats=replay_beats)
    except ValueError as fault:
        raise InputError(f"no such engine: {fault}") from fault
