"""The losses in float64: what the host reports, predicts step sizes with and compares against.

z is the margin and y the scaled label, -1 or +1 with two classes. `hdl.contract.job.Loss` has the
engine's, `sim.golden.derivative` their arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zipsgd.hdl.contract.job import MOST_CURVATURE, Loss

from ..data.dataset import Floats
from .choices import LossName as LossName

KINK_WIDTH = 1.0
"""Width of the margin over which the kink of the hinge loss is spread to give it a curvature."""

Function = Callable[[Floats, Floats], Floats]
"""Of margins (n) and labels (n)."""


@dataclass(frozen=True)
class LossFunction:
    """A loss l(z, y).

    Parameters
    ----------
    engine : Loss
    two_classes : bool
        Whether labels must be -1 or +1.
    bound : float
        Largest curvature.
    value, derivative, curvature : callable
        l, its derivative by z, and the derivative of that.
    title : str
        What a picture calls it.
    """

    engine: Loss
    two_classes: bool
    bound: float
    value: Function
    derivative: Function
    curvature: Function
    title: str


def sigmoid(z: Floats) -> Floats:
    """1 / (1 + exp(-z)), the logistic model's probability of the label +1."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * z))


def _short(z: Floats, y: Floats) -> Floats:
    """By how much the margin falls short of 1."""
    return np.maximum(1 - y * z, 0.0)


def _logistic_curvature(z: Floats, y: Floats) -> Floats:
    p = sigmoid(z)
    return p * (1 - p)


def _huber(z: Floats, y: Floats) -> Floats:
    size = np.abs(z - y)
    return np.where(size < 1, size * size / 2, size - 0.5)


LOSSES: dict[LossName, LossFunction] = {
    "least-squares": LossFunction(
        engine=Loss.LEAST_SQUARES,
        two_classes=False,
        bound=1.0,
        value=lambda z, y: np.square(z - y) / 2,
        derivative=lambda z, y: z - y,
        curvature=lambda z, y: np.ones_like(z),
        title="half mean squared error",
    ),
    "logistic": LossFunction(
        engine=Loss.LOGISTIC,
        two_classes=True,
        bound=MOST_CURVATURE[Loss.LOGISTIC],
        value=lambda z, y: np.logaddexp(0.0, -y * z),
        derivative=lambda z, y: -y * sigmoid(-y * z),
        curvature=_logistic_curvature,
        title="mean logistic loss",
    ),
    "hinge": LossFunction(
        engine=Loss.HINGE,
        two_classes=True,
        bound=1 / KINK_WIDTH,
        value=_short,
        derivative=lambda z, y: np.where(y * z < 1, -y, 0.0),
        curvature=lambda z, y: np.where(np.abs(1 - y * z) < KINK_WIDTH / 2, 1 / KINK_WIDTH, 0.0),
        title="mean hinge loss",
    ),
    "squared-hinge": LossFunction(
        engine=Loss.SQUARED_HINGE,
        two_classes=True,
        bound=1.0,
        value=lambda z, y: np.square(_short(z, y)) / 2,
        derivative=lambda z, y: -y * _short(z, y),
        curvature=lambda z, y: np.where(y * z < 1, 1.0, 0.0),
        title="mean squared hinge loss",
    ),
    "huber": LossFunction(
        engine=Loss.HUBER,
        two_classes=False,
        bound=1.0,
        value=_huber,
        derivative=lambda z, y: np.clip(z - y, -1.0, 1.0),
        curvature=lambda z, y: np.where(np.abs(z - y) < 1, 1.0, 0.0),
        title="mean Huber loss",
    ),
}


def mean_loss(name: LossName, z: Floats, y: Floats, weights: Floats | None = None) -> float:
    """The mean over samples, each counted ``weights`` times."""
    return float(np.average(LOSSES[name].value(z, y), weights=weights))
