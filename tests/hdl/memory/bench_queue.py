"""Words come out in order; the source counts them as the reader does."""

from __future__ import annotations

from typing import Any

import cocotb

from tests.hdl.toolkit import PATIENCE_CYCLES, Bench, Stream, random_bits, test

WORDS = 600


class QueueBench(Bench):
    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.width, self.depth = self.parameters["width"], self.parameters["depth"]
        self.word, self.valid = self.port("i__payload", self.width), self.port("i__valid")
        self.taken, self.clear = self.port("taken"), self.port("clear")
        self.board = self.scoreboard("word")
        self.o = Stream(self, "o", self.width, self.board.observe)
        self.inside = 0
        self.most = 0

    def watch(self) -> None:
        """What goes in must come out."""
        if self.valid.get():
            self.board.expect(self.word.get())
        self.inside += self.valid.get() - self.taken.get()
        self.most = max(self.most, self.inside)

    async def send(self, count: int, gap: float) -> None:
        sent = 0
        for _ in range(PATIENCE_CYCLES):
            sends = sent < count and self.inside < self.depth and not self.chance(gap)
            sent += sends
            self.valid.set(sends)
            self.word.set(random_bits(self.rng, self.width))
            await self.tick()
            if sent == count:
                break
        self.valid.set(0)


async def start(dut: Any) -> QueueBench:
    bench = QueueBench(dut)
    await bench.reset(bench.word, bench.valid, bench.clear, bench.o.ready)
    bench.monitor(bench.watch)
    return bench


@test
async def random_gaps(dut: Any) -> None:
    """Mostly empty, then mostly full."""
    bench = await start(dut)
    drain = cocotb.start_soon(bench.o.drain(0.3))
    await bench.send(WORDS, 0.5)
    drain.cancel()
    cocotb.start_soon(bench.o.drain(0.7))
    await bench.send(WORDS, 0.2)
    await bench.tick(8 * bench.depth)
    assert bench.most == bench.depth
    await bench.finish()


@test
async def no_gaps(dut: Any) -> None:
    """A word a cycle, each ``2 * read_latency`` cycles after it went in."""
    bench = await start(dut)
    seen: list[int] = []
    bench.monitor(lambda: seen.append(bench.cycle) if bench.o.valid.get() else None)
    cocotb.start_soon(bench.o.drain(0.0))
    await bench.tick()
    first = bench.cycle + 1 + 2 * bench.parameters["read_latency"]
    await bench.send(WORDS, 0.0)
    await bench.finish()
    assert seen == list(range(first, first + WORDS))


@test
async def clear_drops_what_is_inside(dut: Any) -> None:
    bench = await start(dut)
    for count in range(1, 14):
        bench.o.ready.set(0)
        await bench.send(min(count, bench.depth), 0.0)
        bench.clear.set(1)
        await bench.tick()
        bench.clear.set(0)
        bench.inside = 0
        bench.board.drop()
        bench.o.drop()
        await bench.tick(2)
        drain = cocotb.start_soon(bench.o.drain(0.0))
        await bench.send(20, 0.0)
        await bench.tick(20)
        drain.cancel()
    await bench.finish()
