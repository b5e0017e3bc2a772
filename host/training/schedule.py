"""Step sizes: the schedule over the epochs, and how large one may be on some data."""

from __future__ import annotations

import math

import numpy as np

from ..data.dataset import Floats
from ..options.choices import Schedule as Schedule

ROWS = 10_000
"""Samples that the default step looks at: they are shuffled, so the first ones do."""


def scheduled(step: float, schedule: Schedule, epoch: int) -> float:
    """Step size in ``epoch``, counted from 1."""
    match schedule:
        case "1/k":
            return step / epoch
        case "1/sqrt(k)":
            return step / math.sqrt(epoch)
        case "constant":
            return step


def default_step(v: Floats, stale: int) -> float:
    """A step size, a power of two, at which training on ``v`` (n, F) is stable.

    The gradients of a mini-batch are summed, and with a delay more of them arrive before a dot
    product sees the first: ``stale`` of them are computed at one and the same model. Their
    common part multiplies the error along the steepest direction by 1 - step * stale * L, where L
    is the largest eigenvalue of E[v v^T]; their scatter adds about step * E|v|^2 (the bound of one
    sample: beyond 2 / |v|^2 a step overshoots the sample it was taken on). So

        step = 2**floor(log2(1 / (stale * L + E|v|^2)))

    keeps the sum of both below one, half of what stability needs: the rest is for codes, whose
    rounding makes E|m|^2 larger than E|v|^2. Found best or next to it on scikit-learn's sets and on
    cadata, cpusmall and cod-rna with the schedule 1/k; with mini-batches of hundreds of samples and
    few epochs a larger one learns faster.
    """
    rows = v[:ROWS]
    steepest = np.linalg.eigvalsh(rows.T @ rows / len(rows))[-1]
    limit = 1 / (stale * steepest + np.square(rows).sum(axis=1).mean())
    return 2.0 ** math.floor(math.log2(limit))
