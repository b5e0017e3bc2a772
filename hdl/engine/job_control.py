"""One job after the other."""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.formats import COARSE_BITS, MIN_BITS, NOISE_BITS
from ..contract.job import Mode
from ..contract.protocol import Error, job_layout
from ..lib.arith import registered_product
from .evaluate import SUM_LATENCY

CHECK_CYCLES = 4
"""Of a job that has been taken, a cycle each: delay * chunks, that times the bits, whether so many
beats exceed the replay buffer, and the verdict. No other check takes longer."""


def settle_cycles(config: EngineConfig) -> int:
    """Cycles after a job in which the last margins, losses and counters arrive; not part of it."""
    return config.dot_latency + config.banks + SUM_LATENCY + 16


class JobController(wiring.Component):
    """Takes a job, refuses it or has it done, and waits until its results have settled.

    A refused job changes nothing but ``error``. One that is cancelled ends at once, and is waited
    for like any other: nothing of it is on its way when the next one starts. The checks are those
    that keep the engine's counters and memories sane; `hdl.contract.job.Job.check` makes them too,
    with sentences.

    Parameters
    ----------
    config : EngineConfig
    keeps : bool
        The job is kept here; otherwise the payload of ``i`` must stay what it was when it was
        taken, until ``i`` is ready again.

    Members
    -------
    i : In(stream of job_layout)
        ``ready`` while idle.
    job : Out(job_layout)
        The present job; anything while idle.
    start : Out(1)
        Set for one cycle, ``job`` is stable from here.
    start_pass, start_move : Out(1)
        The same, of a job that passes over samples, and of one that moves the model.
    done : In(1)
    cancel : In(1)
    cancelled : Out(1)
        From a cancel until the engine is idle: nobody takes what is still to come.
    settled : In(1)
        Low while results wait to be taken, seen a cycle late.
    error : Out(Error)
    """

    def __init__(self, config: EngineConfig, *, keeps: bool = True) -> None:
        self._config, self._keeps = config, keeps
        super().__init__(
            {
                "i": In(stream.Signature(job_layout(config))),
                "job": Out(job_layout(config)),
                "start": Out(1),
                "start_pass": Out(1),
                "start_move": Out(1),
                "done": In(1),
                "cancel": In(1),
                "cancelled": Out(1),
                "settled": In(1),
                "error": Out(Error),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, job = self._config, self.job
        moves = (job.mode == Mode.LOAD) | (job.mode == Mode.DUMP)
        # Counts up to a bit of its own.
        settled = 1 << (settle_cycles(config) - 1).bit_length()
        unsettled = settled - settle_cycles(config) + 1
        settling, free, ends = Signal(range(settled + 1)), Signal(), Signal()
        m.d.sync += [
            free.eq(settling[-1] & self.settled),
            ends.eq(self.done | self.cancelled),
        ]
        bad_chunks, too_long = Signal(), Signal()
        passes, out_of_range = Signal(), Signal()
        if config.overflows:
            beats = registered_product(m, registered_product(m, job.delay, job.chunks), job.bits)
            m.d.sync += too_long.eq((beats > config.replay_beats) & passes)
        reasons = Cat(
            job.mode > max(Mode),
            *([] if config.evaluate else [job.mode == Mode.EVALUATE]),
            ~reduce(or_, (job.loss == loss for loss in config.losses)),
            job.bits < MIN_BITS,
            job.bits > config.max_bits,
            job.groups == 0,
            job.batch_groups == 0,
            job.epochs == 0,
            job.delay == 0,
            job.delay > config.max_delay,
            *([job.model_drop > COARSE_BITS] if config.coarsening else []),
            *([job.error_drop > NOISE_BITS] if config.coarsening else []),
        )
        bad = Signal(len(reasons))
        m.d.sync += [
            passes.eq(~moves),
            out_of_range.eq(bad_chunks | (bad.any() & passes)),
            bad_chunks.eq((job.chunks == 0) | (job.chunks > config.max_chunks)),
            bad.eq(reasons),
        ]
        checked, copy = Signal(CHECK_CYCLES), job.eq(self.i.payload)
        if not self._keeps:
            m.d.comb += copy
        starts = (self.start, self.start_pass, self.start_move)
        m.d.sync += [start.eq(0) for start in starts]  # registers: all counters hang on them
        with m.If(self.cancel):
            m.d.sync += self.cancelled.eq(1)
        idle = Signal(init=1)  # a register that says what state it is: all of the job hangs on it
        m.d.comb += self.i.ready.eq(idle)
        with m.If(idle):
            m.d.sync += [
                checked.eq(1 << (CHECK_CYCLES - 1)),
                *([copy] if self._keeps else []),
                self.cancelled.eq(0),
            ]
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i.valid):
                    m.d.sync += idle.eq(0)
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [checked.eq(checked >> 1), settling.eq(unsettled)]
                with m.If(checked[0]):
                    with m.If(out_of_range):
                        m.d.sync += [self.error.eq(Error.RANGE), idle.eq(1)]
                        m.next = "IDLE"
                    with m.Elif(too_long):
                        m.d.sync += [self.error.eq(Error.REPLAY), idle.eq(1)]
                        m.next = "IDLE"
                    with m.Else():
                        m.d.sync += [
                            self.error.eq(Error.NONE),
                            self.start.eq(1),
                            self.start_pass.eq(passes),
                            self.start_move.eq(~passes),
                        ]
                        m.next = "RUN"
            with m.State("RUN"):
                with m.If(ends):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If(~settling[-1]):
                    m.d.sync += settling.eq(settling + 1)
                with m.If(free):
                    m.d.sync += idle.eq(1)
                    m.next = "IDLE"
        return m
