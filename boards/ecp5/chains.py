"""Carry chains without the cells that nextpnr puts before and behind them.

A CCU2C is two places of a chain. Where yosys begins one with a constant, nextpnr adds a cell that
makes the constant a carry, from a net that spans the whole FPGA; where yosys names the carry that
leaves the last place, it adds one for that, whether it is used or not. Half a cell is enough for
the first, and nothing for the second: of a 64 x 8 engine's carry cells that is every seventh.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .netlist import LUT_PINS, OPEN, Bit, Cell, Netlist
from .pins import PINS, adder, balance

CARRY = "CCU2C"
HALVES = "0", "1"
CONSTANTS = "0", "1"

GENERATE = {"0": f"{0:016b}", "1": f"{0b1000:016b}"}
"""A place that makes a carry: its LUT is 0 where all its inputs are 1, so the carry that leaves is
what the LUT says of its first two pins when the others are 0, whatever comes in."""


class _Place(NamedTuple):
    """Half a cell: its LUT's content, whether it hides its carry, and what is connected to it."""

    init: str
    hides: str
    inputs: tuple[Bit, ...]
    out: Bit


def starts(state: Netlist) -> list[str]:
    """The first cells of chains that a constant begins."""
    return [
        name
        for name, cell in state.cells.items()
        if cell["type"] == CARRY and cell["connections"].get("CIN", [OPEN])[0] in CONSTANTS
    ]


def tighten(state: Netlist, start: str) -> bool:
    """Let the chain that begins with cell ``start`` make its own constant, end where it is used
    last, and take its signals on all pins; False if a carry is read on the way, so that nextpnr has
    to cut it there."""
    names = list(_along(state, start))
    *inner, last = (state.cells[name]["connections"].get("COUT", [OPEN])[0] for name in names)
    if any(len(state.users[bit]) > 1 or bit in state.ports for bit in inner):
        return False
    constant = state.cells[start]["connections"]["CIN"][0]
    empty = _Place(GENERATE["0"], "NO", ("1",) * len(LUT_PINS), OPEN)
    places = [empty._replace(init=GENERATE[constant])]
    places += [place for name in names for place in _places(state, state.cells[name])]
    if state.is_used(last):
        places.append(empty._replace(out=last))  # the sum of 0 and the carry
    while places and places[-1].out == OPEN:
        places.pop()
    places += [empty] * (len(places) % 2)
    _rebuild(state, names, inner, _balanced(places))
    return True


def _along(state: Netlist, start: str) -> Iterator[str]:
    """The cells of a chain, as far as each carry goes into one alone."""
    name: str | None = start
    while name is not None:
        yield name
        (carry,) = state.cells[name]["connections"].get("COUT", [OPEN])
        users = state.users[carry] if carry != OPEN else ()
        name = next((user for user, pin, _ in users if pin == "CIN"), None)


def _places(state: Netlist, cell: Cell) -> Iterator[_Place]:
    for half in HALVES:
        connections = cell["connections"]
        (out,) = connections.get(f"S{half}", [OPEN])
        yield _Place(
            cell["parameters"][f"INIT{half}"],
            cell["parameters"][f"INJECT1_{half}"],
            tuple(connections[f"{pin}{half}"][0] for pin in LUT_PINS),
            out if state.is_used(out) else OPEN,
        )


def _balanced(places: list[_Place]) -> list[_Place]:
    """The same places, with signals on other pins."""
    adders = [
        None if place.hides != "NO" or OPEN in place.inputs else adder(place.init, place.inputs)
        for place in places
    ]
    found = []
    for place, each, way in zip(places, adders, balance(adders), strict=True):
        if each and way:
            order, content = way
            at = dict(zip(order, each.signals, strict=True))
            inputs = tuple(at.get(pin, "1") for pin in PINS)
            place = place._replace(init=f"{content:016b}", inputs=inputs)
        found.append(place)
    return found


def _rebuild(state: Netlist, names: list[str], carries: list[Bit], places: list[_Place]) -> None:
    """Put a chain in the place of the cells ``names``."""
    attributes = state.cells[names[0]]["attributes"]
    for name in names:
        state.remove(name)
    count = len(places) // len(HALVES)
    if count > len(names):
        names, carries = [*names, f"{names[-1]}_MORE"], [*carries, state.new_bit()]
    names = names[:count]
    for n, name in enumerate(names):
        state.cells[name] = {
            "hide_name": 1,
            "type": CARRY,
            "parameters": {},
            "attributes": dict(attributes),
            "port_directions": {},
            "connections": {},
        }
        state.connect(name, "CIN", carries[n - 1] if n else OPEN)
        state.drive(name, "COUT", carries[n] if n + 1 < count else OPEN)
        for half, place in zip(HALVES, places[2 * n : 2 * n + 2], strict=True):
            state.cells[name]["parameters"] |= {
                f"INIT{half}": place.init,
                f"INJECT1_{half}": place.hides,
            }
            for pin, bit in zip(LUT_PINS, place.inputs, strict=True):
                state.connect(name, f"{pin}{half}", bit)
            state.drive(name, f"S{half}", place.out)
