"""Jobs in a row on one engine: load, pass over samples, dump; and jobs that it must refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb
from amaranth.hdl import signed
from amaranth.lib import data
from cocotb.triggers import FallingEdge

from tests.hdl.job_bench import GROUPS, KINDS, JobBench, Stimulus
from tests.hdl.random_jobs import any_job, modes_of
from tests.hdl.toolkit import DRAIN_CYCLES, PATIENCE_CYCLES, Ints, Port, Stream, test
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Epoch, Job, Mode, Step
from zipsgd.hdl.contract.protocol import Status, epoch_layout, job_layout, pack_transfer
from zipsgd.hdl.engine.job_control import settle_cycles
from zipsgd.hdl.engine.margin_queue import MARGIN_DEPTH

CANCELS = 12
CANCELLED_WITHIN = (60, 900)
"""Cycles, in which a round of jobs has got to its first ones, or is somewhere."""


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
