"""A saved model on an engine: margins and losses of rounded samples, nothing learned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import WEIGHT_FRAC
from zipsgd.hdl.contract.job import Epoch, Job, Mode, Step
from zipsgd.hdl.contract.presets import ENGINES

from ..codes.rounding import Draws, Rounding, quantise_labels, round_codes
from ..codes.scaling import with_intercept
from ..codes.weaving import Woven, weave
from ..data.dataset import Floats
from ..data.gather import windows
from ..devices.interface import Device
from ..errors import InputError
from ..options.losses import LOSSES
from .model_file import Model


@dataclass(frozen=True, eq=False)
class EngineModel:
    """A model on a device.

    Samples are rounded to the model's bits. ``nearest`` is closest to the unrounded samples; the
    stochastic roundings are right on average and noisier.

    Raises
    ------
    InputError
        If the engine cannot hold the model.
    """

    model: Model
    device: Device
    rounding: Rounding = "nearest"
    seed: int = 0

    def __post_init__(self) -> None:
        model, config = self.model, self.device.config
        if model.fractional_bits != config.model_frac:
            raise InputError(
                f"the model's words have {model.fractional_bits} fractional bits and the engine's "
                f"{config.model_frac}; {_remedy(model)}"
            )
        if not _holds(config, model):
            raise InputError(
                f"the model has a word that does not fit the engine's {config.model_bits} bits; "
                f"{_remedy(model)}"
            )

    def margins(self, features: Floats) -> Iterator[Floats]:
        """The engine's margins of features (n, d), a window of samples at a time."""
        for first, rows in windows(features):
            woven = self._woven(rows, np.zeros(len(rows)), first)
            self.device.run(self._job(woven, Mode.PREDICT), woven)
            z = self.device.margins().reshape(-1)[: len(rows)].astype(np.float64)
            yield z * 2.0**-self.device.config.model_frac

    def loss(self, features: Floats, labels: Floats) -> float:
        """The mean loss of features (n, d) with scaled labels (n): the engine's exact sum."""
        total = 0
        for first, rows in windows(features):
            woven = self._woven(rows, labels[first : first + len(rows)], first)
            total += self.device.run(self._job(woven, Mode.EVALUATE), woven).loss_sum
        places = 2 * self.device.config.model_frac + 1 + WEIGHT_FRAC
        return float(np.ldexp(float(total), -places)) / len(labels)

    def _woven(self, features: Floats, labels: Floats, first: int) -> Woven:
        """Features in their own units, number ``first`` and following, as the engine takes them."""
        model, config = self.model, self.device.config
        v = with_intercept(model.scaling.apply(features, model.bits))
        draws, unsigned = Draws.of(self.seed), model.scaling.unsigned
        codes = round_codes(v, model.bits, self.rounding, draws, first, unsigned=unsigned)
        quantised = quantise_labels(labels, config)
        return weave(codes, quantised, model.bits, config, unsigned=unsigned)

    def _job(self, woven: Woven, mode: Mode) -> Job:
        """The model loaded, and what to run."""
        config: EngineConfig = self.device.config
        words = np.zeros(woven.chunks * config.lanes, dtype=np.int64)
        words[: len(self.model.words)] = self.model.words
        self.device.load_model(words)
        job = Job(
            epochs=(Epoch(step=Step(mantissa=1, shift=config.max_step_shift)),),
            bits=woven.bits,
            chunks=woven.chunks,
            groups=woven.groups,
            batch_groups=1,
            delay=1,
            sync=False,
            corrected=False,
            seed=0,
            mode=mode,
            loss=LOSSES[self.model.loss].engine,
            unsigned=woven.unsigned,
        )
        try:
            job.check(config)
        except ValueError as fault:
            raise InputError(f"this engine cannot run the model: {fault}") from fault
        return job


def _holds(config: EngineConfig, model: Model) -> bool:
    """Whether words of the engine have the model's format and hold its values."""
    limit = 1 << (config.model_bits - 1)
    fits = -limit <= int(model.words.min()) and int(model.words.max()) < limit
    return fits and model.fractional_bits == config.model_frac


def _remedy(model: Model) -> str:
    """What to do about a model that the engine does not hold; it does not say which trained it."""
    names = [name for name, config in ENGINES.items() if _holds(config, model)]
    known = f" (those with such words: {', '.join(names)})" if names else ""
    return f"pass the --engine that it was trained with{known}, or leave out --device"
