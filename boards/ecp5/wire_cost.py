"""What the wires of a cluster cost, and what they would cost elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .timing import Bools, Floats, Ints, span

EVENNESS, LENGTH = 0.02, 1e-4
"""Of a critical wire's squared delay, and of a tile that any wire spans. Where a LUT stands between
two registers makes no difference to the path; halfway, either of them can come nearer next."""
STEEPEST = 30.0
"""Exponents end here."""


@dataclass(frozen=True)
class Wires:
    """The wires between a cluster and other cells.

    Parameters
    ----------
    number : array of int
    own, other : array of int
        The cells at their two ends.
    inward : array of bool
    through : bool
        Whether paths come in and go out without a register between.
    """

    number: Ints
    own: Ints
    other: Ints
    inward: Bools
    through: bool


class Pull:
    """The pull of a cluster's wires: the sum over them of exp(-slack / scale), wherever it goes.

    Parameters
    ----------
    wires : Wires
    across, along : array of int
        Columns and rows from each wire's other end to the cluster's own.
    allowed : array of float
        What they may add to each wire until its slack is 0, ns.
    scale : float
        Of slacks, ns.
    """

    def __init__(
        self, wires: Wires, across: Ints, along: Ints, allowed: Floats, scale: float
    ) -> None:
        self._wires, self._allowed, self._scale = wires, allowed, scale
        self._across, self._along = across, along
        self._weight = weight = self._late(span(across, along))
        self._parts = weight[wires.inward].sum(), weight[~wires.inward].sum()
        most = (max(part, 1e-9) for part in self._parts)
        self._share = weight * sum(self._parts) / np.where(wires.inward, *most)

    @property
    def best(self) -> tuple[int, int]:
        """Columns and rows to the middle of its wires' other ends."""
        return -_median(self._across, self._weight), -_median(self._along, self._weight)

    def cost(self, columns: Ints, rows: Ints) -> Floats:
        """What its wires cost after each of these moves."""
        wires = self._wires
        dx, dy = self._across + columns[:, None], self._along + rows[:, None]
        spans = span(dx, dy)
        lateness = self._late(spans)
        into = lateness[:, wires.inward].sum(axis=1)
        out = lateness[:, ~wires.inward].sum(axis=1)
        # What a path gains before a LUT it may lose behind it: there, factors add up.
        both = 1 / self._parts[0] + 1 / self._parts[1] if wires.through else 0.0
        total = into * out * both if wires.through else into + out
        length = LENGTH * (np.abs(dx) + np.abs(dy)).sum(axis=1)
        return np.asarray(total + EVENNESS * (self._share * spans**2).sum(axis=1) + length)

    def _late(self, spans: Floats) -> Floats:
        return np.exp(np.clip((spans - self._allowed) / self._scale, -STEEPEST, STEEPEST))


def _median(values: Ints, weights: Floats) -> int:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return int(values[order][np.searchsorted(total, total[-1] / 2)])
