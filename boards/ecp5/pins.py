"""Which pins of a carry chain's LUTs its signals come in on.

A pin of a tile's eight LUTs is reached from wires of its own: of those that span two columns A has
numbers 5 and 7, B 1 and 3, C 4 and 6, D 0 and 2 (Project Trellis, tile PLC2). Nextpnr exchanges a
LUT's pins as it routes, but not a carry cell's, for which yosys takes A and B alone: where adders
fill tiles, half of the wires lie idle while the others are short. `balance` lets the signals of a
tile come in on all four.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import permutations, product
from typing import NamedTuple

from .netlist import LUT_PINS, Bit

PINS = range(len(LUT_PINS))
FIRST_TWO = 0b11
TILE = 8
"""Places of a tile; a chain begins with a tile's first."""
ROUNDS = 2

Way = tuple[tuple[int, ...], int]
"""The pin of each signal, and the LUT's content; pins without a signal are 1."""


class Adder(NamedTuple):
    """What a place of a chain computes of its signals: bit i of a table is for the values that i
    is made of. Where ``propagate`` is 0, the carry that leaves is ``generate``."""

    signals: tuple[Bit, ...]
    propagate: int
    generate: int

    @property
    def function(self) -> tuple[int, int, int]:
        """What `ways` takes."""
        return len(self.signals), self.propagate, self.generate


def adder(init: str, inputs: tuple[Bit, ...]) -> Adder:
    """What a LUT's content makes of what is connected to its pins, each a signal, 0 or 1."""
    content = int(init, 2)
    signals = tuple(dict.fromkeys(bit for bit in inputs if isinstance(bit, int)))
    propagate = generate = 0
    for n, values in enumerate(_values(len(signals))):
        known: dict[Bit, int] = {"0": 0, "1": 1} | dict(zip(signals, values, strict=True))
        index = sum(known[bit] << pin for pin, bit in enumerate(inputs))
        propagate |= (content >> index & 1) << n
        generate |= (content >> (index & FIRST_TWO) & 1) << n
    return Adder(signals, propagate, generate)


@cache
def ways(count: int, propagate: int, generate: int) -> list[Way]:
    """All ways to bring ``count`` signals to the pins.

    A LUT says what leaves where it does not propagate by its content for its first two pins and 0
    on the others; so long as one of these has no signal and is 1, that content is free.
    """
    found = []
    for order in permutations(PINS, count):
        idle = sum(1 << pin for pin in PINS if pin not in order)
        content: dict[int, int] = {}
        leaves = []
        for n, values in enumerate(_values(count)):
            index = idle | sum(value << pin for value, pin in zip(values, order, strict=True))
            content[index] = propagate >> n & 1
            if not content[index]:
                leaves.append((index & FIRST_TWO, generate >> n & 1))
        if all(content.setdefault(index, value) == value for index, value in leaves):
            found.append((order, sum(value << index for index, value in content.items())))
    return found


def balance(adders: list[Adder | None]) -> list[Way | None]:
    """A way for each place of a chain; None where there is no adder."""
    found: list[Way | None] = []
    for at in range(0, len(adders), TILE):
        tiles = [_Tile(adders[at : at + TILE]) for _ in range(2)]
        for tile in tiles:
            tile.improve()
        # Signals that all places share are soon on one pin for good; here, on two of them.
        tiles[1].mirror_every_other()
        for tile in tiles:
            for _ in range(ROUNDS):
                tile.improve()
        found += min(tiles, key=lambda tile: tile.unevenness).chosen
    return found


class _Tile:
    """The places of a tile; ``wires`` says which signals come in on each pin, and how often."""

    def __init__(self, adders: list[Adder | None]) -> None:
        self._adders = {n: adder for n, adder in enumerate(adders) if adder}
        self.chosen: list[Way | None] = [None] * len(adders)
        self._wires: list[Counter[Bit]] = [Counter() for _ in PINS]

    @property
    def unevenness(self) -> int:
        return sum(len(wires) ** 2 for wires in self._wires)

    def improve(self) -> None:
        """Choose for each place what adds least to the unevenness."""
        for n, adder in self._adders.items():
            self._choose(n, None)
            self._choose(n, min(ways(*adder.function), key=lambda way: self._cost(n, way)))

    def mirror_every_other(self) -> None:
        """Let A and B, and C and D, change places where that can be."""
        for n, adder in self._adders.items():
            chosen = self.chosen[n]
            if n % 2 and chosen:
                order = tuple(pin ^ 1 for pin in chosen[0])
                mirrored = (way for way in ways(*adder.function) if way[0] == order)
                self._choose(n, next(mirrored, chosen))

    def _cost(self, n: int, way: Way) -> int:
        new = (pin for bit, pin in self._pins(n, way) if bit not in self._wires[pin])
        return sum(2 * len(self._wires[pin]) + 1 for pin in new)

    def _choose(self, n: int, way: Way | None) -> None:
        for bit, pin in self._pins(n, self.chosen[n]):
            self._wires[pin][bit] -= 1
            if not self._wires[pin][bit]:
                del self._wires[pin][bit]
        self.chosen[n] = way
        for bit, pin in self._pins(n, way):
            self._wires[pin][bit] += 1

    def _pins(self, n: int, way: Way | None) -> Iterator[tuple[Bit, int]]:
        return zip(self._adders[n].signals, way[0], strict=True) if way else iter(())


def _values(count: int) -> Iterator[tuple[int, ...]]:
    """Values of so many signals, the first of which changes fastest."""
    return (tuple(reversed(values)) for values in product((0, 1), repeat=count))
