"""Where the cells of a placed ECP5 design are, what moves together, and what may go where.

A tile of logic has four slices, a slice two halves with a LUT and a register each. nextpnr calls
them ``X8/Y34/SLICEB.K1`` and ``X8/Y34/SLICEB.FF1``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from .timing import COMB, MULTIPLIER, RAM, RAM_WRITE, REGISTER, Cell, Timing, mode

PLACE = "NEXTPNR_BEL"
"""The attribute that says where a cell is."""
_PLACE = re.compile(r"X(\d+)/Y(\d+)/(.+)")
HALVES = [(f"SLICE{name}", half) for name in "ABCD" for half in "01"]
LUT, FLIP_FLOP = "K", "FF"
BLOCKS = RAM, MULTIPLIER
MUX_PINS = ("F1", "FXA", "FXB", "OFX")

CONTROLS = {"CLK": ("CLKMUX",), "CE": ("CEMUX",), "LSR": ("LSRMUX", "SRMODE", "GSR")}
"""What the two registers of a slice share, and how each is set."""
CONTROL_WIRES = 2
"""How many of each a tile has (three enables, but nextpnr's placer leaves one)."""


@dataclass(frozen=True)
class Cluster:
    """Cells that keep their places relative to one another: a register, a LUT and its register, a
    carry chain with its registers, a memory of LUTs.

    Parameters
    ----------
    cells : tuple of int
    small : bool
        Whether it may go to any half of any slice.
    alone : bool
        Whether nothing else may be in its tiles.
    block : bool
        Whether it is a memory or multiplier: they can change places among themselves.
    """

    cells: tuple[int, ...]
    small: bool
    alone: bool
    block: bool


class Places:
    """Who is where.

    Parameters
    ----------
    cells : list of Cell
        All that have a place.

    Attributes
    ----------
    x, y : array of int, shape (cells,)
        Column and row.

    Raises
    ------
    ValueError
        If a cell's place is none of nextpnr's.
    """

    def __init__(self, cells: list[Cell]) -> None:
        self._cells = cells
        self.x, self.y = (np.zeros(len(cells), dtype=np.int64) for _ in "xy")
        self._site = [""] * len(cells)
        self._there: dict[tuple[int, int], dict[str, int]] = defaultdict(dict)
        for n, cell in enumerate(cells):
            match = _PLACE.fullmatch(cell["attributes"][PLACE])
            if match is None:
                raise ValueError(f"no place of an ECP5: {cell['attributes'][PLACE]}")
            self._put(n, int(match[1]), int(match[2]), match[3])
        # Logic fills whole rows, between those of memories and multipliers: where both a column
        # and a row have some, there is a tile of it.
        logic = [n for n, cell in enumerate(cells) if cell["type"] == COMB]
        self._columns, self._rows = set(self.x[logic].tolist()), set(self.y[logic].tolist())

    def name(self, n: int) -> str:
        """What nextpnr calls the place of a cell."""
        return f"X{self.x[n]}/Y{self.y[n]}/{self._site[n]}"

    def move(self, cluster: Cluster, columns: int, rows: int) -> bool:
        """Move a cluster if there is room; returns whether there was."""
        before = [(int(self.x[n]), int(self.y[n]), self._site[n]) for n in cluster.cells]
        for x, y, site in before:
            del self._there[x, y][site]
        tiles = [(x + columns, y + rows) for x, y, _ in before]
        sites = self._room(cluster, tiles, [site for *_, site in before])
        after = before if sites is None else [(*t, s) for t, s in zip(tiles, sites, strict=True)]
        for n, place in zip(cluster.cells, after, strict=True):
            self._put(n, *place)
        return sites is not None

    def alike(self, n: int, m: int) -> bool:
        """Whether one cell can be where another is, and the other way round."""
        return n != m and self._cells[n]["type"] == self._cells[m]["type"]

    def exchange(self, n: int, m: int) -> None:
        """Let two cells that are alike change places."""
        here, there = ((int(self.x[i]), int(self.y[i]), self._site[i]) for i in (n, m))
        self._put(n, *there)
        self._put(m, *here)

    def beside(self, cluster: Cluster, columns: int, rows: int) -> set[int]:
        """Other cells in the slices that a cluster would take after such a move."""
        found = set()
        for n in cluster.cells:
            slice_ = self._site[n].split(".")[0]
            tile = self._there[int(self.x[n]) + columns, int(self.y[n]) + rows]
            found |= {m for site, m in tile.items() if cluster.alone or site.startswith(slice_)}
        return found - set(cluster.cells)

    def _put(self, n: int, x: int, y: int, site: str) -> None:
        self.x[n], self.y[n], self._site[n] = x, y, site
        self._there[x, y][site] = n

    def _room(
        self, cluster: Cluster, tiles: list[tuple[int, int]], sites: list[str]
    ) -> list[str] | None:
        """Free sites for a cluster's cells in ``tiles``, if there are."""
        if not all(x in self._columns and y in self._rows for x, y in tiles):
            return None
        if cluster.alone:
            return None if any(self._there[tile] for tile in tiles) else sites
        choices = [sites]
        if cluster.small:
            kinds = [LUT if self._cells[n]["type"] == COMB else FLIP_FLOP for n in cluster.cells]
            choices = [[f"{slice_}.{kind}{half}" for kind in kinds] for slice_, half in HALVES]
        for choice in choices:
            there = zip(cluster.cells, tiles, choice, strict=True)
            if all(self._fits(self._cells[n], self._there[tile], site) for n, tile, site in there):
                return choice
        return None

    def _fits(self, cell: Cell, tile: dict[str, int], site: str) -> bool:
        """Whether a LUT or register may be at a site of a tile beside what is there."""

        def at(slice_: str, kind: str, half: str) -> Cell | None:
            n = tile.get(f"{slice_}.{kind}{half}")
            return None if n is None else self._cells[n]

        slice_, half = site.split(".")[0], site[-1]
        other = "10"[int(half)]
        if site in tile:
            return False
        if cell["type"] == COMB:
            beside, register = at(slice_, LUT, other), at(slice_, FLIP_FLOP, half)
            alike = beside is None or mode(beside) == mode(cell) == "LOGIC"
            return alike and not (register and cell["connections"].get("M"))
        lut, beside = at(slice_, LUT, half), at(slice_, FLIP_FLOP, other)
        if lut and (lut["connections"].get("M") or mode(lut) in ("DPRAM", "RAMW_BLOCK")):
            return False
        if beside and _controls(beside) != _controls(cell):
            return False
        around = [self._cells[n] for n in tile.values()]
        registers = [c for c in around if c["type"] == REGISTER]
        return all(c["type"] != RAM_WRITE for c in around) and _share([*registers, cell])


def clusters(cells: list[Cell], timing: Timing, places: Places) -> list[Cluster]:
    """All that can be moved of a design."""
    first = list(range(len(cells)))

    def root(n: int) -> int:
        while first[n] != n:
            first[n] = n = first[first[n]]
        return n

    for wire in np.flatnonzero(timing.fixed):
        first[root(int(timing.source[wire]))] = root(int(timing.sink[wire]))
    # A memory of LUTs takes the LUTs of the slice that writes it, to which no wire leads.
    writers = {places.name(n): n for n, c in enumerate(cells) if c["type"] == RAM_WRITE}
    for n, cell in enumerate(cells):
        if mode(cell) == "RAMW_BLOCK":
            first[root(n)] = root(writers[f"{places.name(n).rpartition('.')[0]}.RAMW"])

    groups: dict[int, list[int]] = defaultdict(list)
    for n, cell in enumerate(cells):
        if cell["type"] in (COMB, REGISTER, RAM_WRITE, *BLOCKS):
            groups[root(n)].append(n)
    return [_cluster(cells, members) for members in groups.values()]


def _cluster(cells: list[Cell], members: list[int]) -> Cluster:
    luts = [cells[n] for n in members if cells[n]["type"] == COMB]
    block = cells[members[0]]["type"] in BLOCKS
    plain = all(
        mode(cell) == "LOGIC" and not any(cell["connections"].get(pin) for pin in MUX_PINS)
        for cell in luts
    )
    return Cluster(
        cells=tuple(members),
        small=plain and len(luts) <= 1 and not block,
        alone=any(mode(cell) in ("DPRAM", "RAMW_BLOCK") for cell in luts),
        block=block,
    )


def _controls(register: Cell) -> dict[str, tuple[Any, ...]]:
    """What drives a register's controls, and how they are set."""
    return {
        pin: (
            *(register["connections"].get(pin) or [None]),
            *(register["parameters"].get(name) for name in settings),
        )
        for pin, settings in CONTROLS.items()
    }


def _share(registers: list[Cell]) -> bool:
    """Whether the control wires of one tile are enough for these registers."""
    controls = [_controls(register) for register in registers]
    for pin in CONTROLS:
        wires = {control[pin] for control in controls if control[pin][0] is not None}
        if len(wires) > CONTROL_WIRES or len({net for net, *_ in wires}) < len(wires):
            return False
    return True
