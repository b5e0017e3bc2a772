"""Moves cells of a placed ECP5 design until its slow paths are short.

nextpnr's static placer keeps wires short on the whole and does not weigh timing: a few hundred of
its wires span the design, and set the clock rate. `refine` goes on from there, in the manner of
timing-driven placers (Marquardt, Betz, Rose: Timing-driven placement for FPGAs, FPGA 2000), but
downhill alone: whatever lies on a slow path, one cluster after another, goes where the sum over its
wires of exp(-slack / scale) is less. Most of an FPGA is free; what is small and not on a slow path
makes room for chains, which need many slices in a row. Memories and multipliers change places with
one another.
"""

from __future__ import annotations

import logging
from itertools import product
from typing import Any

import numpy as np

from .places import PLACE, Cluster, Places, clusters
from .timing import COMB, Bools, Cell, Floats, Ints, Timing
from .wire_cost import Pull, Wires

logger = logging.getLogger(__name__)

DIRECT, CROWDED = 0.88, 0.06
"""What paths are to take of a period in an empty FPGA, for the router's ways are not all straight,
and how much less in a full one, where more of them lead around others."""
ROUNDS = 40
SCALES_NS = 0.5, 0.15
"""Of slacks, in the first round and in the last."""
SLOW_NS = 1.0
"""A wire with less slack than this is looked at."""
GAIN = 0.005
"""What a move must bring, as a part of what a cluster's wires cost."""
REACH, WIDE_REACH = 3, 8
"""Tiles around a good place that are looked at; chains find fewer that are free."""
MOST_TRIES = 500
MOST_EVICTIONS = 10
"""Places where room is made, if others can step aside, before worse ones are tried."""
NOWHERE: Ints = np.zeros(1, dtype=np.int64)


def refine(design: dict[str, Any], top: str, period_ns: float, fill: float = 0.0) -> int:
    """Move cells of module ``top`` of what nextpnr wrote after placement, in place, so that fewer
    paths take longer than ``period_ns`` once they are routed; nothing is left to chance.

    Parameters
    ----------
    design : dict
    top : str
    period_ns : float
    fill : float
        Share of the FPGA's LUTs that are used.

    Returns
    -------
    int
        How many cells were moved.

    Raises
    ------
    KeyError
        If there is no such module.
    ValueError
        If cells have no place that nextpnr gives, or there is a loop without a register.
    """
    module = design["modules"][top]
    cells = [cell for cell in module["cells"].values() if PLACE in cell["attributes"]]
    # Whole per cents: a few cells more do not change every place.
    work = _Refinement(cells, round(DIRECT - CROWDED * fill, 2) * period_ns)
    for scale in np.linspace(*SCALES_NS, ROUNDS):
        worst, moved = work.round(float(scale))
        logger.debug("worst slack %.2f ns of %.2f, %d clusters moved", worst, period_ns, moved)
    names = [work.places.name(n) for n in range(len(cells))]
    changed = 0
    for cell, name in zip(cells, names, strict=True):
        changed += cell["attributes"][PLACE] != name
        cell["attributes"][PLACE] = name
    return changed


