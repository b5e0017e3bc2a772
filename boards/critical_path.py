"""What place and route says of a critical path, in words."""

from __future__ import annotations

import re
from itertools import groupby
from typing import NamedTuple

from .place_and_route import PathStep

_CELL = re.compile(r"(_|(?<=\.))(SB_)?[A-Z][A-Z0-9]{2,}(_|$)")
"""Where Yosys' own part of a cell's name begins, as in ``update.sum_TRELLIS_FF_Q_3``."""

_PART = re.compile(r"(\.\d+)+$")
"""What Yosys adds to the parts of a memory."""

_GOWIN_MULTIPLEXER = re.compile(r"_MUX2_LUT\d_[A-Z]+\d?$")

_COUNTED = re.compile(r"(\$\d+)+$")
"""What Amaranth adds to the second and later of one name."""

_WRAPPERS = ("inner", "device", "top")
"""Modules around a design that say nothing of where a cell is."""

REGISTER = "register"
_STARTS = (
    (r"DO[AB]?\d*|RDATA_?\d*|RD\d*|DATAOUT_?\d*", "memory"),
    (r"P\d+|DOUT\d+", "multiplier"),
)
_ENDS = (
    (r"(AD[AB]?|DI[AB]|WAD|RAD|WADDR|RADDR|WDATA|ADDRESS|DATAIN)_?\d*|[WR]?(CE|E)[AB]", "memory"),
    (r"[ABC]\d+|SIGNED[AB]", "multiplier"),
)
_CONTROLS = {"CE": "enable of ", "CEN": "enable of ", "LSR": "reset of ", "SR": "reset of "}
"""Inputs of a register beside its data."""


class Kind(NamedTuple):
    """A kind of logic on a path; how many of it there are is put before ``one`` or ``many``."""

    one: str
    many: str


LUT = Kind("LUT", "LUTs")
CARRY = Kind("carry cell", "carry cells")
MULTIPLEXER = Kind("multiplexer", "multiplexers")
MULTIPLIER = Kind("multiplier", "multipliers")


def in_words(path: tuple[PathStep, ...]) -> str:
    """From where to where a path goes, through what, and what of its time are wires."""
    if not path:
        return "there is no path from register to register"
    first, last = path[0], path[-1]
    wires = sum(step.delay_ns for step in path if step.kind == "routing")
    logic = sum(step.delay_ns for step in path if step.kind != "routing")
    return (
        f"from {_place(first.cell, first.port, _STARTS)} to "
        f"{_place(last.to_cell or last.cell, last.to_port or last.port, _ENDS)}: "
        f"{_through(path)}, {logic:.1f} ns in cells, {wires:.1f} ns in wires"
    )


def _place(cell: str, port: str, kinds: tuple[tuple[str, str], ...]) -> str:
    kind = next((kind for ports, kind in kinds if re.fullmatch(ports, port)), REGISTER)
    module, name = split_name(cell)
    control = _CONTROLS.get(port, "") if kind == REGISTER else ""
    what = f"{kind} {name}" if name and name != kind else f"a {kind}"
    return f"{control}{what}" + (f" of {module}" if module else "")


def split_name(cell: str) -> tuple[str, str]:
    """The module that a cell is in, and what it is called there, which is "" if it has no name."""
    own = _CELL.search(cell)
    *modules, name = _PART.sub("", cell[: own.start()] if own else cell).split(".")
    while modules and modules[0] in _WRAPPERS:
        del modules[0]
    name = _COUNTED.sub("", name)
    return (
        ".".join(_COUNTED.sub("", module) for module in modules),
        "" if name.startswith("$") else name,
    )


def _through(path: tuple[PathStep, ...]) -> str:
    """Its logic, in the order in which it comes; what is many times there is counted once."""
    kinds = [_kind(step) for step in path if step.kind == "logic"]
    chains = [sum(1 for _ in run) for kind, run in groupby(kinds) if kind == CARRY]
    said = []
    for kind in (LUT, MULTIPLEXER, MULTIPLIER):
        count = kinds.count(kind)
        if count:
            said.append(f"{count} {kind.one if count == 1 else kind.many}")
    said += [f"a carry chain of {cells} cell{'s' * (cells > 1)}" for cells in chains]
    return " and ".join(said) or "no logic"


def _kind(step: PathStep) -> Kind:
    """Of a step through a cell, by the ports that it goes through."""
    carries = ("FCI", "FCO", "CIN", "COUT", "SUM")
    if step.port in carries or step.to_port in carries:
        return CARRY
    if re.fullmatch(r"P\d+", step.to_port):
        return MULTIPLIER
    if (
        step.to_port.startswith("OF")
        or step.port in ("FXA", "FXB", "M")
        or _GOWIN_MULTIPLEXER.search(step.cell)
    ):
        return MULTIPLEXER
    return LUT
