"""What every testbench shares: clock, ports, drivers, monitors and scoreboards.

Inputs are driven after the rising edge and everything is sampled at the falling edge, where all
is settled: there, inputs are those that the coming rising edge takes, and registers show what the
last one left. A monitor is a function that is called once a cycle, at that moment.

The golden model is fed by monitors with what they sample on the design's inputs, never by the
stimulus; a `Scoreboard` then wants equal results in the promised cycles.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import Const, Shape
from amaranth.lib import data
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge
from numpy.typing import NDArray

from tests.geometries import GEOMETRIES
from zipsgd.hdl.contract.config import EngineConfig

Ints = NDArray[np.int64]

CLOCK_NS = 2
RESET_CYCLES = 2
DRAIN_CYCLES = 64
"""Longer than any pipeline: after it, whatever was due has come."""

PATIENCE_CYCLES = 20_000
"""No handshake takes longer: a driver that waits gives up."""

LIMIT_CYCLES = 200_000
"""Limit of a whole test."""

test = cocotb.test(timeout_time=LIMIT_CYCLES * CLOCK_NS, timeout_unit="ns")
"""Decorator of every test."""


class Scoreboard:
    """Expected and observed results of one kind, in order.

    They must agree in every bit, and in the cycle where one is promised.
    """

    def __init__(self, bench: Bench, name: str) -> None:
        self._bench, self._name = bench, name
        self._expected: deque[tuple[Any, int | None]] = deque()
        self._observed: deque[tuple[Any, int]] = deque()
        self.compared = 0

    def expect(self, value: Any, cycle: int | None = None) -> None:
        """The golden model says ``value``, in ``cycle`` if one is promised."""
        self._expected.append((plain(value), cycle))
        self._compare()

    def observe(self, value: Any) -> None:
        """The design shows ``value`` in this cycle."""
        self._observed.append((plain(value), self._bench.cycle))
        self._compare()

    @property
    def missing(self) -> int:
        """Results that were expected and have not been observed."""
        return len(self._expected)

    @property
    def due(self) -> bool:
        """Whether the next result is promised for this cycle."""
        return bool(self._expected) and self._expected[0][1] == self._bench.cycle

    def drop(self) -> None:
        """What was expected will not come, and what has come is no result: the design was told to
        forget it."""
        self._expected.clear()
        self._observed.clear()

    def _compare(self) -> None:
        while self._expected and self._observed:
            (expected, cycle), (observed, seen) = self._expected.popleft(), self._observed.popleft()
            place = f"{self._name} {self.compared} in cycle {seen}"
            assert observed == expected, (
                f"{place} differs from the golden model: {observed} instead of {expected}"
            )
            assert cycle in (None, seen), (
                f"{place} differs from the golden model: it was promised for cycle {cycle}"
            )
            self.compared += 1

    def finish(self) -> None:
        """Nothing is left over on either side, and something was compared."""
        assert not self._expected, (
            f"{self._name}: {len(self._expected)} more in the golden model than were observed, "
            f"the next is {self._expected[0]} after {self.compared}"
        )
        assert not self._observed, (
            f"{self._name}: {len(self._observed)} more observed than in the golden model, "
            f"the next is {self._observed[0]} after {self.compared}"
        )
        assert self.compared, f"{self._name}: nothing was compared"


class Port:
    """A port with its shape: integers, lists or dictionaries of them, packed by the layout."""

    def __init__(self, handle: Any, shape: Any) -> None:
        self._handle, self._shape = handle, shape
        if isinstance(shape, type) and issubclass(shape, data.Struct):
            shape = data.Layout.cast(shape)
        self._layout = shape if isinstance(shape, data.Layout) else None
        self._width = Shape.cast(shape).width

    def set(self, value: Any) -> None:
        """Drive ``value``; for a port with a layout also an integer that is packed already."""
        value = plain(value)
        if not isinstance(value, int):
            assert self._layout is not None, "a port without a layout takes integers"
            value = self._layout.const(value).as_bits()
        self._handle.value = value & (1 << self._width) - 1

    def get(self) -> Any:
        """The present value; fails if a bit of it is unknown."""
        try:
            bits = int(self._handle.value)
        except ValueError as fault:  # on Icarus; a fault that is found is an assertion's
            raise AssertionError(f"a port has unknown bits: {self._handle.value}") from fault
        if self._layout is not None:
            return plain(self._layout.from_bits(bits))
        return Const(bits, self._shape).value

    def array(self) -> Ints:
        """The present value of an array of numbers."""
        return np.array(self.get(), dtype=np.int64)

    def scramble(self, rng: np.random.Generator) -> None:
        """Any bits: what stands here must not matter."""
        self._handle.value = random_bits(rng, self._width)


class Bench:
    """A design under test: its configuration, clock, random numbers, monitors and scoreboards.

    Members
    -------
    config : EngineConfig
    clock : handle
    parameters : dict
        What the runner was given for this testbench besides.
    rng : numpy.random.Generator
        Seeded by the run's seed and the test's name.
    cycle : int
        Falling edges so far.
    """

    def __init__(self, dut: Any, clock: str = "clk") -> None:
        self.dut = dut
        self.clock = getattr(dut, clock)
        self.config: EngineConfig = GEOMETRIES[os.environ["ZIPSGD_TEST_GEOMETRY"]]
        self.parameters: dict[str, int] = json.loads(os.environ["ZIPSGD_TEST_PARAMETERS"])
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        self.cycle = 0
        self._monitors: list[Callable[[], None]] = []
        self._scoreboards: list[Scoreboard] = []

    def port(self, name: str, shape: Any = 1) -> Port:
        return Port(getattr(self.dut, name), shape)

    def scoreboard(self, name: str) -> Scoreboard:
        self._scoreboards.append(Scoreboard(self, name))
        return self._scoreboards[-1]

    def monitor(self, function: Callable[[], None]) -> None:
        """Call ``function`` in every cycle from now on."""
        self._monitors.append(function)

    async def reset(self, *inputs: Port) -> None:
        """Start the clock and reset; ``inputs`` are zero meanwhile."""
        for port in inputs:
            port.set(0)
        await self.run_clock(self.dut.rst, active=1)

    async def run_clock(self, reset: Any | None, active: int = 1) -> None:
        """Start the clock, hold ``reset`` for a while if there is one, then start the monitors."""
        if reset is not None:
            reset.value = active
        Clock(self.clock, CLOCK_NS, "ns").start()
        for _ in range(RESET_CYCLES):
            await RisingEdge(self.clock)
        if reset is not None:
            reset.value = 1 - active
        cocotb.start_soon(self._sample())

    async def _sample(self) -> None:
        while True:
            await FallingEdge(self.clock)
            self.cycle += 1
            for function in self._monitors:
                function()

    async def tick(self, cycles: int = 1) -> None:
        """To the next moment at which inputs are driven."""
        for _ in range(cycles):
            await RisingEdge(self.clock)

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """To the moment after the first cycle in which ``condition`` holds, all being settled."""
        for _ in range(PATIENCE_CYCLES):
            await FallingEdge(self.clock)
            holds = condition()
            await self.tick()
            if holds:
                return
        raise AssertionError(f"not {what} after {PATIENCE_CYCLES} cycles")

    async def finish(self) -> None:
        """Let every pipeline run empty, then let every scoreboard check that nothing is left."""
        await self.tick(DRAIN_CYCLES)
        for scoreboard in self._scoreboards:
            scoreboard.finish()

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)


class Stream:
    """Drives or drains one stream of the design, and calls ``monitor`` with each item that moves.

    The payload is scrambled while it is not valid, but for one that ``keeps`` until the next is
    sent. What the design sends must stay until taken.
    """

    def __init__(
        self,
        bench: Bench,
        name: str,
        shape: Any,
        on_item: Callable[[Any], None] | None = None,
        *,
        keeps: bool = False,
    ) -> None:
        self._bench, self._on_item, self._keeps = bench, on_item, keeps
        self.payload = bench.port(f"{name}__payload", shape)
        self.valid, self.ready = bench.port(f"{name}__valid"), bench.port(f"{name}__ready")
        self._name = name
        self._waiting: Any = None
        bench.monitor(self._sample)

    def _sample(self) -> None:
        if not self.valid.get():
            assert self._waiting is None, f"{self._name}: valid fell before the item was taken"
            return
        item = self.payload.get()
        assert self._waiting in (None, item), f"{self._name}: an item changed before it was taken"
        taken = self.ready.get()
        self._waiting = None if taken else item
        if taken and self._on_item is not None:
            self._on_item(item)

    def drop(self) -> None:
        """Whatever was offered may be withdrawn."""
        self._waiting = None

    async def send(self, items: Iterable[Any], gap: float) -> None:
        """Send ``items``; the stream rests in a cycle with probability ``gap``."""
        bench = self._bench
        for item in items:
            while bench.chance(gap):
                self.rest()
                await bench.tick()
            self.payload.set(item)
            self.valid.set(1)
            for _ in range(PATIENCE_CYCLES):
                await FallingEdge(bench.clock)
                taken = self.ready.get()
                await RisingEdge(bench.clock)
                if taken:
                    break
            else:
                raise AssertionError(
                    f"{self._name}: the design was not ready in {PATIENCE_CYCLES} cycles"
                )
        self.rest()

    def rest(self) -> None:
        self.valid.set(0)
        if not self._keeps:
            self.payload.scramble(self._bench.rng)

    async def drain(self, gap: float) -> None:
        """Take items for ever, not in a cycle with probability ``gap``."""
        while True:
            self.ready.set(not self._bench.chance(gap))
            await self._bench.tick()


def plain(value: Any) -> Any:
    """Arrays and constants of layouts as lists, dictionaries and integers."""
    if isinstance(value, data.Const):
        layout = value.shape()
        if isinstance(layout, data.ArrayLayout):
            return [plain(value[index]) for index in range(layout.length)]
        return {name: plain(value[name]) for name, _ in layout}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def random_bits(rng: np.random.Generator, width: int) -> int:
    return int.from_bytes(rng.bytes((width + 7) // 8), "little") & (1 << width) - 1


def random_signed(rng: np.random.Generator, bits: int, shape: Any) -> Ints:
    """Signed ``bits``-bit numbers: uniform, small, or only the extremes, by chance."""
    limit = 1 << (bits - 1)
    kind = rng.integers(4)
    if kind == 0:
        return rng.choice(np.array([-limit, limit - 1]), shape)
    if kind == 1:
        return rng.choice(np.array([-limit, -limit + 1, -1, 0, 1, limit - 1]), shape)
    if kind == 2:
        limit = 1 << int(rng.integers(bits))
    return rng.integers(-limit, limit, shape)


def pack_plane(plane: Ints) -> int:
    """Bits (banks, lanes) as a beat: bit k * lanes + i is feature i of sample k."""
    packed = np.packbits(plane.astype(np.uint8).ravel(), bitorder="little")
    return int.from_bytes(packed.tobytes(), "little")


def unpack_plane(config: EngineConfig, beat: int) -> Ints:
    """The inverse of `pack_plane`: (banks, lanes)."""
    packed = np.frombuffer(beat.to_bytes(config.beat_bytes, "little"), dtype=np.uint8)
    bits = np.unpackbits(packed, bitorder="little").astype(np.int64)
    return bits.reshape(config.banks, config.lanes)
