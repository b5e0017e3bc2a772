"""Jobs in a row on one engine: load, pass over samples, dump; and jobs that it must refuse."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, replace
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data
from cocotb.triggers import FallingEdge

from hdl.config import EngineConfig
from hdl.formats import WEIGHT_BITS
from hdl.generators import SEED_BITS
from hdl.job import Epoch, Job, Mode, Step
from hdl.jobs import settle_cycles
from hdl.margins import MARGIN_DEPTH
from hdl.protocol import (
    Error,
    Status,
    epoch_layout,
    job_layout,
    pack_epoch,
    pack_job,
    pack_transfer,
)
from host.devices import samples_of
from host.weaving import Geometry, Woven, code_range, weave
from sim import golden
from tests.hdl.jobs import (
    any_job,
    bad_fields,
    calm_job,
    job_of,
    largest_step_job,
    modes_of,
    random_job,
    steepest_job,
    verdict,
)
from tests.hdl.toolkit import (
    DRAIN_CYCLES,
    PATIENCE_CYCLES,
    Bench,
    Ints,
    Port,
    Stream,
    random_signed,
    test,
)

GROUPS = 6
SATURATING = ("margin", "error", "model")

KINDS = ("calm", "any", "overflow", "steepest", "calm", "overflow", "any", "calm", "any")
"""Rounds of a test: like a real training, anything, everything saturates, largest correction. The
first four are of every kind."""

CANCELS = 12
CANCELLED_WITHIN = (60, 900)
"""Cycles, in which a round of jobs has got to its first ones, or is somewhere."""


class JobBench(Bench, ABC):
    """Monitors note what the engine takes, through whatever ports it has; at the end of a job the
    golden model is given the same.
    """

    def __init__(self, dut: Any, *, stalls: bool, clock: str = "clk") -> None:
        super().__init__(dut, clock)
        config = self.config
        self.stalls = stalls
        self.words = self.scoreboard("model word")
        self.passes = self.scoreboard("status")
        self.predicted = self.scoreboard("margins")
        self.epochs_taken: list[dict[str, int]] = []
        self.beats_taken: list[int] = []
        self.words_taken: list[int] = []
        self.present: dict[str, int] | None = None
        self.golden = golden.Golden(config)
        self.counters = asdict(golden.Counters())
        self.saturations = np.zeros(len(SATURATING), dtype=np.int64)
        self.refused = 0
        self.seen: set[Mode] = set()

    @abstractmethod
    def read_status(self) -> dict[str, int]:
        """What the engine says of the job that has just ended."""

    def watch_job(self, fields: dict[str, int]) -> None:
        """The engine takes a job: it is done with the last one."""
        self.end_job()
        self.present = fields
        if fields["mode"] == Mode.DUMP and verdict(self.config, fields) == Error.NONE:
            for value in self.golden.x[: fields["chunks"] * self.config.lanes]:
                self.words.expect(value)

    def end_job(self) -> None:
        fields, self.present = self.present, None
        if fields is None:
            return
        said = verdict(self.config, fields)
        passes = fields["mode"] not in (Mode.LOAD, Mode.DUMP)
        if said == Error.NONE and fields["mode"] == Mode.LOAD:
            assert len(self.words_taken) == fields["chunks"] * self.config.lanes
            self.golden.load(np.array(self.words_taken))
        elif said == Error.NONE and passes:
            self.end_pass(job_of(self.config, fields, self.epochs_taken.copy()))
        else:
            assert not self.words_taken and not self.beats_taken and not self.epochs_taken
        self.refused += said != Error.NONE
        self.check_status(said, timed=passes and said == Error.NONE)
        for taken in (self.words_taken, self.beats_taken, self.epochs_taken):
            taken.clear()

    def end_pass(self, job: Job) -> None:
        """The golden model's turn. Each epoch has samples of its own."""
        self.seen.add(job.mode)
        samples = [samples_of(woven, self.config) for woven in self.woven(job)]
        if job.mode == Mode.PREDICT:  # the golden model keeps the last epoch's margins only
            for epoch, part in zip(job.epochs, samples, strict=True):
                self.golden.run(replace(job, epochs=(epoch,)), part)
                for group in self.golden.margins:
                    self.predicted.expect(group)
        self.counters = asdict(self.golden.run(job, *samples))
        self.saturations += [self.counters[f"{name}_saturations"] for name in SATURATING]

    def woven(self, job: Job) -> list[Woven]:
        """The beats that were taken, an epoch at a time."""
        config = self.config
        taken = b"".join(beat.to_bytes(config.beat_bytes, "little") for beat in self.beats_taken)
        beats = np.frombuffer(taken, dtype=np.uint8).reshape(-1, config.beat_bytes)
        count = job.groups * job.group_beats(config)
        assert len(beats) == count * len(job.epochs)
        return [
            Woven(
                beats=part,
                geometry=Geometry.of(config),
                bits=job.bits,
                chunks=job.chunks,
                groups=job.groups,
                samples=job.groups * config.banks,
                features=job.chunks * config.lanes,
                unsigned=job.unsigned,
                weighted=job.weighted,
                offset=job.offset,
            )
            for part in np.split(beats, len(job.epochs))
        ]

    def check_status(self, error: Error, *, timed: bool) -> None:
        """The counters of the last pass, and the last job's error."""
        status = self.read_status()
        if timed and self.stalls:  # the cycle model is a promise for streams that never wait
            assert status["cycles"] >= self.counters["cycles"]
            self.counters["cycles"] = status["cycles"]
        self.passes.expect(sorted({**self.counters, "error": error}.items()))
        self.passes.observe(sorted(status.items()))


