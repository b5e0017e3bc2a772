"""A memory that takes a word a cycle, against a dictionary."""

from __future__ import annotations

from typing import Any

import cocotb

from tests.hdl.memory.ports import Initiator
from tests.hdl.toolkit import Bench, test

REQUESTS = 120
STRETCH = 128


class BlockBench(Bench):
    """Fills a stretch of the memory, then reads and writes there at random."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.depth, self.longest = self.parameters["depth"], self.parameters["longest"]
        self.address_bits = (self.depth - 1).bit_length()
        width = self.parameters["width"]
        self.memory = Initiator(self, "port", width, self.address_bits, self.longest)
        self.first = self.parameters.get("first", 0)
        self.end = min(self.first + STRETCH, self.depth)

    async def fill(self, gap: float) -> None:
        words = self.memory.random_words(self.end - self.first)
        cocotb.start_soon(self.memory.writes.send(words, gap))
        requests = [
            {"address": start, "length": min(self.longest, self.end - start), "write": 1}
            for start in range(self.first, self.end, self.longest)
        ]
        await self.memory.requests.send(requests, gap)
        await self.memory.wait()

    def any_request(self, write: int) -> dict[str, int]:
        length = int(self.rng.integers(1, self.longest + 1))
        address = int(self.rng.integers(self.first, self.end - length + 1))
        return {"address": address, "length": length, "write": write}


@test
async def random_requests(dut: Any) -> None:
    """Reads and writes in any order; words of writes rest now and then."""
    bench = BlockBench(dut)
    memory = bench.memory
    await bench.reset(*memory.inputs)
    await bench.fill(gap=0.3)
    requests = [bench.any_request(int(bench.rng.integers(2))) for _ in range(REQUESTS)]
    words = sum(request["length"] for request in requests if request["write"])
    cocotb.start_soon(memory.writes.send(memory.random_words(words), 0.3))
    await memory.requests.send(requests, 0.3)
    await memory.wait()
    await bench.finish()


@test
async def full_rate(dut: Any) -> None:
    """A word a cycle, without a gap from one request to the next."""
    bench = BlockBench(dut)
    memory = bench.memory
    await bench.reset(*memory.inputs)
    await bench.fill(gap=0.0)
    assert memory.asked_in[-1] - memory.asked_in[0] < bench.end - bench.first
    asked = len(memory.asked_in)
    requests = [bench.any_request(write=0) for _ in range(REQUESTS)]
    await memory.requests.send(requests, 0.0)
    await memory.wait()
    first = memory.asked_in[asked] + bench.parameters["latency"]
    words = sum(request["length"] for request in requests)
    assert memory.read_in == list(range(first, first + words))
    await bench.finish()