class _Refinement:
    def __init__(self, cells: list[Cell], period: float) -> None:
        self._period = period
        self._timing, self.places = Timing(cells), Places(cells)
        self._clusters = clusters(cells, self._timing, self.places)
        owner = np.full(len(cells), -1)
        for n, cluster in enumerate(self._clusters):
            owner[list(cluster.cells)] = n
        self._blocks = [n for n, cluster in enumerate(self._clusters) if cluster.block]
        self._owner, self._slack = owner, np.zeros(len(self._clusters))
        self._from, self._to = owner[self._timing.source], owner[self._timing.sink]
        logic = np.array([cell["type"] == COMB for cell in cells])
        self._wires = self._wires_by_cluster(logic)

    def _wires_by_cluster(self, logic: Bools) -> list[Wires]:
        timing, count = self._timing, len(self._clusters)
        outside = np.flatnonzero(self._from != self._to)

        def grouped(owner: Ints) -> list[Ints]:
            wires = outside[np.argsort(owner[outside], kind="stable")]
            return np.split(wires, np.searchsorted(owner[wires], np.arange(count + 1)))[1:-1]

        found = []
        for inward, outward in zip(grouped(self._to), grouped(self._from), strict=True):
            own = np.concatenate([timing.sink[inward], timing.source[outward]])
            other = np.concatenate([timing.source[inward], timing.sink[outward]])
            through = bool(len(inward)) and bool(logic[timing.source[outward]].any())
            number = np.concatenate([inward, outward])
            found.append(Wires(number, own, other, np.arange(len(own)) < len(inward), through))
        return found

    def round(self, scale: float) -> tuple[float, int]:
        """Look at every cluster on a slow path once, the slowest first.

        Returns
        -------
        worst : float
            Slack before, ns.
        moved : int
            How many clusters were moved.
        """
        timing, places = self._timing, self.places
        delays = timing.delays(places.x, places.y)
        slacks = timing.slacks(delays, self._period)
        self._slack = np.full(len(self._clusters) + 1, np.inf)  # the last: of what cannot move
        np.minimum.at(self._slack, self._from, slacks)
        np.minimum.at(self._slack, self._to, slacks)
        slow = np.flatnonzero(slacks < SLOW_NS)
        slow = slow[np.argsort(slacks[slow], kind="stable")]
        ends = np.stack([self._from[slow], self._to[slow]], axis=1).ravel()
        # What columns and rows may add to each wire until its slack is 0.
        allowed = np.minimum(delays + slacks - timing.base, 2 * self._period)
        moved = sum(
            self._improve(n, allowed, scale) for n in dict.fromkeys(ends[ends >= 0].tolist())
        )
        return float(slacks.min(initial=np.inf)), moved

    def _improve(self, number: int, allowed: Floats, scale: float) -> bool:
        """Move a cluster to where its wires cost less, if there is room."""
        cluster = self._clusters[number]
        if cluster.block:
            return self._exchange(number, allowed, scale)
        pull = self._pull(number, allowed, scale)
        reach = REACH if cluster.small else WIDE_REACH
        columns, rows = _moves(*pull.best, reach)
        costs = pull.cost(columns, rows)
        best = np.argsort(costs, kind="stable")[:MOST_TRIES]
        worth = best[costs[best] < (1 - GAIN) * pull.cost(NOWHERE, NOWHERE)]
        for tried, n in enumerate(worth):
            move = int(columns[n]), int(rows[n])
            if self.places.move(cluster, *move):
                return True
            if not cluster.small and tried < MOST_EVICTIONS and self._make_room(cluster, *move):
                return True
        return False

    def _exchange(self, number: int, allowed: Floats, scale: float) -> bool:
        """Let a block change places with the one with which both are better off."""
        pull, best = self._pull(number, allowed, scale), (0.0, -1)
        (cell,) = self._clusters[number].cells
        for other in self._blocks:
            (there,) = self._clusters[other].cells
            if not self.places.alike(cell, there):
                continue
            way = [part[[there]] - part[[cell]] for part in (self.places.x, self.places.y)]
            back = self._pull(other, allowed, scale)
            before = pull.cost(NOWHERE, NOWHERE) + back.cost(NOWHERE, NOWHERE)
            after = pull.cost(*way) + back.cost(*(-part for part in way))
            best = max(best, (float(before[0] * (1 - GAIN) - after[0]), other))
        gain, other = best
        if gain > 0:
            self.places.exchange(cell, *self._clusters[other].cells)
        return gain > 0

    def _pull(self, number: int, allowed: Floats, scale: float) -> Pull:
        wires = self._wires[number]
        x, y = self.places.x, self.places.y
        # From the other end to this one.
        across, along = x[wires.own] - x[wires.other], y[wires.own] - y[wires.other]
        return Pull(wires, across, along, allowed[wires.number], scale)

    def _make_room(self, cluster: Cluster, columns: int, rows: int) -> bool:
        """Move a cluster to where small ones step aside, or leave all as it is."""
        places = self.places
        others = {int(self._owner[n]) for n in places.beside(cluster, columns, rows)}
        if any(n < 0 or self._slack[n] < SLOW_NS or not self._clusters[n].small for n in others):
            return False
        taken = {(int(places.x[n]) + columns, int(places.y[n]) + rows) for n in cluster.cells}
        done: list[tuple[Cluster, int, int]] = []
        for other in (self._clusters[n] for n in sorted(others)):
            x, y = (int(part[other.cells[0]]) for part in (places.x, places.y))
            ways = ((dx, dy) for dx, dy in ASIDE if (x + dx, y + dy) not in taken)
            step = next((way for way in ways if places.move(other, *way)), None)
            if step is None:
                break
            done.append((other, *step))
        else:
            if places.move(cluster, columns, rows):
                return True
        for other, dx, dy in reversed(done):
            places.move(other, -dx, -dy)
        return False


_SIDE = range(-4, 5)
ASIDE = sorted(product(_SIDE, _SIDE), key=lambda way: (abs(way[0]) + abs(way[1]), way))
"""Where what makes room may go, the nearest first."""


def _moves(columns: int, rows: int, reach: int) -> tuple[Ints, Ints]:
    """Moves to a few tiles around the best place, and around some on the way there."""
    near = np.arange(-reach, reach + 1)
    around = np.stack(np.meshgrid(near, near), axis=-1).reshape(-1, 2)
    way = np.rint(np.outer(np.linspace(0, 1, 5), [columns, rows])).astype(np.int64)
    moves = np.unique((way[:, None] + around).reshape(-1, 2), axis=0)
    moves = moves[moves.any(axis=1)]
    return moves[:, 0], moves[:, 1]
