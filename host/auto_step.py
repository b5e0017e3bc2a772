"""``--step auto``: the power of two whose loss, predicted from the data's curvature, is lowest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from .dataset import Floats
from .options import Options
from .scaling import largest_code
from .steps import ROWS, default_step, scheduled

CANDIDATES = 14
"""Powers of two that are tried, downwards from one that is too large."""

PARTS = 16
"""Parts of an epoch: in each the noise has the strength that it has at the part's start."""

LARGEST = 1e30


@dataclass(frozen=True, eq=False)
class Curvature:
    """What the moments of unrounded samples and labels say about a training, in the eigenbasis of
    E[v v^T].

    Parameters
    ----------
    eigenvalues, start : float64 (F)
        Of the curvature, and the squared distance of a model of zeros from the best one.
    noise, excess_noise : float64 (F)
        Second moments of a sample's gradient at the best model, and what a unit of excess loss
        adds to them. Both include the noise of the codes.
    """

    eigenvalues: Floats
    start: Floats
    noise: Floats
    excess_noise: Floats

    @classmethod
    def of(cls, v: Floats, y: Floats, options: Options) -> Self:
        """From v (n, F) with the intercept, and scaled labels y (n)."""
        n = len(v)
        eigenvalues, basis = np.linalg.eigh(v.T @ v / n)
        best = np.linalg.lstsq(v, y, rcond=None)[0]
        squares = np.square(v @ best - y)
        variance = _code_variance(v, options)

        def moments(weights: Floats) -> Floats:
            return np.asarray((np.square(v @ basis) * weights[:, None]).mean(axis=0))

        def spread(weights: Floats) -> Floats:
            """Of codes around v, turned into the eigenbasis."""
            return np.asarray(np.square(basis).T @ (variance * weights[:, None]).mean(axis=0))

        length = np.square(v).sum(axis=1) + variance.sum(axis=1)
        total = max(float(eigenvalues.sum()), np.finfo(float).tiny)
        return cls(
            eigenvalues=np.maximum(eigenvalues, 0),
            start=np.square(basis.T @ best),
            noise=moments(squares + variance @ np.square(best)) + spread(squares),
            excess_noise=(moments(length) + spread(length)) / total,
        )

    def excess(self, step: float, samples: int, options: Options) -> float:
        """Predicted loss above the best model's, after all epochs of ``samples`` updates."""
        block = options.stale
        distance, count = self.start, samples / block / PARTS
        for epoch in range(1, options.epochs + 1):
            s = scheduled(step, options.schedule, epoch)
            rate = np.square(1 - s * block * self.eigenvalues)
            with np.errstate(over="ignore"):
                kept = np.minimum(rate**count, LARGEST)
            still = np.abs(1 - rate) < 1e-12
            added = np.where(still, count, (1 - kept) / np.where(still, 1, 1 - rate))
            for _ in range(PARTS):
                noise = self.noise + self.excess_noise * (self.eigenvalues @ distance)
                distance = np.minimum(kept * distance + block * s * s * noise * added, LARGEST)
        return float(self.eigenvalues @ distance) / 2


def auto_step(v: Floats, y: Floats, samples: int, options: Options) -> float:
    """A step size for training on ``samples`` samples, of which v (n, F) and y (n) are the first.

    Gradients of B samples are computed at one and the same model: a mini-batch and what its delay
    adds (`Options.stale`). Averaged over samples and roundings, the squared distance c_i of the
    model from the best one along eigenvector i of E[v v^T] follows, with each B samples and step
    size s,

        c_i  <-  (1 - s B L_i)^2 c_i  +  s^2 B g_i,

    where L_i is the eigenvalue and g_i the gradient's second moment: the first term is what is not
    learned yet, and grows if s B L_i is above 2; the second the noise that stays. The loss above
    the best model's is sum_i L_i c_i / 2. This is computed for powers of two, over the epochs and
    their schedule, and the one with the lowest loss is taken.

    With constant steps, or mini-batches so large that an epoch has only a few, the best step may
    be one that this takes for unstable: a delay overlaps with its mini-batch only in part.
    """
    v, y = v[:ROWS], y[:ROWS]
    largest = 8 * default_step(v, options.stale)
    curvature = Curvature.of(v, y, options)
    steps = [math.ldexp(largest, -index) for index in range(CANDIDATES)]
    return min(steps, key=lambda step: curvature.excess(step, samples, options))


def _code_variance(v: Floats, options: Options) -> Floats:
    """The variance of each value's code, in units of v: (n, F)."""
    if options.rounding == "nearest":
        return np.zeros(v.shape)
    n = largest_code(options.bits)
    up = (v + 1) * n / 2 % 1
    return up * (1 - up) * (2 / n) ** 2 / (2 if options.rounding == "double" else 1)
