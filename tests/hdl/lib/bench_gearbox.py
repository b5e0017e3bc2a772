"""Words of one width as words of another: joined, divided, cut and dropped."""

from __future__ import annotations

from collections import deque
from typing import Any

import cocotb

from tests.hdl.toolkit import Bench, Stream, random_bits, test

WORDS = 300


class GearboxBench(Bench):
    """Knows what is inside as a list of the narrower words."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.width_in, self.width_out = self.parameters["width_in"], self.parameters["width_out"]
        self.cut, self.clear = self.port("cut"), self.port("clear")
        self.board = self.scoreboard("word")
        self.i = Stream(self, "i", self.width_in, self.take)
        self.o = Stream(self, "o", self.width_out, self.give)
        self.joins = self.width_in < self.width_out
        self.parts: deque[int] = deque()
        self.moved: list[int] = []

    def take(self, word: int) -> None:
        if self.joins:
            self.parts.append(word)
            if len(self.parts) * self.width_in == self.width_out:
                whole = sum(part << n * self.width_in for n, part in enumerate(self.parts))
                self.board.expect(whole)
                self.parts.clear()
        else:
            mask = (1 << self.width_out) - 1
            for place in range(0, self.width_in, self.width_out):
                self.parts.append(word >> place & mask)

    def give(self, word: int) -> None:
        self.moved.append(self.cycle)
        if not self.joins:
            self.board.expect(self.parts.popleft())
            if self.cut.get():
                while len(self.parts) % (self.width_in // self.width_out):
                    self.parts.popleft()
        self.board.observe(word)

    async def cut_sometimes(self, probability: float) -> None:
        while True:
            self.cut.set(self.chance(probability))
            await self.tick()


async def start(dut: Any) -> GearboxBench:
    bench = GearboxBench(dut)
    inputs = (bench.i.valid, bench.i.payload, bench.o.ready, bench.cut, bench.clear)
    await bench.reset(*inputs)
    return bench


def words(bench: GearboxBench, count: int) -> list[int]:
    return [random_bits(bench.rng, bench.width_in) for _ in range(count)]


@test
async def random_gaps(dut: Any) -> None:
    bench = await start(dut)
    cocotb.start_soon(bench.o.drain(0.4))
    # Where nothing is cut off, cut means nothing.
    cocotb.start_soon(bench.cut_sometimes(0.3))
    await bench.i.send(words(bench, WORDS), 0.4)
    await bench.finish()


@test
async def no_gaps(dut: Any) -> None:
    """The narrower side moves a word a cycle."""
    bench = await start(dut)
    cocotb.start_soon(bench.o.drain(0.0))
    await bench.i.send(words(bench, WORDS), 0.0)
    await bench.finish()
    spacing = max(1, bench.width_out // bench.width_in)
    steps = {later - earlier for earlier, later in zip(bench.moved, bench.moved[1:], strict=False)}
    assert steps == {spacing}


@test
async def clear_drops_what_is_inside(dut: Any) -> None:
    bench = await start(dut)
    bench.o.ready.set(0)
    await bench.i.send(words(bench, 1), 0.0)
    bench.clear.set(1)
    await bench.tick()
    bench.clear.set(0)
    bench.parts.clear()
    bench.o.drop()
    cocotb.start_soon(bench.o.drain(0.0))
    await bench.i.send(words(bench, WORDS // 10 * 8), 0.0)
    await bench.finish()