class EngineBench(JobBench):
    """The streams are driven each by itself, a whole test's worth of items."""

    def __init__(self, dut: Any, *, stalls: bool) -> None:
        super().__init__(dut, stalls=stalls)
        config, word = self.config, signed(self.config.model_bits)
        margins = data.ArrayLayout(word, config.banks)
        self.status = self.port("status", data.Layout.cast(Status))
        self.job = Stream(self, "job", job_layout(config), self.watch_job)
        self.epochs = Stream(self, "epochs", epoch_layout(config), self.epochs_taken.append)
        self.beats = Stream(self, "beats", config.beat_bits, self.beats_taken.append)
        self.margins = Stream(self, "margins", margins, self.predicted.observe)
        self.model_in = Stream(self, "model_in", word, self.words_taken.append)
        self.model_out = Stream(self, "model_out", word, self.words.observe)
        self.cancel = self.port("cancel")

    @property
    def inputs(self) -> list[Port]:
        sources = (self.job, self.epochs, self.beats, self.model_in)
        ports = [port for source in sources for port in (source.valid, source.payload)]
        return [*ports, self.model_out.ready, self.margins.ready, self.cancel]

    def forget(self) -> None:
        """The present job will not be done, and what is offered of it is withdrawn."""
        streams = (self.job, self.epochs, self.beats, self.margins, self.model_in, self.model_out)
        for stream in streams:
            stream.drop()
        self.present = None
        for board in (self.words, self.predicted):
            board.drop()
        for taken in (self.words_taken, self.beats_taken, self.epochs_taken):
            taken.clear()

    def read_status(self) -> dict[str, int]:
        status: dict[str, int] = self.status.get()
        return status


