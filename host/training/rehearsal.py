"""The automatic step of losses that bend: tried out on the first samples, on the compiled engine.

`host.training.auto_step` predicts with a parabola. That is what least squares are; other losses are
flatter far from their minimum, and the noise of codes may drive a model away from it for long
before a parabola would tell. So the prediction is only where a search over powers of two begins.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from zipsgd.sim.fast import Fast

from ..codes.copies import Part, round_copies
from ..codes.scaling import full_scale
from ..data.dataset import Floats
from ..devices.interface import fast_samples
from ..errors import InputError
from ..options.options import Options
from .auto_step import CANDIDATES, auto_step
from .job_plan import differing_shares, plan_jobs, with_margin_variance
from .schedule import ROWS

MOST_WORK = 5e8
"""Samples times features of one rehearsal: some seconds. Longer trainings are cut short,
but not below one pass."""

LEAST_GAIN = 1e-3
"""Share of the loss, or of what was learned if that is less, by which another step must lower the
loss to be taken instead."""


def choose_step(part: Part, samples: int, options: Options) -> float:
    """A step size for training on ``samples`` samples, of which ``part`` has the first: as
    predicted if they are too few for a mini-batch."""
    step = auto_step(part.v, part.y, samples, options, part.weights)
    if options.loss == "least-squares" or options.stale_in(samples) > len(part.y):
        return step
    return Rehearsal(part, samples, options).best(step)


class Rehearsal:
    """The first samples of a part, a mini-batch at least, rounded like the whole; each epoch passes
    over them as often as makes up for the samples that are missing."""

    def __init__(self, part: Part, samples: int, options: Options) -> None:
        self._part = part.head(max(ROWS, options.stale_in(samples)))
        self._options = replace(options, epochs_per_job=1, snapshot_every=None, snapshot_at=None)
        config = options.config
        woven = round_copies(self._part, self._options)
        self._woven = woven[0]
        self._samples = [fast_samples(copy, config) for copy in woven]
        self._differing = differing_shares(woven[0], config)
        rows, features = self._part.v.shape
        most = MOST_WORK / (rows * features * options.epochs)
        self._passes = max(1, round(min(samples / rows, most)))
        self._losses: dict[float, float] = {}

    def best(self, step: float) -> float:
        """The best power of two around ``step``: downhill until both neighbours are worse.

        Far below the best step a doubling gains little of the loss, but about as much again as was
        learned, which is what the loss is below that of a model of zeros. Losses fall from one
        step to the next, so none is tried twice.
        """
        zeros = self._part.loss(np.zeros(self._part.v.shape[1]))
        step = self._nearest(step, zeros)
        while True:
            loss = self.loss(step)
            nearest = min((step, step / 2, step * 2), key=self.loss)
            if not loss - self.loss(nearest) > LEAST_GAIN * min(loss, abs(zeros - loss)):
                return step
            step = nearest

    def _nearest(self, step: float, zeros: float) -> float:
        """The power of two nearest to ``step`` that the engine can take and that moves a model of
        zeros, whose loss is ``zeros``; if there is none, ``step``."""
        exponents = sorted(range(-CANDIDATES, CANDIDATES + 1), key=abs)
        around = (math.ldexp(step, exponent) for exponent in exponents)
        return next((each for each in around if self.loss(each) not in (math.inf, zeros)), step)

    def loss(self, step: float) -> float:
        """The loss, regularisation included, that this step ends with; infinite if it cannot."""
        if step not in self._losses:
            self._losses[step] = self._train(step)
        return self._losses[step]

    def _train(self, step: float) -> float:
        options, config = self._options, self._options.config
        try:
            jobs = plan_jobs(self._woven, options, step)
        except InputError:
            return math.inf
        engine = Fast(config)
        engine.load(np.zeros(self._woven.chunks * config.lanes, dtype=np.int64))
        for index, job in enumerate(jobs):
            if options.uses_margin_variance:
                job = with_margin_variance(job, engine.x, self._differing, config)
            place = index % len(self._samples)
            copies = self._samples[place:] + self._samples[:place]
            engine.run(replace(job, epochs=job.epochs * self._passes), *copies)
        scale = full_scale(options.bits, options.unsigned) * 2.0**-config.model_frac
        weights: Floats = engine.x[: self._woven.features].astype(np.float64) * scale
        regularised = weights[: len(weights) - (not options.regularise_intercept)]
        added = options.l2 / 2 * np.square(regularised).sum()
        return self._part.loss(weights) + float(added + options.l1 * np.abs(regularised).sum())
