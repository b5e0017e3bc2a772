"""The slot rule: which tokens, in which order, and never earlier or later than the cycle model."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Any

import cocotb

from tests.hdl.random_jobs import job_of, random_job
from tests.hdl.toolkit import PATIENCE_CYCLES, Bench, Stream, random_bits, test
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Job
from zipsgd.hdl.contract.protocol import (
    epoch_layout,
    job_layout,
    pack_epoch,
    pack_job,
    token_layout,
)
from zipsgd.hdl.engine.slot_control import UNDER_WAY_BITS
from zipsgd.sim import golden

PASSES, GROUPS = 12, 8

Token = dict[str, int]

READABLE = 3
"""Cycles from ``errors_soon`` to the first in which the errors can be asked for."""


class SlotsBench(Bench):
    """Stands in for the rest of the engine, whose errors come up to ``most_late`` cycles late."""

    def __init__(self, dut: Any, most_late: int, most_room: float) -> None:
        super().__init__(dut)
        config = self.config
        self.most_late, self.most_room = most_late, most_room
        self.job = self.port("job", job_layout(config))
        self.start, self.done = self.port("start"), self.port("done")
        self.room, self.errors_soon = self.port("room"), self.port("errors_soon")
        self.token = self.port("token", token_layout(config))
        self.beat = self.port("beat", config.beat_bits)
        self.epoch = self.port("epoch", epoch_layout(config))
        self.under_way = self.port("under_way", UNDER_WAY_BITS)
        self.cycles = self.port("cycles", 2 * config.count_bits)
        self.beats_taken = self.port("beats_taken", 2 * config.count_bits)
        self.tokens = self.scoreboard("token")
        self.taken = self.scoreboard("beat")
        self.passes = self.scoreboard("pass")
        self.values = self.scoreboard("epoch")
        self.beats = Stream(self, "beats", config.beat_bits, self.watch_taken)
        self.epochs = Stream(self, "epochs", epoch_layout(config), self.watch_epoch)
        self.running: Job | None = None
        self.had_room = deque([False, False])  # a cycle before a token's beat was taken, and then
        self.pass_cycles = 0
        self.ended = False  # in the cycle before
        self.slot_start: int | None = None  # cycle of the present slot's first token
        self.due: deque[int] = deque()  # cycles in which errors will be due
        self.readable: deque[int] = deque()  # cycles from which they may be replayed
        self.flying = 0  # groups between their slot's end and their errors

    def watch_taken(self, beat: int) -> None:
        """A beat leaves with its token in the next cycle."""
        self.taken.expect(beat, self.cycle + 1)

    def watch_epoch(self, fields: dict[str, int]) -> None:
        """The epoch of the next groups, once those of the last are done."""
        assert self.running is not None
        for _ in range(self.running.groups):
            self.values.expect(fields)

    def watch_pass(self) -> None:
        if self.ended:  # counters are a cycle behind
            self.passes.observe(self.beats_taken.get())
            self.pass_cycles, self.ended = self.cycles.get(), False
        if self.start.get():
            assert self.running is None, "the last pass is not done"
            self.running, self.slot_start = job_of(self.config, self.job.get()), None
            for token in expected_tokens(self.config, self.running):
                self.tokens.expect(token)
        elif self.done.get():
            assert self.running is not None, "done twice"
            job, self.running = self.running, None
            self.passes.expect(job.groups * len(job.epochs) * job.group_beats(self.config))
            self.ended = True

    def watch_token(self) -> None:
        token = self.token.get()
        if token["live"]:
            self.taken.observe(self.beat.get())
        if token["live"] or token["replay"]:
            self.tokens.observe(meaning(token))
            if token["first"] and token["first_chunk"] and not token["label"]:
                self.check_slot_start(token)
        assert self.under_way.get() == self.flying
        if token["live"] and token["group_end"]:
            # Two cycles before the errors, which come ``dot_latency`` after the beat.
            due = self.cycle + self.config.dot_latency - 2
            due += int(self.rng.integers(self.most_late + 1))
            self.due.append(max(due, self.due[-1] + 1 if self.due else 0))
            self.flying += 1
            if golden_job(self).learns:
                self.readable.append(self.due[-1] + READABLE)
        if self.errors_soon.get():
            self.flying -= 1
            self.values.observe(self.epoch.get())
        self.had_room.append(bool(self.room.get()))
        self.had_room.popleft()

    def check_slot_start(self, token: Token) -> None:
        job = golden_job(self)
        if self.slot_start is not None:
            spacing = job.slot_cycles(self.config)
            assert self.cycle >= self.slot_start + spacing, "the last slot's writes are not done"
        self.slot_start = self.cycle
        if token["live"]:
            assert self.had_room[0], "a group without room for its margins"
        if token["replay"]:
            assert self.cycle >= self.readable.popleft(), "the errors are not there yet"

    async def send_due(self) -> None:
        while True:
            is_due = bool(self.due) and self.due[0] == self.cycle + 1
            if is_due:
                self.due.popleft()
            self.errors_soon.set(is_due)
            self.room.set(not self.chance(self.most_room))
            await self.tick()

    async def run_pass(self, job: Job, gap: float) -> int:
        """Run ``job``; returns its cycles."""
        config = self.config
        self.job.set(pack_job(config, job))
        epochs = [pack_epoch(config, job, epoch) for epoch in job.epochs]
        self.start.set(1)
        await self.tick()
        self.start.set(0)
        cocotb.start_soon(self.epochs.send(epochs, gap))
        done = self.passes.compared
        for _ in range(PATIENCE_CYCLES):
            await self.tick()
            if self.passes.compared > done and not self.due and not self.flying:
                return self.pass_cycles
        raise AssertionError(f"not done in {PATIENCE_CYCLES} cycles")


def golden_job(bench: SlotsBench) -> Job:
    assert bench.running is not None or bench.ended or bench.passes.compared
    return bench.running or job_of(bench.config, bench.job.get())


def expected_tokens(config: EngineConfig, job: Job) -> Iterator[Token]:
    """The tokens of a pass that carry or replay a group."""
    carried = golden.slots(job)
    words = [0, *[1] * job.weighted, *[2] * job.offset]
    for t, group in enumerate(carried):
        older = carried[t - job.delay] if t >= job.delay and job.learns else None
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
            }
            yield meaning({**token, "label": 0, "group_end": 0, **place})
        for word, beat in itertools.product(words, range(config.label_beats)):
            end = word == words[-1] and beat == config.label_beats - 1
            number = {"word": word} if config.sample_words else {}
            yield meaning({**token, "label": 1, **number, "group_end": int(end)})


def meaning(token: Token) -> Token:
    """``token`` without the fields that mean nothing in it."""
    nothing = set() if token["replay"] else {"commit"}
    if token["label"]:
        nothing |= {"chunk", "first", "last", "first_chunk"}
    else:
        nothing |= {"word"}
    return {name: value for name, value in sorted(token.items()) if name not in nothing}


async def run(dut: Any, gap: float, most_late: int) -> None:
    bench = SlotsBench(dut, most_late, gap)
    sources = (bench.beats, bench.epochs)
    ports = [port for source in sources for port in (source.valid, source.payload)]
    await bench.reset(
        bench.job, bench.start, bench.room, bench.errors_soon, bench.port("cancel"), *ports
    )
    for watch in (bench.watch_pass, bench.watch_token):
        bench.monitor(watch)
    endless = (random_bits(bench.rng, bench.config.beat_bits) for _ in itertools.count())
    cocotb.start_soon(bench.beats.send(endless, gap))
    cocotb.start_soon(bench.send_due())
    for _ in range(PASSES):
        job = random_job(bench.rng, bench.config, GROUPS)
        cycles = await bench.run_pass(job, gap)
        predicted = golden.predict_cycles(bench.config, job)
        assert cycles == predicted or ((gap or most_late) and cycles > predicted), (
            f"{cycles} cycles instead of {predicted}: {job}"
        )
        await bench.tick(int(bench.rng.integers(4)))
    await bench.finish()
    assert not bench.readable


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.3, most_late=20)


@test
async def no_gaps(dut: Any) -> None:
    """The cycle model, to the cycle."""
    await run(dut, gap=0.0, most_late=0)