class Stimulus:
    """What a test sends on each stream."""

    def __init__(self, bench: JobBench) -> None:
        self._bench = bench
        self.jobs: list[int] = []
        self.epochs: list[int] = []
        self.words: list[int] = []
        self.beats: list[int] = []

    def add_round(self, kind: str) -> None:
        """Load, a few passes, dump: a round of one of `KINDS`; in between, jobs to refuse."""
        rng, config = self._bench.rng, self._bench.config
        job, word_bits = random_job(rng, config, GROUPS), config.model_bits
        if kind == "calm":
            job, word_bits = calm_job(rng, config, GROUPS), config.model_frac
        elif kind == "steepest":
            job = steepest_job(config, job)
        elif kind == "overflow":
            most_chunks = config.replay_beats // (job.delay * job.bits)
            job = replace(job, groups=GROUPS, chunks=min(config.max_chunks, most_chunks))
            job = largest_step_job(config, job)
        words = random_signed(rng, word_bits, job.chunks * config.lanes)
        if kind == "overflow":
            words = self.extremes(word_bits, len(words))

        self.add_refusal(job)
        self.jobs.append(pack_transfer(config, Mode.LOAD, job.chunks))
        self.words += words.tolist()
        self.add_pass(kind, job, words)
        for mode in modes_of(config) if kind == "calm" else (Mode.TRAIN,):
            self.add_refusal(job)
            seed = int(rng.integers(1 << SEED_BITS))
            self.add_pass(kind, replace(job, sync=not job.sync, seed=seed, mode=mode), words)
        self.jobs.append(pack_transfer(config, Mode.DUMP, job.chunks))

    def add_refusal(self, job: Job) -> None:
        config, layout = self._bench.config, job_layout(self._bench.config)
        present = layout.from_bits(pack_job(config, job))
        fields = {name: int(present[name]) for name, _ in layout}
        change = bad_fields(config)[int(self._bench.rng.integers(len(bad_fields(config))))]
        self.jobs.append(layout.const({**fields, **change}).as_bits())

    def add_pass(self, kind: str, job: Job, words: Ints) -> None:
        config, rng = self._bench.config, self._bench.rng
        self.jobs.append(pack_job(config, job))
        for epoch in job.epochs:
            self.epochs.append(pack_epoch(config, job, epoch))
            if kind == "calm":
                beats = self.real_samples(job)
            elif kind == "overflow":
                beats = weave(*self.overflowing_samples(job, words), job.bits, config).beats
            else:
                count = job.groups * job.group_beats(config)
                beats = rng.integers(0, 256, (count, config.beat_bytes), dtype=np.uint8)
            self.beats += [int.from_bytes(beat.tobytes(), "little") for beat in beats]

    def real_samples(self, job: Job) -> Any:
        """Woven samples, whose last group and last chunk need not be full."""
        config, rng = self._bench.config, self._bench.rng
        samples = job.groups * config.banks - int(rng.integers(config.banks))
        features = job.chunks * config.lanes - int(rng.integers(config.lanes))
        least, most = code_range(job.bits, job.unsigned)
        codes: Ints = rng.integers(least, most + 1, (samples, features))
        words = {}
        if job.weighted:
            words["weights"] = rng.integers(0, 1 << WEIGHT_BITS, samples)
        if job.offset:
            words["offsets"] = random_signed(rng, config.model_frac + 1, samples)
        labels = random_signed(rng, config.model_frac + 2, samples)
        woven = weave(codes, labels, job.bits, config, unsigned=job.unsigned, **words)
        return woven.beats

    def overflowing_samples(self, job: Job, words: Ints) -> tuple[Ints, Ints]:
        """Codes and labels, extremes only. Against the first group's labels its margins are small,
        and half of the model words are pushed outwards; the second group's margins are as large as
        can be.
        """
        config, rng = self._bench.config, self._bench.rng
        samples, first = job.groups * config.banks, slice(config.banks)
        largest, limit = (1 << (job.bits - 1)) - 1, 1 << (config.model_bits - 1)
        codes = largest * rng.choice(np.array([-1, 1]), (samples, len(words)))
        labels = self.extremes(config.model_bits, samples)
        codes[: 2 * config.banks] = largest * np.sign(words)
        codes[first, ::2] *= -1
        labels[first] = limit - 1
        labels[config.banks : 2 * config.banks] = -limit
        return codes, labels

    def extremes(self, bits: int, count: int) -> Ints:
        limit = 1 << (bits - 1)
        values: Ints = self._bench.rng.choice(np.array([-limit, limit - 1]), count)
        return values


