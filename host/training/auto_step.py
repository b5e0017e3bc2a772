"""``--step auto``: the power of two whose loss, predicted from the data's curvature, is lowest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..codes.scaling import largest_code
from ..data.dataset import Floats
from ..options.losses import LOSSES
from ..options.options import Options
from .schedule import ROWS, default_step, scheduled

CANDIDATES = 17
"""Powers of two that are tried, downwards from one that is too large."""

PARTS = 16
"""Most parts of an epoch, each of an update or more: in each the noise has the strength that it has
at the part's start."""

LARGEST = 1e30


RIDGE = 1e-6
"""Least curvature of the objective whose minimum is taken for the best model: separable classes
have none at any finite distance."""

ITERATIONS = 300
"""Most steps towards the best model."""


@dataclass(frozen=True, eq=False)
class Curvature:
    """What the moments of unrounded samples and labels say about a training, in the eigenbasis of
    E[l'' v v^T], the loss's curvature at the best model.

    Parameters
    ----------
    eigenvalues, start : float64 (F)
        Of the curvature, and the squared distance of a model of zeros from the best one.
    noise, excess_noise : float64 (F)
        Second moments of a sample's gradient at the best model, and what a unit of excess loss
        adds to them.
    code_noise, excess_code_noise : float64 (F)
        What the noise of the codes adds to both.
    margin_noise : float
        Mean variance of the margins that the codes add at the best model.
    """

    eigenvalues: Floats
    start: Floats
    noise: Floats
    excess_noise: Floats
    code_noise: Floats
    excess_code_noise: Floats
    margin_noise: float

    @classmethod
    def of(cls, v: Floats, y: Floats, options: Options, weights: Floats | None = None) -> Self:
        """From v (n, F) with the intercept, scaled labels y (n) and weights of samples (n)."""
        n, loss = len(v), LOSSES[options.loss]
        weighed = np.ones(n) if weights is None else weights
        best = best_model(v, y, options, weighed)
        z = v @ best
        slope, bend = weighed * loss.derivative(z, y), weighed * loss.curvature(z, y)
        eigenvalues, basis = np.linalg.eigh((v * bend[:, None]).T @ v / n)
        variance = _code_variance(v, options)
        margin_variance = variance @ np.square(best)

        def moments(weights: Floats) -> Floats:
            return np.asarray((np.square(v @ basis) * weights[:, None]).mean(axis=0))

        def spread(weights: Floats) -> Floats:
            """Of codes around v, turned into the eigenbasis."""
            return np.asarray(np.square(basis).T @ (variance * weights[:, None]).mean(axis=0))

        squares = np.square(slope)
        length = np.square(bend) * np.square(v).sum(axis=1)
        code_length = np.square(bend) * variance.sum(axis=1)
        total = max(float(bend @ np.square(v).sum(axis=1)) / n, np.finfo(float).tiny)
        return cls(
            eigenvalues=np.maximum(eigenvalues, 0) + options.l2,
            start=np.square(basis.T @ best),
            noise=moments(squares),
            excess_noise=moments(length) / total,
            code_noise=moments(np.square(bend) * margin_variance) + spread(squares),
            excess_code_noise=(moments(code_length) + spread(length + code_length)) / total,
            margin_noise=float(margin_variance.mean()),
        )

    def excess(self, step: float, samples: int, options: Options) -> float:
        """Predicted loss above the best model's, after all epochs of ``samples`` updates.

        Mini-batches are drawn without replacement: the more of an epoch one is, the less its mean
        gradient differs from the epoch's. The noise of its codes stays.
        """
        block = options.stale_in(samples)
        parts = min(PARTS, samples // block)
        distance, count = self.start, samples / block / parts
        drawn = 1 - block / samples
        at_best = drawn * self.noise + self.code_noise
        per_excess = drawn * self.excess_noise + self.excess_code_noise
        for epoch in range(1, options.epochs + 1):
            s = scheduled(step, options.schedule, epoch)
            with np.errstate(over="ignore"):
                rate = np.square(1 - s * block * self.eigenvalues)
                kept = np.minimum(rate**count, LARGEST)
            still = np.abs(1 - rate) < 1e-12
            added = np.where(still, count, (1 - kept) / np.where(still, 1, 1 - rate))
            for _ in range(parts):
                noise = at_best + per_excess * (self.eigenvalues @ distance)
                distance = np.minimum(kept * distance + block * s * s * noise * added, LARGEST)
        return float(self.eigenvalues @ distance) / 2


def auto_step(
    v: Floats, y: Floats, samples: int, options: Options, weights: Floats | None = None
) -> float:
    """A step size for training on ``samples`` samples, of which v (n, F), y (n) and weights (n)
    are the first.

    Gradients of B samples are computed at one and the same model: a mini-batch and what its delay
    adds, all samples at most (`Options.stale_in`). Averaged over samples and roundings, the squared
    distance c_i of the model from the best one along eigenvector i of E[l'' v v^T] follows, with
    each B samples and step size s,

        c_i  <-  (1 - s B L_i)^2 c_i  +  s^2 B g_i,

    where L_i is the eigenvalue and g_i the gradient's second moment, less of it if an epoch has few
    mini-batches (`Curvature.excess`): the first term is what is not learned yet, and grows if
    s B L_i is above 2; the second the noise that stays. The loss above the best model's is
    sum_i L_i c_i / 2. This is computed for powers of two, over the epochs and their schedule, and
    the one with the lowest loss is taken.

    For least squares this is exact but for the delay. Other losses are taken for the parabola that
    touches them at the best model (`best_model`), and the largest step that is tried comes from
    the bound of their curvature: 1/4 for the logistic loss, 1 for the others; the kink of the hinge
    loss is spread over a margin of `host.options.losses.KINK_WIDTH`.

    With constant steps, or mini-batches so large that an epoch has only a few, the best step may
    be one that this takes for unstable: a delay overlaps with its mini-batch only in part.
    """
    v, y, curvature = curvature_of_head(v, y, options, weights)
    bound = LOSSES[options.loss].bound * (1.0 if weights is None else weights[:ROWS, None])
    largest = 64 * default_step(v * np.sqrt(bound), options.stale_in(samples))
    steps = [math.ldexp(largest, -index) for index in range(CANDIDATES)]
    return min(steps, key=lambda step: curvature.excess(step, samples, options))


def curvature_of_head(
    v: Floats, y: Floats, options: Options, weights: Floats | None = None
) -> tuple[Floats, Floats, Curvature]:
    """The first samples, `ROWS` at most, and their moments; unsigned codes count v double."""
    v, y = v[:ROWS] * (1 + options.unsigned), y[:ROWS]
    weights = None if weights is None else weights[:ROWS]
    return v, y, Curvature.of(v, y, options, weights)


def best_model(v: Floats, y: Floats, options: Options, weights: Floats) -> Floats:
    """Weights (F) near the minimum of the mean loss of samples that weigh ``weights`` (n)."""
    loss, n = LOSSES[options.loss], len(v)
    if options.loss == "least-squares" and not options.l2:
        root = np.sqrt(weights)
        return np.asarray(np.linalg.lstsq(v * root[:, None], y * root, rcond=None)[0])
    from scipy.optimize import minimize

    ridge = max(options.l2, RIDGE)

    def objective(model: Floats) -> tuple[float, Floats]:
        """Its value and gradient."""
        z = v @ model
        value = float(weights @ loss.value(z, y)) / n + ridge / 2 * float(model @ model)
        return value, (weights * loss.derivative(z, y)) @ v / n + ridge * model

    found = minimize(
        objective,
        np.zeros(v.shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": ITERATIONS, "maxcor": 30},
    )
    return np.asarray(found.x)


def _code_variance(v: Floats, options: Options) -> Floats:
    """The variance of each value's code, in units of v: (n, F)."""
    if options.rounding == "nearest":
        return np.zeros(v.shape)
    n = largest_code(options.bits)
    up = (v + (0 if options.unsigned else 1)) * n / 2 % 1
    return up * (1 - up) * (2 / n) ** 2 / (2 if options.rounding == "double" else 1)
