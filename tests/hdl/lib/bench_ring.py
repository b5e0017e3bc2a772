"""Items come out in the order in which they went in, ``read_latency`` after the reader moves."""

from __future__ import annotations

from collections import deque
from typing import Any

from tests.hdl.toolkit import Bench, test

CYCLES = 800


class RingBench(Bench):
    """Writes while there is room and reads while there is something, as the slot rule does."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        width = self.parameters["width"]
        self.i, self.item = self.port("i", width), self.port("item", width)
        self.write, self.advance = self.port("write"), self.port("advance")
        self.board = self.scoreboard("item")
        self.stored: deque[int] = deque()
        self.inside = 0  # as the driver knows it

    def watch(self) -> None:
        """Whatever the reader's place holds now is shown ``read_latency`` cycles later."""
        if self.stored:
            self.board.expect(self.stored[0], self.cycle + self.config.read_latency)
        if self.advance.get():
            self.stored.popleft()
        if self.write.get():
            self.stored.append(self.i.get())
        if self.board.due:
            self.board.observe(self.item.get())

    def drive(self, writes: float, reads: float) -> None:
        advance = self.inside > 0 and self.chance(reads)
        # Not into the place that is being read.
        write = self.inside < self.parameters["depth"] and self.chance(writes)
        self.inside += write - advance
        self.advance.set(advance)
        self.write.set(write)
        self.i.scramble(self.rng)


async def run(dut: Any, rates: list[tuple[float, float]]) -> None:
    bench = RingBench(dut)
    await bench.reset(bench.i, bench.write, bench.advance, bench.port("clear"))
    bench.monitor(bench.watch)
    for writes, reads in rates:
        for _ in range(CYCLES // len(rates)):
            bench.drive(writes, reads)
            await bench.tick()
    while bench.inside:
        bench.drive(0.0, 1.0)
        await bench.tick()
    bench.advance.set(0)
    await bench.finish()
    assert not bench.stored


@test
async def random_gaps(dut: Any) -> None:
    """Mostly full, mostly empty, and in between."""
    await run(dut, [(0.9, 0.5), (0.5, 0.9), (0.6, 0.6)])


@test
async def no_gaps(dut: Any) -> None:
    """One write and one read a cycle."""
    await run(dut, [(1.0, 1.0)])