def play(
    bench: EngineBench, stimulus: Stimulus, gap: float, takes_margins: bool = True
) -> list[Any]:
    """Send all of it; the last of the tasks ends when the last job has been taken."""
    bench.margins.ready.set(0)  # the last play may have left it set
    tasks = (
        bench.epochs.send(stimulus.epochs, gap),
        bench.beats.send(stimulus.beats, gap),
        bench.model_in.send(stimulus.words, gap),
        bench.model_out.drain(gap),
        *([bench.margins.drain(gap)] if takes_margins else []),
        bench.job.send(stimulus.jobs, gap),
    )
    return [cocotb.start_soon(task) for task in tasks]


async def finish_jobs(bench: EngineBench, tasks: list[Any]) -> None:
    await tasks[-1]
    for _ in range(PATIENCE_CYCLES):
        await bench.tick()
        if not bench.words.missing:
            break
    bench.end_job()


def rounds_of(bench: EngineBench, most: int) -> int:
    """``most``, or as many as the runner asks for."""
    return bench.parameters.get("rounds", most)


async def run(dut: Any, gap: float) -> None:
    bench = EngineBench(dut, stalls=gap > 0)
    await bench.reset(*bench.inputs)
    stimulus = Stimulus(bench)
    kinds = KINDS[: rounds_of(bench, len(KINDS))]
    for kind in kinds:
        stimulus.add_round(kind)
    await finish_jobs(bench, play(bench, stimulus, gap))
    await bench.finish()
    assert bench.refused >= len(kinds)
    assert bench.saturations.all(), f"something never saturated: {bench.saturations}"
    assert bench.seen == set(modes_of(bench.config))


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.3)


@test
async def no_gaps(dut: Any) -> None:
    """The cycle model, to the cycle."""
    await run(dut, gap=0.0)


@test
async def margins_that_wait(dut: Any) -> None:
    """Margins that nobody takes hold the stream up, and none is lost."""
    bench = EngineBench(dut, stalls=True)
    config = bench.config
    await bench.reset(*bench.inputs)
    job = replace(waiting_job(config), mode=Mode.PREDICT, groups=3 * MARGIN_DEPTH)
    words = bench.rng.integers(1 << config.model_frac, size=config.lanes)
    stimulus = Stimulus(bench)
    stimulus.jobs.append(pack_transfer(config, Mode.LOAD, job.chunks))
    stimulus.words += words.tolist()
    stimulus.add_pass("any", job, words)
    stimulus.jobs.append(pack_transfer(config, Mode.DUMP, job.chunks))
    tasks = play(bench, stimulus, 0.0, takes_margins=False)

    def holds_up() -> bool:
        return bench.margins.valid.get() and not bench.beats.ready.get()

    await bench.until(holds_up, "held up by margins")
    await bench.tick(DRAIN_CYCLES)
    groups = len(bench.beats_taken) // job.group_beats(config)
    assert MARGIN_DEPTH / 2 <= groups <= MARGIN_DEPTH + 1, f"{groups} groups wait"
    taking = cocotb.start_soon(bench.margins.drain(0.0))
    await finish_jobs(bench, tasks)
    taking.cancel()
    await bench.finish()


@test
async def cancelled_jobs(dut: Any) -> None:
    """Wherever a job is cancelled, the engine is soon idle, and the next ones know nothing of it,
    to the cycle."""
    bench = EngineBench(dut, stalls=False)
    await bench.reset(*bench.inputs)
    for number in range(rounds_of(bench, CANCELS)):
        stimulus = Stimulus(bench)
        stimulus.add_round("calm" if number % 4 == 1 else "any")
        await cancel_somewhere(bench, stimulus, CANCELLED_WITHIN[number % 2])
        stimulus = Stimulus(bench)
        stimulus.add_round("any" if number else "calm")  # of every mode at least once
        tasks = play(bench, stimulus, 0.0)
        await finish_jobs(bench, tasks)
        for task in tasks:
            task.cancel()
    await bench.finish()


