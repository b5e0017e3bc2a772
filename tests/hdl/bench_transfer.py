"""Words in and out in the order of their features, at the promised rates."""

from __future__ import annotations

from collections import deque
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import signed

from hdl.job import Mode
from hdl.protocol import job_layout, pack_transfer, row_layout
from tests.hdl.toolkit import PATIENCE_CYCLES, Bench, Stream, random_signed, test

TRANSFERS = 6


class TransferBench(Bench):
    """Stands in for the model: stores the rows that are written and shows those that are read."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        word, row = signed(config.model_bits), row_layout(config)
        self.job = self.port("job", job_layout(config))
        self.start, self.done = self.port("start"), self.port("done")
        self.active = self.port("active")
        self.chunk = self.port("chunk", range(config.max_chunks))
        self.x, self.row = self.port("x", row), self.port("row", row)
        self.write = self.port("write")
        self.written = False  # said in the cycle before
        self.writes = self.scoreboard("written row")
        self.coming: list[int] = []
        self.words = self.scoreboard("sent word")
        self.ends = self.scoreboard("end")
        self.i = Stream(self, "i", word, self.watch_taken)
        self.o = Stream(self, "o", word, self.words.observe)
        self.contents = np.zeros((config.max_chunks, config.lanes), dtype=np.int64)
        self.reads: deque[int] = deque([0] * (self.config.read_latency + 1))
        self.count = 0  # rows of the present transfer that have come
        self.busy = 0  # its cycles

    def watch_taken(self, word: int) -> None:
        """A row is written two cycles after its last word was taken, into the next place."""
        self.coming.append(word)
        if len(self.coming) == self.config.lanes:
            self.writes.expect([self.count, self.coming], self.cycle + 2)
            self.count, self.coming = self.count + 1, []
            if self.count == self.job.get()["chunks"]:
                self.ends.expect(True, self.cycle + 2)

    def watch_rows(self) -> None:
        if self.written:
            self.writes.observe([self.chunk.get(), self.row.get()])
            self.contents[self.chunk.get()] = self.row.get()
        self.written = bool(self.write.get())
        self.reads.append(self.chunk.get())
        self.busy += self.active.get()
        if self.done.get():
            self.ends.observe(True)

    async def show_rows(self) -> None:
        """Rows as a memory would show them."""
        while True:
            self.x.set(self.contents[self.reads[-self.config.read_latency - 1]])
            await self.tick()

    async def move(self, mode: Mode, chunks: int, gap: float) -> int:
        """One transfer; returns the cycles in which it was active."""
        count = chunks * self.config.lanes
        self.job.set(pack_transfer(self.config, mode, chunks))
        self.start.set(1)
        self.count = self.busy = 0
        await self.tick()
        self.start.set(0)
        if mode == Mode.LOAD:
            await self.i.send(random_signed(self.rng, self.config.model_bits, count), gap)
        else:
            for word in self.contents.ravel()[:count]:
                self.words.expect(word)
            self.ends.expect(True)
            done = self.ends.compared
            for _ in range(PATIENCE_CYCLES):
                if self.ends.compared > done:
                    break
                await self.tick()
        await self.tick(4)
        assert not self.active.get(), "still active after the last word"
        return self.busy


async def run(dut: Any, gap: float) -> None:
    bench = TransferBench(dut)
    inputs = (bench.i.valid, bench.i.payload, bench.o.ready)
    await bench.reset(bench.job, bench.start, bench.x, bench.port("cancel"), *inputs)
    bench.monitor(bench.watch_rows)
    cocotb.start_soon(bench.o.drain(gap))
    cocotb.start_soon(bench.show_rows())
    lanes = bench.config.lanes
    for _ in range(TRANSFERS):
        loaded, dumped = map(int, bench.rng.integers(1, bench.config.max_chunks + 1, 2))
        loading = await bench.move(Mode.LOAD, loaded, gap)
        dumping = await bench.move(Mode.DUMP, dumped, gap)
        if not gap:
            assert loading == loaded * lanes + 2
            assert dumping == dumped * (bench.config.read_latency + 1 + 2 * lanes)
    await bench.finish()


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.4)


@test
async def no_gaps(dut: Any) -> None:
    """A word a cycle in and two more, a row in ``read_latency + 1 + 2 * lanes`` out."""
    await run(dut, gap=0.0)
