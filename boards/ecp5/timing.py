"""An estimate of the slack of every wire of a placed ECP5 design.

A netlist here is what nextpnr writes after packing: cells with ``type``, ``parameters``,
``connections`` and ``port_directions``; every pin has one bit, which is a number, or none.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

Cell = dict[str, Any]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COMB, REGISTER, RAM_WRITE = "TRELLIS_COMB", "TRELLIS_FF", "TRELLIS_RAMW"
"""Half a slice's LUT or carry cell, a register, and what writes a memory of LUTs."""
RAM, MULTIPLIER, CLOCK_BUFFER = "DP16KD", "MULT18X18D", "DCCA"

# Delays in ns, as nextpnr reports them for speed grade 6.
CLOCK_TO_OUTPUT = {REGISTER: 0.525, RAM: 5.83, MULTIPLIER: 3.9}
REGISTERED_OUTPUT = {RAM: 0.97, MULTIPLIER: 0.74}
LUT_RAM_OUTPUT = 0.6
SETUP = {"LSR": 0.42, "WRE": 0.39, RAM: 0.25, MULTIPLIER: 3.49}
REGISTERED_INPUT = 0.1
LOGIC = {
    ("FCI", "F"): 0.443,
    ("FCI", "FCO"): 0.071,
    ("F1", "OFX"): 0.165,
    ("FXA", "OFX"): 0.239,
    ("FXB", "OFX"): 0.242,
    ("M", "OFX"): 0.256,
}
LOGIC |= {(pin, "F"): 0.236 for pin in "ABCD"}
LOGIC |= {(pin, "OFX"): 0.401 for pin in "ABCD"}
LOGIC |= {(pin, "FCO"): 0.447 for pin in "ABCD"}
CARRY_SUM = 0.45

# Wires: least squares over 40,000 of them that were routed (their spread about this is 0.2 to
# 0.5 ns). What leads to a pin or kind of cell, and what a column and a row add.
WIRE = {REGISTER: 0.7, COMB: 0.75, "CE": 1.1, "LSR": 1.2, "WRE": 1.6}
WIRE_TO_BLOCK = 1.3
WIRE_COLUMN, WIRE_ROW = 0.06, 0.075
WITHIN_SLICE = {("FCO", "FCI"), ("F", "DI"), ("OFX", "DI"), ("F", "F1")}
WITHIN_SLICE |= {("OFX", "FXA"), ("OFX", "FXB")}
"""Pins that only each other's slice, or the next one, can reach: these wires take no time."""


