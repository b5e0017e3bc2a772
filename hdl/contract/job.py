"""Description of a job: what host, golden model and engine agree on before a pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from .config import EngineConfig
from .formats import (
    COARSE_BITS,
    CURVATURE_FRAC,
    MIN_BITS,
    NOISE_BITS,
    THRESHOLD_BITS,
    VARIANCE_BITS,
    VARIANCE_FRAC,
    WEIGHT_FRAC,
)
from .generators import SEED_BITS
from .parameters import Loss as Loss


class Mode(IntEnum):
    """What a job asks of the engine."""

    TRAIN = 0
    """Passes over the samples that arrive on the stream, learning."""
    LOAD = 1
    """Take ``chunks * lanes`` model words from the model input."""
    DUMP = 2
    """Send ``chunks * lanes`` model words to the model output."""
    PREDICT = 3
    """Send the margin of every sample; nothing is learned."""
    EVALUATE = 4
    """Sum the losses of all samples; nothing is learned."""


PARTS = {
    "sample_words": ("weighted", "offset"),
    "regularisation": ("regularised",),
    "coarsening": ("model_drop", "error_drop"),
}
"""Properties of `EngineConfig` that say whether a part is there, and the fields of a job that ask
for it. An engine without the part is not told them."""

EPOCH_PARTS = {
    "regularisation": ("decay", "threshold"),
    "uses_margin_variance": ("variance",),
}
"""The same for the fields of an epoch."""


MOST_CURVATURE = {Loss.LOGISTIC: 0.25, Loss.HINGE: 0.0}
"""Largest second derivative of a loss by its margin; 1 of the others."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step size: ``mantissa * 2**-shift``."""

    mantissa: int
    shift: int

    @classmethod
    def nearest(cls, value: float, config: EngineConfig) -> Self:
        """The step nearest to ``value`` that ``config`` can hold.

        Raises
        ------
        ValueError
            If ``value`` is not a finite positive number or lies outside the engine's range.
        """
        least = 2.0**-config.max_step_shift
        most = (2**config.mantissa_bits - 1) * 2.0**-config.min_step_shift
        if not least <= value <= most:
            raise ValueError(
                f"step size {value:g} is out of range; this engine takes {least:.3g} to {most:.3g}"
            )
        exponent = math.frexp(value)[1]
        shift = min(config.mantissa_bits - exponent, config.max_step_shift)
        mantissa = round(math.ldexp(value, shift))
        if mantissa >> config.mantissa_bits:
            mantissa, shift = mantissa >> 1, shift - 1
        return cls(mantissa=mantissa, shift=shift)

    @property
    def value(self) -> float:
        return math.ldexp(self.mantissa, -self.shift)


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What may change from one epoch of a job to the next.

    Parameters
    ----------
    step : Step
        Step size of a sample's gradient; the gradients of a mini-batch are summed.
    l2, l1 : float
        Regularisation of every sample's loss: l2 / 2 * sum X_j**2 + l1 * sum |X_j|. The decay and
        the soft threshold act once a group, with ``banks`` times a sample's share.
    margin_variance : float
        s2 = d**2 * sum_j p_j X_j**2, p_j the share of samples whose two roundings differ in
        feature j: what the second Taylor term of the logistic loss needs.
    """

    step: Step
    l2: float = 0.0
    l1: float = 0.0
    margin_variance: float = 0.0

    def decay(self, config: EngineConfig) -> int:
        """step * l2 * banks with ``config.correction_unit_frac`` fractional bits; l2 is at most
        `most_l2`."""
        return _fixed(self.step.value * self.l2 * config.banks, config.correction_unit_frac)

    def threshold(self, config: EngineConfig) -> int:
        """step * l1 * banks with ``random_bits`` fractional bits below the model's last place; l1
        is at most `most_l1`."""
        return _fixed(self.step.value * self.l1 * config.banks, config.threshold_frac)

    def variance(self) -> int:
        """The margin variance with `VARIANCE_FRAC` fractional bits, clamped to what fits."""
        limit = 1 << VARIANCE_BITS
        held = min(self.margin_variance, math.ldexp(limit, -VARIANCE_FRAC))
        return min(_fixed(held, VARIANCE_FRAC), limit - 1)

    def most_l2(self, config: EngineConfig) -> float:
        """The largest l2 that an engine takes with this step."""
        return self._most(config, config.correction_unit_bits, config.correction_unit_frac)

    def most_l1(self, config: EngineConfig) -> float:
        """The largest l1 that an engine takes with this step."""
        return self._most(config, THRESHOLD_BITS + config.random_bits, config.threshold_frac)

    def _most(self, config: EngineConfig, bits: int, places: int) -> float:
        """What makes the largest number of so many bits, ``places`` of them fractional."""
        return math.ldexp((1 << bits) - 1, -places) / (self.step.value * config.banks)


def _fixed(value: float, places: int) -> int:
    return round(math.ldexp(value, places))


@dataclass(frozen=True, kw_only=True)
class Job:
    """Passes over a woven data set.

    Parameters
    ----------
    epochs : tuple of Epoch
        One pass each; a pass that learns nothing uses only their number.
    bits : int
        Bits of a code, q.
    chunks : int
        Chunks of ``lanes`` features in a sample.
    groups : int
        Groups of ``banks`` samples in an epoch.
    batch_groups : int
        Groups in a mini-batch; an epoch ends its last one early if it must.
    delay : int
        Slots from a group's dot products to its update, D.
    sync : bool
        Whether D empty slots follow every mini-batch.
    corrected : bool
        Whether codes are means of two roundings, whose parity gates the correction.
    seed : int
        Seed of every stochastic rounding of the job, ``SEED_BITS`` bits.
    mode : Mode
        `Mode.TRAIN`, `Mode.PREDICT` or `Mode.EVALUATE`.
    loss : Loss
    unsigned : bool
        Codes run from 0 to 2**q - 2 instead of -N to N; then the odd ones are corrected.
    weighted, offset : bool
        A word with each sample's weight, and one with a margin to add, follow the label word.
    regularised : int
        Leading features on which l2 and l1 act; what follows is left alone.
    model_drop : int
        Low bits of every model word that stay zero: the model's precision.
    error_drop : int
        Low bits of the scaled error that are rounded away stochastically: the gradient's precision.
    """

    epochs: tuple[Epoch, ...]
    bits: int
    chunks: int
    groups: int
    batch_groups: int
    delay: int
    sync: bool
    corrected: bool
    seed: int
    mode: Mode = Mode.TRAIN
    loss: Loss = Loss.LEAST_SQUARES
    unsigned: bool = False
    weighted: bool = False
    offset: bool = False
    regularised: int = 0
    model_drop: int = 0
    error_drop: int = 0

    @property
    def label_words(self) -> int:
        """Label words a sample."""
        return 1 + self.weighted + self.offset

    @property
    def learns(self) -> bool:
        return self.mode == Mode.TRAIN

    def group_beats(self, config: EngineConfig) -> int:
        """Beats of a group, L: its planes, then its label words."""
        return self.chunks * self.bits + self.label_words * config.label_beats

    def slot_cycles(self, config: EngineConfig) -> int:
        """Cycles from a slot's start to the first cycle in which the next may start.

        A beat a cycle, L in all; more only for samples of one or two chunks: a model word is read
        with every plane of its chunk, and written ``update_latency`` cycles after the last one,
        which is ``q - 1`` cycles after the first; the next slot must not read it before. Losses
        are summed a sample a cycle.
        """
        least = self.bits - 1 + config.update_latency
        if self.mode == Mode.EVALUATE:
            least = max(least, config.banks)
        return max(self.group_beats(config), least)

    def correction(self, config: EngineConfig, epoch: Epoch) -> int:
        """The coefficient step * d**2 with ``config.correction_unit_frac`` fractional bits.

        d = 2**-(q-1) is half the step of the grid that single roundings use. Zero switches the
        correction off.
        """
        if not self.corrected:
            return 0
        return _fixed(epoch.step.value, config.correction_unit_frac - 2 * (self.bits - 1))

    def check(self, config: EngineConfig) -> None:
        """Raise `ValueError` with a sentence if ``config`` cannot run this job."""
        ranges = {
            "bits": (MIN_BITS, config.max_bits),
            "chunks": (1, config.max_chunks),
            "groups": (1, 2**config.count_bits - 1),
            "batch_groups": (1, 2**config.count_bits - 1),
            "delay": (1, config.max_delay),
            "seed": (0, 2**SEED_BITS - 1),
            "regularised": (0, config.max_features),
            "model_drop": (0, COARSE_BITS),
            "error_drop": (0, NOISE_BITS),
        }
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(
                    f"{name} = {value} is out of range; this engine takes {least} to {most}"
                )
        if self.mode not in (Mode.TRAIN, Mode.PREDICT, Mode.EVALUATE):
            raise ValueError(f"mode {self.mode.name} moves the model; it is no pass over samples")
        self._check_parts(config)
        if not 1 <= len(self.epochs) < 2**16:
            raise ValueError(f"{len(self.epochs)} epochs are out of range; a job takes 1 to 65535")
        beats = self.delay * self.chunks * self.bits
        if beats > config.replay_beats:
            raise ValueError(
                f"delay {self.delay} with {self.chunks} chunks of {self.bits} bits needs {beats} "
                f"beats of replay buffer and the engine has {config.replay_beats}; "
                "lower the delay or the bits"
            )
        if self._most_cycles(config) >> 2 * config.count_bits:
            raise ValueError(
                f"the job may take {self._most_cycles(config):.3g} cycles and this engine counts "
                f"below 2**{2 * config.count_bits}; give it fewer epochs"
            )
        for epoch in self.epochs:
            self._check_epoch(config, epoch)

    def check_weights(self, config: EngineConfig, most: int) -> None:
        """Raise `ValueError` with a sentence if a sample's coefficient, step * d**2 * w * f', may
        not fit its width; ``most`` is the largest w, `WEIGHT_FRAC` fractional bits."""
        curvature = MOST_CURVATURE.get(self.loss, 1.0)
        scale = math.ceil(curvature * most * 2.0 ** (CURVATURE_FRAC - WEIGHT_FRAC))
        for epoch in self.epochs if self.weighted else ():
            product = self.correction(config, epoch) * scale
            if product >> CURVATURE_FRAC + config.correction_unit_bits:
                raise ValueError(
                    f"step size {epoch.step.value:g} with weights up to "
                    f"{math.ldexp(most, -WEIGHT_FRAC):g} is too large for the correction at "
                    f"{self.bits} bits; lower the step or the weights"
                )

    def _most_cycles(self, config: EngineConfig) -> int:
        """More cycles than the job takes on a stream that never waits."""
        batches = math.ceil(self.groups / self.batch_groups) if self.sync else 1
        slots = len(self.epochs) * (self.groups + batches * self.delay)
        return slots * (self.slot_cycles(config) + config.dot_latency)

    def _check_parts(self, config: EngineConfig) -> None:
        asked = [
            (f"{name} = {getattr(self, name)}", part)
            for part, names in PARTS.items()
            for name in names
            if getattr(self, name) and not getattr(config, part)
        ]
        if self.loss not in config.losses:
            asked.append((f"loss = {self.loss.name}", "that loss"))
        if self.mode == Mode.EVALUATE and not config.evaluate:
            asked.append((f"mode = {self.mode.name}", "evaluate"))
        if asked:
            field, part = asked[0]
            raise ValueError(
                f"{field} is out of range for this engine, which was built without {part}; "
                "take an engine that has it"
            )

    def _check_epoch(self, config: EngineConfig, epoch: Epoch) -> None:
        step = epoch.step
        if not 1 <= step.mantissa < 2**config.mantissa_bits:
            raise ValueError(
                f"the step's mantissa {step.mantissa} does not fit {config.mantissa_bits} bits"
            )
        if not config.min_step_shift <= step.shift <= config.max_step_shift:
            raise ValueError(
                f"the step's shift {step.shift} is out of range; this engine takes "
                f"{config.min_step_shift} to {config.max_step_shift}"
            )
        if self.correction(config, epoch) >> config.correction_unit_bits:
            most = 2.0 ** (config.coefficient_bits - config.coefficient_frac + 2 * (self.bits - 1))
            raise ValueError(
                f"step size {step.value:g} is too large for the correction at "
                f"{self.bits} bits; keep it below {most:g}"
            )
        limits = (
            ("l2", epoch.l2, epoch.most_l2(config)),
            ("l1", epoch.l1, epoch.most_l1(config)),
        )
        for name, value, most in limits:
            if not 0 <= value <= most:
                raise ValueError(
                    f"{name} = {value:g} with step size {step.value:g} is out of range; "
                    f"keep {name} below {most:.3g}, or lower the step"
                )
        if not epoch.margin_variance >= 0:
            raise ValueError(f"margin_variance = {epoch.margin_variance:g} must not be negative")
