"""Every beat of every copy in the order of its epochs, whatever the memory's waits."""

from __future__ import annotations

from typing import Any

import cocotb

from tests.hdl.memory.ports import Request, Responder
from tests.hdl.toolkit import Bench, Stream, random_bits, test
from zipsgd.hdl.memory.plan import SamplePlan, copy_words, plan_layout

JOBS = 8
FIRST_BEAT = 5
"""Cycles from a job to its first beat, but for the queue's: 3 to the request, 1 of the memory,
and 1."""


class ReaderBench(Bench):
    """A memory of random words; the reference is what the plan says of them."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.width, self.beat_bits = self.parameters["width"], self.parameters["beat_bits"]
        self.address_bits, longest = self.parameters["address_bits"], self.parameters["longest"]
        self.plan_layout = plan_layout(self.address_bits, self.width // self.beat_bits or 1)
        self.board = self.scoreboard("beat")
        self.job = Stream(self, "job", self.plan_layout, self.expect, keeps=True)
        self.beats = Stream(self, "beats", self.beat_bits, self.board.observe)
        self.memory = Responder(
            self, "port", self.width, self.address_bits, longest, self.hear_request
        )
        depth = 1 << self.address_bits
        self.memory.contents = {at: random_bits(self.rng, self.width) for at in range(depth)}
        self.stop = self.port("stop")
        self.requests = 0

    @property
    def inputs(self) -> tuple[Any, ...]:
        streams = (self.job.payload, self.job.valid, self.beats.ready)
        return (*streams, self.stop, *self.memory.inputs)

    def hear_request(self, request: Request) -> None:
        assert not request["write"]
        self.requests += 1

    def expect(self, plan: Request) -> None:
        for epoch in range(plan["epochs"] if plan["copies"] else 0):
            words = copy_words(plan["beats"], self.beat_bits, self.width)
            first = plan["base"] + epoch % plan["copies"] * words
            copy = sum(self.memory.contents[first + n] << n * self.width for n in range(words))
            for beat in range(plan["beats"]):
                self.board.expect(copy >> beat * self.beat_bits & (1 << self.beat_bits) - 1)

    def any_plan(self, most_beats: int = 60) -> SamplePlan:
        beats, copies = int(self.rng.integers(1, most_beats)), int(self.rng.integers(1, 4))
        depth = 1 << self.address_bits
        words = copies * copy_words(beats, self.beat_bits, self.width)
        if words > depth:
            return self.any_plan(most_beats // 2)
        base = int(self.rng.integers(depth - words + 1))
        plan = SamplePlan(
            base=base, beats=beats, copies=copies, epochs=int(self.rng.integers(1, 6))
        )
        plan.check(self.beat_bits, self.width, depth)
        return plan

    def pack(self, plan: SamplePlan) -> int:
        return plan.pack(self.address_bits, self.width // self.beat_bits or 1)

    async def run(self, plan: SamplePlan) -> None:
        await self.job.send([self.pack(plan)], 0.0)
        await self.until_idle()

    async def until_idle(self) -> None:
        await self.until(self.job.ready.get, "idle")


async def start(dut: Any, wait: int, gap: float) -> ReaderBench:
    bench = ReaderBench(dut)
    await bench.reset(*bench.inputs)
    cocotb.start_soon(bench.memory.serve(wait, gap))
    return bench


@test
async def random_waits(dut: Any) -> None:
    bench = await start(dut, wait=20, gap=0.3)
    cocotb.start_soon(bench.beats.drain(0.3))
    for _ in range(JOBS):
        await bench.run(bench.any_plan())
        assert not bench.board.missing, "idle before the last beat"
    await bench.finish()


@test
async def engine_never_waits(dut: Any) -> None:
    """Beats come without a gap over the ends of copies and epochs, or as fast as memory words."""
    bench = await start(dut, wait=0, gap=0.0)
    cocotb.start_soon(bench.beats.drain(0.0))
    seen: list[int] = []
    taken: list[int] = []
    bench.monitor(lambda: seen.append(bench.cycle) if bench.beats.valid.get() else None)
    bench.monitor(
        lambda: (
            taken.append(bench.cycle) if bench.job.valid.get() and bench.job.ready.get() else None
        )
    )
    copies = 3
    beats = (1 << bench.address_bits) // copies * bench.width // bench.beat_bits
    spacing = max(1, bench.beat_bits // bench.width)
    await bench.run(SamplePlan(beats=beats, copies=copies, epochs=5))
    differs = bench.width != bench.beat_bits
    queued = 2 * bench.parameters["read_latency"]
    first = taken[0] + FIRST_BEAT + queued + differs + (spacing - 1)
    assert seen == [first + spacing * n for n in range(5 * beats)]
    await bench.finish()


@test
async def works_ahead(dut: Any) -> None:
    """While the engine waits, the queue is filled: then only it limits."""
    bench = await start(dut, wait=0, gap=0.0)
    beats = (1 << bench.address_bits) * bench.width // bench.beat_bits
    await bench.job.send([bench.pack(SamplePlan(beats=beats, epochs=2))], 0.0)
    await bench.tick(10 * bench.parameters["depth"])
    assert bench.requests == bench.parameters["depth"] // bench.parameters["longest"]
    cocotb.start_soon(bench.beats.drain(0.0))
    await bench.until_idle()
    await bench.finish()


@test
async def stopped_jobs_leave_nothing(dut: Any) -> None:
    """A job that is ended at any time is followed by one that is not disturbed by it."""
    bench = await start(dut, wait=5, gap=0.2)
    cocotb.start_soon(bench.beats.drain(0.4))
    for _ in range(3 * JOBS):
        await bench.job.send([bench.pack(bench.any_plan())], 0.0)
        await bench.tick(int(bench.rng.integers(60)))
        bench.stop.set(1)
        await bench.tick()
        bench.stop.set(0)
        bench.board.drop()
        bench.beats.drop()
        await bench.until_idle()
        await bench.run(bench.any_plan(20))
        assert not bench.board.missing
    await bench.finish()


@test
async def nothing_to_read(dut: Any) -> None:
    """A plan without beats, copies or epochs is over at once."""
    bench = await start(dut, wait=0, gap=0.0)
    cocotb.start_soon(bench.beats.drain(0.0))
    for zero in ("beats", "copies", "epochs"):
        fields = {"base": 0, "beats": 3, "copies": 1, "epochs": 1, zero: 0}
        await bench.job.send([bench.plan_layout.const(fields).as_bits()], 0.0)
        await bench.tick(20)
        assert bench.job.ready.get() and not bench.requests
    await bench.run(SamplePlan(beats=3))
    await bench.finish()
