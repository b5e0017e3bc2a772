"""Words in and out in the order of their features, at the promised rates."""

from __future__ import annotations

from collections import deque
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import signed
from cocotb.triggers import FallingEdge

from tests.hdl.toolkit import PATIENCE_CYCLES, Bench, Stream, random_signed, test
from zipsgd.hdl.contract.job import Mode
from zipsgd.hdl.contract.protocol import job_layout, pack_transfer, row_layout

TRANSFERS = 6

QUIET_CYCLES = 8
"""In which a transfer that went on would write, end or send."""


class TransferBench(Bench):
    """Stands in for the model: stores the rows that are written and shows those that are read."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        word, row = signed(config.model_bits), row_layout(config)
        self.job = self.port("job", job_layout(config))
        self.start, self.done = self.port("start"), self.port("done")
        self.cancel, self.active = self.port("cancel"), self.port("active")
        self.chunk = self.port("chunk", range(config.max_chunks))
        self.x, self.row = self.port("x", row), self.port("row", row)
        self.write = self.port("write")
        self.latency = 2 + config.fanout_stages
        self.written: deque[int | None] = deque(
            [None] * (1 + config.fanout_stages)
        )  # where, if anywhere
        self.writes = self.scoreboard("written row")
        self.coming: list[int] = []
        self.words = self.scoreboard("sent word")
        self.ends = self.scoreboard("end")
        self.i = Stream(self, "i", word, self.watch_taken)
        self.o = Stream(self, "o", word, self.words.observe)
        self.contents = np.zeros((config.max_chunks, config.lanes), dtype=np.int64)
        self.reads: deque[int] = deque([0] * (config.read_latency + config.fanout_stages + 1))
        self.count = 0  # rows of the present transfer that have come
        self.busy = 0  # its cycles

    def watch_taken(self, word: int) -> None:
        """A row is written ``latency`` after its last word was taken, into the next place."""
        self.coming.append(word)
        if len(self.coming) == self.config.lanes:
            self.writes.expect([self.count, self.coming], self.cycle + self.latency)
            self.count, self.coming = self.count + 1, []
            if self.count == self.job.get()["chunks"]:
                after = 0 if self.parameters["lends"] else 1
                self.ends.expect(True, self.cycle + self.latency + after)

    def watch_rows(self) -> None:
        if (chunk := self.written.popleft()) is not None:
            self.writes.observe([chunk, self.row.get()])
            self.contents[chunk] = self.row.get()
        self.written.append(self.chunk.get() if self.write.get() else None)
        self.reads.append(self.chunk.get())
        self.busy += self.active.get()
        if self.done.get():
            self.ends.observe(True)

    async def run_model(self, gap: float) -> None:
        """Reset, and do from now on what the model and the taker of words do."""
        inputs = (self.i.valid, self.i.payload, self.o.ready)
        await self.reset(self.job, self.start, self.x, self.cancel, *inputs)
        self.monitor(self.watch_rows)
        cocotb.start_soon(self.o.drain(gap))
        cocotb.start_soon(self.show_rows())

    async def show_rows(self) -> None:
        """Rows as a memory would show them."""
        while True:
            self.x.set(
                self.contents[self.reads[-self.config.read_latency - self.config.fanout_stages - 1]]
            )
            await self.tick()

    async def begin(self, mode: Mode, chunks: int) -> None:
        self.job.set(pack_transfer(self.config, mode, chunks))
        self.start.set(1)
        self.count = self.busy = 0
        await self.tick()
        self.start.set(0)

    async def move(self, mode: Mode, chunks: int, gap: float) -> int:
        """One transfer; returns the cycles in which it was active."""
        count = chunks * self.config.lanes
        await self.begin(mode, chunks)
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
        await self.tick(2 + self.latency)
        assert not self.active.get(), "still active after the last word"
        return self.busy

    async def move_until(self, mode: Mode, cycles: int) -> None:
        """A transfer that is cancelled after so many cycles: from then on it is as if there had
        never been one."""
        config = self.config
        await self.begin(mode, config.max_chunks)
        count = config.max_features if mode == Mode.LOAD else 0
        words = random_signed(self.rng, config.model_bits, count)
        sending = cocotb.start_soon(self.i.send(words, 0.0))
        await self.tick(cycles)
        self.cancel.set(1)
        await self.tick()
        self.cancel.set(0)
        sending.cancel()
        self.i.rest()
        self.i.drop()
        self.o.drop()
        for _ in range(QUIET_CYCLES):
            await FallingEdge(self.clock)
            assert not (self.write.get() or self.active.get() or self.done.get()), "not cancelled"
            assert not (self.i.ready.get() or self.o.valid.get()), "words move after a cancel"
            await self.tick()
        for board in (self.writes, self.words, self.ends):
            board.drop()
        self.coming = []


async def run(dut: Any, gap: float) -> None:
    bench = TransferBench(dut)
    await bench.run_model(gap)
    lanes = bench.config.lanes
    for _ in range(TRANSFERS):
        loaded, dumped = map(int, bench.rng.integers(1, bench.config.max_chunks + 1, 2))
        loading = await bench.move(Mode.LOAD, loaded, gap)
        dumping = await bench.move(Mode.DUMP, dumped, gap)
        if not gap:
            lends, latency = bench.parameters["lends"], bench.config.read_latency
            moves = bench.latency
            assert loading == (loaded * (lanes + 2) if lends else loaded * lanes + moves + 1)
            a_row = latency + 1 + (lanes if lends else moves * lanes)
            assert dumping == dumped * a_row + (not lends)
    await bench.finish()


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.4)


@test
async def no_gaps(dut: Any) -> None:
    """As many cycles as `Transfer` promises, or `LeanTransfer`."""
    await run(dut, gap=0.0)


@test
async def cancelled_anywhere(dut: Any) -> None:
    """In whichever cycle a transfer is cancelled, it ends there, and the next ones are whole."""
    bench = TransferBench(dut)
    await bench.run_model(gap=0.0)
    for cycles in range(2 * bench.config.lanes + 5):
        for mode in (Mode.LOAD, Mode.DUMP):
            await bench.move_until(mode, cycles)
            await bench.move(Mode.LOAD, 2, gap=0.0)
            await bench.move(Mode.DUMP, 2, gap=0.0)
    await bench.finish()
