"""Jobs are done or refused, one after the other, and a refused one leaves nothing behind."""

from __future__ import annotations

from collections import deque
from typing import Any

import cocotb
import numpy as np
from amaranth.lib import data

from tests.hdl.random_jobs import bad_fields, random_job, verdict
from tests.hdl.toolkit import Bench, Stream, test
from zipsgd.hdl.contract.job import Mode
from zipsgd.hdl.contract.protocol import Error, job_layout, pack_job, pack_transfer
from zipsgd.hdl.engine.job_control import settle_cycles

GOOD = 30

CHECK_CYCLES = 5
"""From a job taken to its start, or to the refusal."""


class JobsBench(Bench):
    """Stands in for the rest of the engine; a good job takes a while, its results too."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.layout = job_layout(self.config)
        self.job = self.port("job", self.layout)
        self.start, self.start_pass = self.port("start"), self.port("start_pass")
        self.start_move = self.port("start_move")
        self.done, self.settled = self.port("done"), self.port("settled")
        self.error = self.port("error", 2)
        self.starts = self.scoreboard("start")
        self.errors = self.scoreboard("error")
        self.i = Stream(self, "i", self.layout, self.watch_job)
        self.checked: tuple[int, Error] | None = None  # when the last job's error must show
        self.ended: int | None = None
        self.was_ready = 0
        self.settled_before = deque([0, 0], maxlen=2)  # what it sees is a cycle late
        self.refused = {Error.RANGE: 0, Error.REPLAY: 0}

    def watch_job(self, fields: dict[str, int]) -> None:
        if self.ended is not None:
            assert self.cycle >= self.ended + settle_cycles(self.config), (
                "the results had no time to settle"
            )
            self.ended = None
        said = verdict(self.config, fields)
        self.checked = self.cycle + CHECK_CYCLES, said
        if said == Error.NONE:
            passes = fields["mode"] not in (Mode.LOAD, Mode.DUMP)
            self.starts.expect([fields, int(passes)], self.cycle + CHECK_CYCLES)
        else:
            self.refused[said] += 1

    def watch(self) -> None:
        if self.start.get():
            self.starts.observe([self.job.get(), self.start_pass.get()])
        assert self.start.get() == self.start_pass.get() + self.start_move.get()
        if self.checked and self.cycle == self.checked[0]:
            self.errors.expect(self.checked[1].value)
            self.errors.observe(self.error.get())
            if self.checked[1] != Error.NONE:
                assert self.i.ready.get(), "a refused job keeps the engine"
        if self.done.get():
            self.ended = self.cycle
        ready, settled = self.i.ready.get(), self.settled.get()
        if self.ended is not None and ready and not self.was_ready:
            assert self.settled_before[0], "the next job before the last has settled"
        self.was_ready = ready
        self.settled_before.append(settled)

    async def work(self) -> None:
        """What a good job does."""
        while True:
            self.settled.set(self.chance(0.05))
            await self.tick()
            if not self.start.get():
                continue
            await self.tick(int(self.rng.integers(1, 30)))
            self.done.set(1)
            await self.tick()
            self.done.set(0)

    def jobs(self) -> list[int]:
        """Every bad field with each kind of job around it, among good ones."""
        rng, config = self.rng, self.config
        good = [pack_job(config, random_job(rng, config, 8)) for _ in range(GOOD)]
        bad = [
            self.layout.const({**_fields(self.layout, int(base)), **change}).as_bits()
            for change in bad_fields(config)
            for base in rng.choice(np.array(good, dtype=object), 2)
        ]
        transfers = [
            pack_transfer(config, mode, int(rng.integers(1, config.max_chunks + 1)))
            for mode in (Mode.LOAD, Mode.DUMP)
            for _ in range(GOOD // 5)
        ]
        empty = [self.layout.const({"mode": mode}).as_bits() for mode in (Mode.LOAD, Mode.DUMP)]
        every = good + bad + transfers + empty
        return [every[index] for index in rng.permutation(len(every))]


def _fields(layout: data.StructLayout, bits: int) -> dict[str, int]:
    job = layout.from_bits(bits)
    return {name: int(job[name]) for name, _ in layout}


@test
async def good_and_bad(dut: Any) -> None:
    bench = JobsBench(dut)
    await bench.reset(
        bench.i.valid, bench.i.payload, bench.done, bench.settled, bench.port("cancel")
    )
    bench.monitor(bench.watch)
    cocotb.start_soon(bench.work())
    await bench.i.send(bench.jobs(), gap=0.2)
    await bench.finish()
    assert bench.refused[Error.RANGE] >= 10
    assert bench.refused[Error.REPLAY] or not bench.config.overflows