@test
async def cancelled_where_most_is_left(dut: Any) -> None:
    """Jobs that have come to a stand without an epoch, inside a group, within its labels, with
    errors that wait for their update, and with margins that wait to be taken: the next ones, which
    begin at once, know nothing of it."""
    bench = EngineBench(dut, stalls=False)
    config = bench.config
    await bench.reset(*bench.inputs)
    job = waiting_job(config)
    beats = job.group_beats(config)
    learns, predicts = replace(job, mode=Mode.TRAIN), replace(job, mode=Mode.PREDICT)
    # The first of the next jobs tells a slot too many that is remembered, the second an error.
    following = (replace(learns, delay=config.max_delay), learns, predicts)
    cases = [(learns, taken) for taken in (0, 1, beats - 1, beats)]
    for cancelled, taken in (*cases, (predicts, GROUPS * beats - 1)):
        words = bench.rng.integers(1 << config.model_frac, size=config.lanes)
        tasks = await stand_still(bench, cancelled, taken, words)
        assert bench.margins.valid.get() == (cancelled is predicts)
        await cancel(bench, tasks)

        stimulus = Stimulus(bench)
        for job in following:
            stimulus.add_pass("any", job, words)
        stimulus.jobs.append(pack_transfer(config, Mode.DUMP, job.chunks))
        tasks = play(bench, stimulus, 0.0)
        await finish_jobs(bench, tasks)
        for task in tasks:
            task.cancel()
    await bench.finish()


def waiting_job(config: EngineConfig) -> Job:
    """A job that replays a group as soon as its errors are there, in its shortest slots: one error
    too many and it is done too early."""
    return any_job(config, epochs=(Epoch(step=Step.nearest(2.0**-4, config)),), groups=GROUPS)


async def stand_still(bench: EngineBench, job: Job, beats: int, words: Ints) -> list[Any]:
    """Load ``words`` and start ``job``, whose stream ends before it can change them: after so many
    ``beats``, or before its epoch."""
    stimulus = Stimulus(bench)
    stimulus.jobs.append(pack_transfer(bench.config, Mode.LOAD, job.chunks))
    stimulus.words += words.tolist()
    stimulus.add_pass("any", job, words)
    del stimulus.beats[beats:]
    if not beats:
        stimulus.epochs.clear()
    tasks = play(bench, stimulus, 0.0, takes_margins=False)

    def came_so_far() -> bool:
        started = bench.present is not None and bench.present["mode"] == job.mode
        return started and len(bench.beats_taken) == beats

    await bench.until(came_so_far, "at a stand")
    await bench.tick(DRAIN_CYCLES)
    return tasks


async def cancel_somewhere(bench: EngineBench, stimulus: Stimulus, within: int) -> None:
    tasks = play(bench, stimulus, 0.0, takes_margins=False)
    await bench.tick(int(bench.rng.integers(1, within)))
    await cancel(bench, tasks)


async def cancel(bench: EngineBench, tasks: list[Any]) -> None:
    """Withdraw all that ``tasks`` send, cancel the present job, and see that the engine is soon
    idle."""
    for task in tasks:
        task.cancel()
    for port in bench.inputs:
        port.set(0)
    bench.cancel.set(1)
    bench.forget()
    await bench.tick()
    bench.cancel.set(0)
    for _ in range(settle_cycles(bench.config) + MARGIN_DEPTH + 8):
        bench.forget()  # the cancel goes on from a register
        await FallingEdge(bench.clock)
        assert not bench.margins.valid.get(), "margins of a cancelled job are offered"
        idle = bench.job.ready.get()
        await bench.tick()
        if idle:
            break
    else:
        raise AssertionError("the engine is not idle")
    # Of a job that was cancelled they say how far it came; the next pass counts from zero.
    status = bench.read_status()
    bench.counters = {name: status[name] for name in bench.counters}
