"""The slot rule: which tokens, in which order, and never earlier or later than the cycle model."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Any

import cocotb

from hdl.config import EngineConfig, Job
from hdl.protocol import COUNT_BITS, job_layout, pack_job, token_layout
from sim import golden
from tests.hdl.jobs import job_of, random_job
from tests.hdl.toolkit import PATIENCE_CYCLES, Bench, Stream, random_bits, test

PASSES, GROUPS = 10, 8

Token = dict[str, int]

READABLE = 2
"""Cycles from ``errors_due`` to the first in which the errors can be asked for."""


class SlotsBench(Bench):
    """Stands in for the rest of the engine, whose errors come up to ``most_late`` cycles late."""

    def __init__(self, dut: Any, most_late: int) -> None:
        super().__init__(dut)
        config = self.config
        self.most_late = most_late
        self.job = self.port("job", job_layout(config))
        self.start, self.done = self.port("start"), self.port("done")
        self.errors_due = self.port("errors_due")
        self.token = self.port("token", token_layout(config))
        self.beat = self.port("beat", config.beat_bits)
        self.cycles = self.port("cycles", 2 * COUNT_BITS)
        self.beats_taken = self.port("beats_taken", 2 * COUNT_BITS)
        self.tokens = self.scoreboard("token")
        self.taken = self.scoreboard("beat")
        self.passes = self.scoreboard("pass")
        self.beats = Stream(self, "beats", config.beat_bits, self.watch_taken)
        self.running: Job | None = None
        self.pass_cycles = 0
        self.slot_start: int | None = None  # cycle of the present slot's first token
        self.due: deque[int] = deque()  # cycles in which errors will be due
        self.readable: deque[int] = deque()  # cycles from which they may be replayed

    def watch_taken(self, beat: int) -> None:
        """A beat leaves with its token in the next cycle."""
        self.taken.expect(beat, self.cycle + 1)

    def watch_pass(self) -> None:
        if self.start.get():
            assert self.running is None, "the last pass is not done"
            self.running, self.slot_start = job_of(self.config, self.job.get()), None
            for token in expected_tokens(self.config, self.running):
                self.tokens.expect(token)
        elif self.done.get():
            assert self.running is not None, "done twice"
            job, self.running = self.running, None
            beats = job.groups * self.config.group_beats(job.chunks, job.bits)
            self.passes.expect(beats)
            self.passes.observe(self.beats_taken.get())
            self.pass_cycles = self.cycles.get()

    def watch_token(self) -> None:
        token = self.token.get()
        if token["live"]:
            self.taken.observe(self.beat.get())
        if not token["live"] and not token["replay"]:
            return
        self.tokens.observe(meaning(token))
        if token["first"] and token["first_chunk"] and not token["label"]:
            self.check_slot_start(token)
        if token["live"] and token["group_end"]:
            # One cycle before the errors, which come ``dot_latency`` after the beat.
            due = self.cycle + self.config.dot_latency - 1
            due += int(self.rng.integers(self.most_late + 1))
            self.due.append(max(due, self.due[-1] + 1 if self.due else 0))
            self.readable.append(self.due[-1] + READABLE)

    def check_slot_start(self, token: Token) -> None:
        assert self.running is not None, "a slot without a pass"
        if self.slot_start is not None:
            spacing = self.config.slot_cycles(self.running.chunks, self.running.bits)
            assert self.cycle >= self.slot_start + spacing, "the last slot's writes are not done"
        self.slot_start = self.cycle
        if token["replay"]:
            assert self.cycle >= self.readable.popleft(), "the errors are not there yet"

    async def send_due(self) -> None:
        while True:
            is_due = bool(self.due) and self.due[0] == self.cycle + 1
            if is_due:
                self.due.popleft()
            self.errors_due.set(is_due)
            await self.tick()

    async def run_pass(self, job: Job) -> int:
        """Run ``job``; returns its cycles."""
        self.job.set(pack_job(self.config, job))
        self.start.set(1)
        await self.tick()
        self.start.set(0)
        done = self.passes.compared
        for _ in range(PATIENCE_CYCLES):
            await self.tick()
            if self.passes.compared > done:
                return self.pass_cycles
        raise AssertionError(f"not done in {PATIENCE_CYCLES} cycles")


def expected_tokens(config: EngineConfig, job: Job) -> Iterator[Token]:
    """The tokens of a pass that carry or replay a group."""
    carried = golden.slots(job)
    for t, group in enumerate(carried):
        older = carried[t - job.delay] if t >= job.delay else None
        token = {"live": int(group is not None), "replay": int(older is not None)}
        if not any(token.values()):
            continue
        token["commit"] = int(older is not None and golden.ends_batch(job, older))
        for chunk, plane in itertools.product(range(job.chunks), range(job.bits)):
            place = {
                "chunk": chunk,
                "first": int(plane == 0),
                "last": int(plane == job.bits - 1),
                "first_chunk": int(chunk == 0),
                "last_chunk": int(chunk == job.chunks - 1),
            }
            yield meaning({**token, "label": 0, "group_end": 0, **place})
        for beat in range(config.label_beats):
            yield meaning({**token, "label": 1, "group_end": int(beat == config.label_beats - 1)})


def meaning(token: Token) -> Token:
    """``token`` without the fields that mean nothing in it."""
    nothing = set() if token["replay"] else {"commit"}
    if token["label"]:
        nothing |= {"chunk", "first", "last", "first_chunk", "last_chunk"}
    return {name: value for name, value in sorted(token.items()) if name not in nothing}


async def run(dut: Any, gap: float, most_late: int) -> None:
    bench = SlotsBench(dut, most_late)
    beats = bench.beats
    await bench.reset(bench.job, bench.start, bench.errors_due, beats.valid, beats.payload)
    for watch in (bench.watch_pass, bench.watch_token):
        bench.monitor(watch)
    endless = (random_bits(bench.rng, bench.config.beat_bits) for _ in itertools.count())
    cocotb.start_soon(beats.send(endless, gap))
    cocotb.start_soon(bench.send_due())
    for _ in range(PASSES):
        job = random_job(bench.rng, bench.config, GROUPS)
        cycles = await bench.run_pass(job)
        predicted = golden.predict_cycles(bench.config, job)
        assert cycles == predicted or ((gap or most_late) and cycles > predicted), (
            f"{cycles} cycles instead of {predicted}: {job}"
        )
        await bench.tick(int(bench.rng.integers(4)))
    await bench.finish()
    assert not bench.readable, "errors were never replayed"


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.3, most_late=20)


@test
async def no_gaps(dut: Any) -> None:
    """The cycle model, to the cycle."""
    await run(dut, gap=0.0, most_late=0)
