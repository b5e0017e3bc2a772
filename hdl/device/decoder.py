"""From commands to the engine, its memory and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..link.frames import (
    Code,
    Command,
    DeviceStatus,
    LinkCounters,
    ReplyByte,
    Request,
    byte_count,
)
from ..memory.interface import MemorySignature
from ..memory.plan import plan_layout
from ..protocol import Status, epoch_layout, job_layout
from ..relay import Relay
from .bytes import Intake, Outlet, epoch_bytes
from .layouts import EPOCH_DEPTH, epochs_a_frame, run_layout

QUIET_CYCLES = 256
"""A stream that has not moved for so long has nothing to give, or no room to take."""


@dataclass(frozen=True)
class _Rule:
    """What becomes of a command: the state that executes it, its bytes, and why it is refused."""

    state: str
    left: Any
    refusals: Sequence[tuple[Value, int]] = ()


class CommandDecoder(wiring.Component):
    """Executes the link's commands::

        command, data -> [FSM] -> [Intake] -> words, model_in, epochs, job and plan
        answer <-----------------+ status, [Outlet] <- beats, model_out, margins

    Every command ends. One that moves model words or margins moves what there is: it ends when
    nothing has moved for `QUIET_CYCLES`. A job starts once all that was written before can be read.

    Throughput: a byte a cycle. Back-pressure: the streams' own. Overflow: none; epochs are refused
    if the queue might not hold them.

    Parameters
    ----------
    config : EngineConfig
    port : MemorySignature
        Of the sample memory.
    memory_words : int
        Its size.

    Members
    -------
    command, data, answer
        Of `hdl.link.link.Link`.
    counters : In(LinkCounters)
    words, address, seek, writing
        Of `hdl.memory.store.SampleStore`, which is given bytes.
    plan : Out(stream of plan_layout)
        ``ready`` while the store is idle.
    stop : Out(1)
    reading : Out(1)
        Beats come here; otherwise they go to the engine.
    beats : In(stream of beat_bits)
    job, epochs, model_in, model_out, margins, status
        Of the engine.
    reset : Out(1)
        Set for a cycle: the engine forgets its job.
    """

    def __init__(self, config: EngineConfig, port: MemorySignature, memory_words: int) -> None:
        self._config, self._port, self._memory_words = config, port, memory_words
        self._intake, self._outlet = Intake(config), Outlet(config)
        intake, outlet = self._intake.signature.members, self._outlet.signature.members
        super().__init__(
            {
                "command": In(stream.Signature(Request)),
                "data": In(stream.Signature(8)),
                "answer": Out(stream.Signature(ReplyByte)),
                "counters": In(LinkCounters),
                "words": intake["words"],
                "address": Out(port.address_bits),
                "seek": Out(1),
                "writing": In(1),
                "plan": Out(stream.Signature(plan_layout(port.address_bits))),
                "stop": Out(1),
                "reading": Out(1),
                "beats": outlet["beats"],
                "job": Out(stream.Signature(job_layout(config))),
                "epochs": Out(stream.Signature(epoch_layout(config))),
                "model_in": intake["model"],
                "model_out": outlet["model"],
                "margins": outlet["margins"],
                "status": In(Status),
                "reset": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.intake, m.submodules.outlet = self._intake, self._outlet
        m.submodules.incoming = incoming = Relay(8)
        m.submodules.answers = answers = Relay(ReplyByte)
        intake, outlet, answer = self._intake, self._outlet, answers.i.payload
        wiring.connect(m, wiring.flipped(self.data), incoming.i)
        wiring.connect(m, answers.o, wiring.flipped(self.answer))
        request, busy = Signal(Request), Signal()
        left, more = Signal(16), Signal()
        quiet, moved = Signal(range(QUIET_CYCLES + 1)), Signal()
        settling, status = Signal(), Signal(8 * byte_count(DeviceStatus))
        self._connect(m, request)
        m.d.comb += intake.i.payload.eq(incoming.o.payload)
        m.d.sync += busy.eq(~self.job.ready | ~self.plan.ready)
        m.d.comb += [
            # A job that was refused leaves its samples behind.
            self.stop.eq(settling | (self.job.ready & ~self.plan.ready & ~self.reading)),
        ]
        m.d.sync += quiet.eq(quiet + 1)
        with m.If(moved):
            m.d.sync += [left.eq(left - 1), more.eq(left != 1), quiet.eq(0)]

        code, rules = Signal(Code), self._rules(m, request, busy)
        m.d.comb += answer.code.eq(code)
        with m.FSM():
            with m.State("IDLE"):
                # What the last command left of its payload is not the next one's.
                m.d.comb += [self.command.ready.eq(1), incoming.clear.eq(1)]
                m.d.sync += [request.eq(self.command.payload), code.eq(Code.OK)]
                with m.If(self.command.valid):
                    m.next = "EXAMINE"
            with m.State("EXAMINE"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [quiet.eq(0), status.eq(self._status(m, busy))]
                self._check(m, request, rules, left, more, code)
            with m.State("STATUS"):
                told = more & answers.i.ready
                m.d.comb += [
                    answers.i.valid.eq(more),
                    answer.data.eq(status[:8]),
                    moved.eq(told),
                ]
                with m.If(told):
                    m.d.sync += status.eq(status[8:])
                with m.If(~more):
                    m.next = "END"
            with m.State("RESET"):
                m.d.comb += [self.reset.eq(1), self.seek.eq(1)]
                m.next = "SETTLE"
            with m.State("WRITE"):
                m.d.comb += self.seek.eq(1)
                m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += [
                    intake.i.valid.eq(incoming.o.valid & more),
                    incoming.o.ready.eq(intake.i.ready & more),
                    moved.eq(intake.i.valid & intake.i.ready),
                ]
                with m.If(~more):
                    m.next = "END"
                    with m.If(request.command == Command.RUN):
                        m.next = "START"
                with m.Elif(quiet[-1]):
                    m.d.sync += code.eq(Code.BUSY)
                    m.next = "END"
            with m.State("START"):
                starts = intake.run.valid & ~self.writing
                m.d.comb += [
                    self.job.valid.eq(starts),
                    self.plan.valid.eq(starts),
                    intake.run.ready.eq(starts),
                ]
                with m.If(starts):
                    m.next = "END"
            with m.State("READ"):
                m.d.comb += self.plan.valid.eq(~self.writing)
                m.d.sync += self.reading.eq(1)
                with m.If(~self.writing):
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += [
                    answers.i.valid.eq(outlet.o.valid & more),
                    outlet.o.ready.eq(answers.i.ready & more),
                    moved.eq(answers.i.valid & answers.i.ready),
                    answer.data.eq(outlet.o.payload),
                ]
                with m.If(~more | quiet[-1]):
                    m.next = "END"
                    with m.If(self.reading):
                        m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.comb += settling.eq(1)
                with m.If(self.plan.ready & self.job.ready):
                    m.d.sync += self.reading.eq(0)
                    m.next = "END"
            with m.State("END"):
                m.d.comb += [answers.i.valid.eq(1), answer.end.eq(1)]
                with m.If(answers.i.ready):
                    m.next = "IDLE"
        return m

    def _rules(self, m: Module, request: data.View, busy: Value) -> dict[int, _Rule]:
        """What becomes of each command; refusals are known two cycles after ``request``."""
        config, intake = self._config, self._intake
        word_bytes, wide_bytes = (
            self._port.width // 8,
            max(self._port.width // 8, config.beat_bytes),
        )
        memory_bytes = self._memory_words * word_bytes
        bad_write, bad_read, many_epochs, bad_run = Signal(), Signal(), Signal(), Signal()
        crowded, odd_place = Signal(), _odd(request.address, word_bytes)
        frame = epochs_a_frame(config) * epoch_bytes(config)
        m.d.sync += [
            many_epochs.eq(request.length > frame),
            crowded.eq(intake.waiting > EPOCH_DEPTH // 2),
            bad_run.eq(request.length != byte_count(run_layout(config))),
            bad_write.eq(
                odd_place
                | _odd(request.length, word_bytes)
                | (request.address + request.length > memory_bytes)
            ),
            bad_read.eq(
                odd_place
                | _odd(request.count, wide_bytes)
                | (request.address + request.count > memory_bytes)
            ),
        ]
        epoch_refusals = ((many_epochs, Code.RANGE), (crowded, Code.BUSY))
        run_refusals = ((bad_run, Code.RANGE), (busy, Code.BUSY))
        read_refusals = ((bad_read, Code.RANGE), (busy, Code.BUSY))
        return {
            Command.STATUS: _Rule("STATUS", byte_count(DeviceStatus)),
            Command.RESET: _Rule("RESET", 0),
            Command.WRITE_MEMORY: _Rule("WRITE", request.length, ((bad_write, Code.RANGE),)),
            Command.READ_MEMORY: _Rule("READ", request.count, read_refusals),
            Command.WRITE_MODEL: _Rule("TAKE", request.length),
            Command.READ_MODEL: _Rule("GIVE", request.count),
            Command.READ_MARGINS: _Rule("GIVE", request.count),
            Command.WRITE_EPOCHS: _Rule("TAKE", request.length, epoch_refusals),
            Command.RUN: _Rule("TAKE", request.length, run_refusals),
        }

    def _check(
        self,
        m: Module,
        request: data.View,
        rules: dict[int, _Rule],
        left: Signal,
        more: Signal,
        code: Signal,
    ) -> None:
        """To the state that executes the command, or to its end."""
        m.next = "END"
        with m.Switch(request.command):
            for command, rule in rules.items():
                with m.Case(command):
                    m.d.sync += [left.eq(rule.left), more.eq(Value.cast(rule.left).any())]
                    m.next = rule.state
                    for refused, why in rule.refusals:
                        with m.If(refused):
                            m.d.sync += code.eq(why)
                            m.next = "END"
            with m.Default():
                m.d.sync += code.eq(Code.UNKNOWN)

    def _status(self, m: Module, busy: Value) -> Value:
        """The bits of `DeviceStatus`."""
        status, begun = Signal(DeviceStatus), Signal.like(self.status.cycles[:16])
        m.d.comb += [
            status.busy.eq(busy),
            status.epochs.eq(begun),
            status.waiting.eq(self._intake.waiting),
            status.link.eq(self.counters),
            status.engine.eq(self.status),
        ]
        with m.If(self.job.valid):
            m.d.sync += begun.eq(0)
        with m.Elif(self.epochs.valid & self.epochs.ready):
            m.d.sync += begun.eq(begun + 1)
        return status.as_value()

    def _connect(self, m: Module, request: data.View) -> None:
        """What the state does not matter for."""
        intake, outlet, plan = self._intake, self._outlet, self.plan.payload
        word_bits = (self._port.width // 8 - 1).bit_length()
        wiring.connect(m, intake.words, wiring.flipped(self.words))
        wiring.connect(m, intake.model, wiring.flipped(self.model_in))
        wiring.connect(m, intake.epochs, wiring.flipped(self.epochs))
        wiring.connect(m, wiring.flipped(self.beats), outlet.beats)
        wiring.connect(m, wiring.flipped(self.model_out), outlet.model)
        wiring.connect(m, wiring.flipped(self.margins), outlet.margins)
        m.d.comb += [
            intake.command.eq(request.command),
            intake.reset.eq(self.reset),
            outlet.command.eq(request.command),
            outlet.reset.eq(self.reset),
            self.address.eq(request.address >> word_bits),
            self.job.payload.eq(intake.run.payload.job),
            *(plan[name].eq(intake.run.payload.plan[name]) for name, _ in plan.shape()),
        ]
        with m.If(request.command == Command.READ_MEMORY):
            beat_bits = (self._config.beat_bytes - 1).bit_length()
            m.d.comb += [
                plan.base.eq(self.address),
                plan.beats.eq(request.count >> beat_bits),
                plan.copies.eq(1),
                plan.epochs.eq(1),
            ]


def _odd(value: Value, unit: int) -> Value:
    """Whether ``value`` is no multiple of ``unit``, a power of two."""
    return value[: (unit - 1).bit_length()].any()
