"""A flat netlist of ECP5 cells, as yosys writes it.

Cells have ``type``, ``parameters`` and ``connections``, which name a bit by a number, or by the
characters 0, 1, x.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

Bit = int | str
Cell = dict[str, Any]
Pin = tuple[str, str, int]
"""Cell, port, index."""

LUT_PINS = "ABCD"
OPEN: Bit = "x"
"""For a pin that is connected to nothing."""


@dataclass
class Netlist:
    """Who drives and who uses each bit of a module.

    Parameters
    ----------
    cells : dict of str to Cell
        By name; changed in place.
    drivers : dict of Bit to str
    users : dict of Bit to dict of Pin to None
    ports : set of Bit
        Bits of the module's own ports.
    """

    cells: dict[str, Cell]
    drivers: dict[Bit, str] = field(default_factory=dict)
    # Sets that keep their order: thousands of pins share a constant.
    users: dict[Bit, dict[Pin, None]] = field(default_factory=lambda: defaultdict(dict))
    ports: set[Bit] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name, cell in self.cells.items():
            for pin, bits in cell["connections"].items():
                for index, bit in enumerate(bits):
                    if cell["port_directions"][pin] == "output":
                        self.drivers[bit] = name
                    else:
                        self.users[bit][name, pin, index] = None

    def connect(self, name: str, pin: str, bit: Bit, index: int = 0) -> None:
        """Connect an input, of which a single bit may have been open."""
        cell, place = self.cells[name], (name, pin, index)
        bits = cell["connections"].setdefault(pin, [""])
        self.users[bits[index]].pop(place, None)
        bits[index] = bit
        cell["port_directions"][pin] = "input"
        self.users[bit][place] = None

    def drive(self, name: str, pin: str, bit: Bit) -> None:
        """Let an output of one bit drive ``bit``."""
        self.cells[name]["connections"][pin] = [bit]
        self.cells[name]["port_directions"][pin] = "output"
        self.drivers[bit] = name

    def new_bit(self) -> Bit:
        """A bit that nothing drives yet."""
        return max(bit for bit in self.drivers if isinstance(bit, int)) + 1

    def gate(self, name: str, init: str, *inputs: Bit) -> Bit:
        """The output of a LUT, which is added unless there is one of that name."""
        if name not in self.cells:
            out = self.new_bit()
            self.cells[name] = {
                "hide_name": 1,
                "type": "LUT4",
                "parameters": {"INIT": init},
                "attributes": {},
                "port_directions": {},
                "connections": {},
            }
            for pin, bit in zip_longest(LUT_PINS, inputs, fillvalue="0"):
                self.connect(name, str(pin), bit)
            self.drive(name, "Z", out)
        return self.cells[name]["connections"]["Z"][0]

    def remove(self, name: str) -> None:
        for pin, bits in self.cells.pop(name)["connections"].items():
            for index, bit in enumerate(bits):
                self.users[bit].pop((name, pin, index), None)

    def is_used(self, bit: Bit) -> bool:
        return bit != OPEN and (bool(self.users[bit]) or bit in self.ports)