class Timing:
    """Arrival times and slacks, by wire: a wire goes from the cell that drives a net to one pin.

    Parameters
    ----------
    cells : list of Cell

    Attributes
    ----------
    source, sink : array of int, shape (wires,)
        Indices of the cells at its ends.
    base : array of float, shape (wires,)
        Delay before columns and rows are added, ns.
    fixed : array of bool, shape (wires,)
        Whether it stays within slices.

    Raises
    ------
    ValueError
        If there is a loop without a register.
    """

    def __init__(self, cells: list[Cell]) -> None:
        drivers = {
            bits[0]: (n, pin)
            for n, cell in enumerate(cells)
            for pin, bits in cell["connections"].items()
            if bits and cell["port_directions"][pin] == "output"
        }
        nets = {bit: n for n, bit in enumerate(drivers)}
        wires = [
            (*drivers[bits[0]], n, pin, nets[bits[0]])
            for n, cell in enumerate(cells)
            for pin, bits in cell["connections"].items()
            if bits and cell["port_directions"][pin] == "input" and bits[0] in drivers
            if CLOCK_BUFFER not in (cell["type"], cells[drivers[bits[0]][0]]["type"])
        ]
        kinds = [cell["type"] for cell in cells]
        self.source = np.array([source for source, _, _, _, _ in wires], dtype=np.int64)
        self.sink = np.array([sink for _, _, sink, _, _ in wires], dtype=np.int64)
        self.base = np.array(
            [WIRE.get(pin, WIRE.get(kinds[sink], WIRE_TO_BLOCK)) for _, _, sink, pin, _ in wires]
        )
        self.fixed = np.array(
            [
                kinds[source] == RAM_WRITE or (kinds[source] == COMB and (out, pin) in WITHIN_SLICE)
                for source, out, _, pin, _ in wires
            ]
        )
        self._net = np.array([net for *_, net in wires], dtype=np.int64)
        # None where the path goes on.
        setup = [_setup(cells[sink], pin) for _, _, sink, pin, _ in wires]
        self._ends = np.array([time is not None for time in setup])
        self._setup = np.array([time or 0.0 for time in setup])
        self._start = np.array([_clock_to_output(cells[n], out) for n, out in drivers.values()])

        inputs: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for number, (_, _, sink, pin, _) in enumerate(wires):
            if not self._ends[number]:
                inputs[sink].append((number, pin))
        self._levels = self._ordered(
            [
                (number, nets[bit], delay)
                for bit, (n, out) in drivers.items()
                for number, pin in inputs[n]
                if (delay := _logic(cells[n], pin, out)) is not None
            ]
        )

    def _ordered(self, steps: list[tuple[int, int, float]]) -> list[tuple[Ints, Ints, Floats]]:
        """Ways through cells, from a wire to a net, by how many of them lead to that net."""
        wire = np.array([step[0] for step in steps], dtype=np.int64)
        net = np.array([step[1] for step in steps], dtype=np.int64)
        delay = np.array([step[2] for step in steps], dtype=np.float64)
        depth = np.zeros(len(self._start), dtype=np.int64)
        while True:
            deeper = depth.copy()
            np.maximum.at(deeper, net, depth[self._net[wire]] + 1)
            if (deeper == depth).all():
                break
            if deeper.max(initial=0) > len(depth):
                raise ValueError("the design has a loop without a register, and so no clock rate")
            depth = deeper
        levels = [depth[net] == n for n in range(1, depth.max(initial=0) + 1)]
        return [(wire[level], net[level], delay[level]) for level in levels]

    def delays(self, x: Ints, y: Ints) -> Floats:
        """Delay of every wire, ns, of cells in columns ``x`` and rows ``y``."""
        across, along = x[self.source] - x[self.sink], y[self.source] - y[self.sink]
        return np.where(self.fixed, 0.0, self.base + span(across, along))

    def slacks(self, delays: Floats, period: float) -> Floats:
        """Slack of every wire, ns; infinite where no register starts or ends its paths."""
        arrival = self._start.copy()
        for wire, net, delay in self._levels:
            np.maximum.at(arrival, net, arrival[self._net[wire]] + delays[wire] + delay)
        needed = np.where(self._ends, period - self._setup, np.inf)
        required = np.full(len(self._start), np.inf)
        np.minimum.at(required, self._net, needed - delays)
        for wire, net, delay in reversed(self._levels):
            np.minimum.at(needed, wire, required[net] - delay)
            np.minimum.at(required, self._net[wire], needed[wire] - delays[wire])
        arrives = arrival[self._net] + delays
        return np.where(np.isfinite(arrives) & np.isfinite(needed), needed - arrives, np.inf)


def span(columns: Ints, rows: Ints) -> Floats:
    """What so many columns and rows add to a wire's delay, ns."""
    return WIRE_COLUMN * np.abs(columns) + WIRE_ROW * np.abs(rows)


def mode(cell: Cell) -> str:
    """What half a slice is: LOGIC, CCU2, DPRAM or RAMW_BLOCK."""
    return str(cell["parameters"].get("MODE", "LOGIC")).strip()


def _clock_to_output(cell: Cell, out: str) -> float:
    """From its clock to an output; -inf if it has none."""
    kind = cell["type"]
    if kind == COMB:
        return LUT_RAM_OUTPUT if mode(cell) == "DPRAM" else -np.inf
    registers = {RAM: f"REGMODE_{out[2:3]}", MULTIPLIER: "REG_OUTPUT_CLK"}
    if kind in registers and _is_set(cell, registers[kind]):
        return REGISTERED_OUTPUT[kind]
    return CLOCK_TO_OUTPUT.get(kind, -np.inf)


def _setup(cell: Cell, pin: str) -> float | None:
    """Time before its clock at which an input must stand; None if paths go on through it."""
    kind = cell["type"]
    if kind == COMB:
        return SETUP.get(pin, 0.0) if pin.startswith(("W", "DI")) else None
    if kind == MULTIPLIER and _is_set(cell, "REG_INPUTA_CLK", "REG_INPUTB_CLK"):
        return REGISTERED_INPUT
    return SETUP.get(kind, SETUP.get(pin, 0.0))


def _logic(cell: Cell, pin: str, out: str) -> float | None:
    """From an input to an output; None if no path goes that way."""
    if mode(cell) == "CCU2" and out == "F" and pin in "ABCD":
        return CARRY_SUM
    return LOGIC.get((pin, out))


def _is_set(cell: Cell, *registers: str) -> bool:
    values = (cell["parameters"].get(register, "NONE").strip() for register in registers)
    return all(value not in ("NONE", "NOREG") for value in values)
