"""Rows of both copies: ``spread + read_latency`` after their address, once they are written."""

from __future__ import annotations

from collections import deque
from typing import Any

from tests.hdl.toolkit import Bench, Ints, Port, random_signed, test
from zipsgd.hdl.contract.protocol import row_layout

CYCLES = 600
UNWRITTEN = 60
"""More of them than pass until every row has been written."""


class ModelBench(Bench):
    """Reads and writes anything in every cycle; few addresses, so that they often meet."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        address, row = range(config.max_chunks), row_layout(config)
        self.row, self.chunk = self.port("row", row), self.port("chunk", address)
        self.copies = {}
        self.asked: deque[dict[Port, int]] = deque()
        for name in ("x", "acc"):
            places = self.port(f"{name}_chunk", address), self.port(f"write_{name}")
            contents: dict[int, Ints] = {}  # of rows that have been written
            self.copies[name] = (*places, self.port(name, row), self.scoreboard(name), contents)

    @property
    def inputs(self) -> list[Port]:
        ports = [self.row, self.chunk]
        for read, write, *_ in self.copies.values():
            ports += [read, write]
        return ports

    def watch(self) -> None:
        self.asked.append({port: port.get() for port in self.inputs if port is not self.row})
        if len(self.asked) <= self.config.fanout_stages:
            return
        row, asked = self.row.array(), self.asked.popleft()
        for read, write, out, board, contents in self.copies.values():
            if asked[read] in contents:
                board.expect(contents[asked[read]], self.cycle + self.config.read_latency)
            if asked[write]:
                contents[asked[self.chunk]] = row
            if board.due:
                board.observe(out.get())

    def drive(self) -> None:
        rng, config = self.rng, self.config
        most = min(config.max_chunks, 4)
        self.row.set(random_signed(rng, config.model_bits, config.lanes))
        self.chunk.set(rng.integers(most))
        for read, write, *_ in self.copies.values():
            read.set(rng.integers(most))
            write.set(self.chance(0.5))


@test
async def every_cycle(dut: Any) -> None:
    bench = ModelBench(dut)
    await bench.reset(*bench.inputs)
    bench.monitor(bench.watch)
    for _ in range(CYCLES):
        bench.drive()
        await bench.tick()
    for _, _, _, board, _ in bench.copies.values():
        assert board.compared >= CYCLES - UNWRITTEN
