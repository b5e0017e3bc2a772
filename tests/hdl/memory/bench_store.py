"""Words from the link are where they should be; writing and reading do not disturb each other."""

from __future__ import annotations

from typing import Any

import cocotb

from tests.hdl.memory.ports import Request, Responder
from tests.hdl.toolkit import Bench, Stream, random_bits, test
from zipsgd.hdl.memory.plan import SamplePlan, plan_layout

ROUNDS = 8
CYCLES_A_WORD = 3
"""Of the writer, as its docstring promises."""


class StoreBench(Bench):
    """Half of the memory holds samples; the other half is written meanwhile."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.width, self.word_bits = self.parameters["width"], self.parameters["word_bits"]
        self.address_bits, longest = self.parameters["address_bits"], self.parameters["longest"]
        self.half = 1 << self.address_bits - 1
        self.plan_layout = plan_layout(self.address_bits)
        self.board = self.scoreboard("beat")
        self.words = Stream(self, "words", self.word_bits)
        self.job = Stream(self, "job", self.plan_layout, self.expect, keeps=True)
        self.beats = Stream(self, "beats", self.width, self.board.observe)
        self.memory = Responder(
            self, "port", self.width, self.address_bits, longest, self.hear_request
        )
        self.memory.contents = {at: random_bits(self.rng, self.width) for at in range(self.half)}
        self.address = self.port("address", self.address_bits)
        self.seek, self.stop = self.port("seek"), self.port("stop")
        self.writing = self.port("writing")
        self.parts = self.width // self.word_bits
        self.writes_in: list[int] = []

    @property
    def inputs(self) -> tuple[Any, ...]:
        streams = (self.words, self.job)
        ports = [port for stream in streams for port in (stream.payload, stream.valid)]
        return (*ports, self.beats.ready, self.address, self.seek, self.stop, *self.memory.inputs)

    def hear_request(self, request: Request) -> None:
        if request["write"]:
            self.writes_in.append(self.cycle)

    def expect(self, plan: Request) -> None:
        for _ in range(plan["epochs"]):
            for at in range(plan["base"], plan["base"] + plan["beats"]):
                self.board.expect(self.memory.contents[at])

    async def write(self, address: int, count: int, gap: float) -> list[int]:
        """Write words, after some parts of one that is never finished; returns them."""
        mask = (1 << self.word_bits) - 1
        await self.words.send([random_bits(self.rng, self.word_bits)] * (self.parts - 1), gap)
        self.address.set(address)
        self.seek.set(1)
        await self.tick()
        self.seek.set(0)
        self.address.scramble(self.rng)
        words = [random_bits(self.rng, self.width) for _ in range(count)]
        items = [
            word >> part * self.word_bits & mask for word in words for part in range(self.parts)
        ]
        await self.words.send(items, gap)
        await self.until(lambda: not self.writing.get(), "written")
        return words

    def found(self, address: int, count: int) -> list[int]:
        return [self.memory.contents[at] for at in range(address, address + count)]


async def start(dut: Any, wait: int, gap: float) -> StoreBench:
    bench = StoreBench(dut)
    await bench.reset(*bench.inputs)
    cocotb.start_soon(bench.memory.serve(wait, gap))
    cocotb.start_soon(bench.beats.drain(gap))
    return bench


@test
async def writes_beside_reads(dut: Any) -> None:
    bench = await start(dut, wait=8, gap=0.3)
    for _ in range(ROUNDS):
        plan = SamplePlan(beats=bench.half, epochs=2)
        await bench.job.send([plan.pack(bench.address_bits)], 0.0)
        count = int(bench.rng.integers(1, bench.half // 2))
        address = bench.half + int(bench.rng.integers(bench.half - count))
        written = await bench.write(address, count, 0.2)
        assert bench.found(address, count) == written
    await bench.until(bench.job.ready.get, "idle")
    await bench.finish()


@test
async def what_was_written_is_read(dut: Any) -> None:
    bench = await start(dut, wait=8, gap=0.3)
    for _ in range(ROUNDS):
        await bench.write(0, bench.half, 0.0)
        plan = SamplePlan(beats=bench.half)
        await bench.job.send([plan.pack(bench.address_bits)], 0.0)
        await bench.until(bench.job.ready.get, "idle")
    await bench.finish()


@test
async def full_rate(dut: Any) -> None:
    """A word in as many cycles as the link takes for it, or in 3."""
    bench = await start(dut, wait=0, gap=0.0)
    await bench.write(0, bench.half, 0.0)
    # The memory of this bench takes a write a cycle after its request.
    spacing = max(bench.parts, CYCLES_A_WORD + 1)
    pairs = zip(bench.writes_in, bench.writes_in[1:], strict=False)
    assert {later - earlier for earlier, later in pairs} == {spacing}
    bench.board.expect(0)
    bench.board.observe(0)
    await bench.finish()
