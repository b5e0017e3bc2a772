"""From commands to the engine, its memory and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.formats import EPOCH_DEPTH
from ..contract.protocol import Status, epoch_layout, job_layout
from ..lib.skid_buffer import buffered
from ..link.frames import (
    MAX_PAYLOAD,
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
from .bytes import Intake, Outlet, epoch_bytes
from .layouts import epochs_a_frame, run_layout

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
        Of `hdl.link.link.Link`: the command stays what it is until its answer has ended.
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
        Of the engine. ``job`` and ``plan`` stay what they are until they are ``ready`` again.
    reset : Out(1)
        Set for a cycle: the engine forgets its job.
    """

    def __init__(self, config: EngineConfig, port: MemorySignature, memory_words: int) -> None:
        self._config, self._port, self._memory_words = config, port, memory_words
        self._run = run_layout(config, port.width, memory_words)
        self._intake, self._outlet = Intake(config, self._run), Outlet(config)
        intake, outlet = self._intake.signature.members, self._outlet.signature.members
        plan = plan_layout(port.address_bits, port.width // config.beat_bits or 1)
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
                "plan": Out(stream.Signature(plan)),
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
        intake, outlet, answer = self._intake, self._outlet, self.answer.payload
        request, busy, idle = self.command.payload, Signal(), Signal()
        left, more = Signal(range(MAX_PAYLOAD + 1)), Signal()
        quiet, moved, has_moved = Signal(range(QUIET_CYCLES + 1)), Signal(), Signal()
        # What takes a byte is on no path to what counts it. What the last command left of its
        # payload is not the next one's.
        fast = not self._config.area_optimised
        given = self.data.signature.flip().create()
        taken = buffered(m, "taken", given, needed=fast, clear=idle)
        wiring.connect(m, taken, intake.i)
        read = self.data.signature.flip().create()
        shown = buffered(m, "shown", read, needed=fast)
        reads, settling, settled = Signal(), Signal(), Signal()
        word, was_busy = Signal(2 * 8), Signal()
        status = self._status(m, left, was_busy)
        self._connect(m, request)
        m.d.comb += [
            given.payload.eq(self.data.payload),
            read.payload.eq(outlet.o.payload),
            read.valid.eq(outlet.o.valid & reads & more),
            outlet.o.ready.eq(read.ready & reads & more),
            self.answer.valid.eq(shown.valid),
            answer.data.eq(shown.payload),
            shown.ready.eq(self.answer.ready),
            moved.eq(read.valid & read.ready),
            # A job that was refused leaves its samples behind.
            self.stop.eq(settling | (self.job.ready & ~self.plan.ready & ~self.reading)),
        ]
        domain = "sync" if fast else "comb"
        m.d[domain] += [
            busy.eq(~self.job.ready | ~self.plan.ready),
            settled.eq(settling & self.plan.ready & self.job.ready),
        ]
        m.d.sync += [quiet.eq(quiet + 1), has_moved.eq(moved)]
        with m.If(has_moved):
            m.d.sync += quiet.eq(0)
        with m.If(moved):
            m.d.sync += [left.eq(left - 1), more.eq(left != 1)]

        rules = self._rules(m, request, busy)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += [self.command.ready.eq(1), idle.eq(1)]
                m.d.sync += answer.code.eq(Code.OK)
                with m.If(self.command.valid):
                    m.next = "EXAMINE"
            with m.State("EXAMINE"):
                m.next = "COMPARE"
            with m.State("COMPARE"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += intake.begin.eq(1)
                m.d.sync += [quiet.eq(0), was_busy.eq(busy)]
                self._check(m, request, rules, left, more)
            with m.State("STATUS"):
                m.next = "KEEP"
            with m.State("KEEP"):
                # Two bytes at once, so that no field of theirs changes between them.
                m.d.sync += word.eq(status)
                m.next = "LOW"
            for state, byte, then in (("LOW", word[:8], "HIGH"), ("HIGH", word[8:], "STATUS")):
                with m.State(state):
                    m.d.comb += [self.answer.valid.eq(1), answer.data.eq(byte)]
                    m.d.comb += moved.eq(self.answer.ready)
                    with m.If(moved):
                        m.next = then
                    with m.If(moved & (left == 1)):
                        m.next = "END"
            with m.State("RESET"):
                m.d.comb += self.reset.eq(1)
                m.next = "SETTLE"
            with m.State("WRITE"):
                m.d.comb += self.seek.eq(~self.writing)
                with m.If(~self.writing):
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += [
                    given.valid.eq(self.data.valid & more),
                    self.data.ready.eq(given.ready & more),
                    moved.eq(given.valid & given.ready),
                ]
                with m.If(~more & ~taken.valid):
                    m.next = "END"
                    with m.If(intake.command == Command.RUN):
                        m.next = "LAST"
                with m.Elif(quiet[-1]):
                    m.d.sync += answer.code.eq(Code.BUSY)
                    m.next = "END"
            with m.State("LAST"):
                m.next = "START"  # with the payload's last byte
            with m.State("START"):
                m.d.comb += [self.job.valid.eq(~self.writing), self.plan.valid.eq(~self.writing)]
                with m.If(~self.writing):
                    m.next = "END"
            with m.State("READ"):
                m.d.sync += self.reading.eq(1)
                m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self.plan.valid.eq(~self.writing)
                with m.If(~self.writing):
                    m.next = "GIVE"
            with m.State("GIVE"):
                with m.If(~more | quiet[-1]):
                    m.next = "GIVEN"
            with m.State("GIVEN"):
                with m.If(~reads & ~shown.valid):
                    m.next = "END"
                    with m.If(self.reading):
                        m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.comb += settling.eq(1)
                with m.If(settled):
                    m.d.sync += self.reading.eq(0)
                    m.next = "END"
            with m.State("END"):
                m.d.comb += [self.answer.valid.eq(1), answer.end.eq(1)]
                with m.If(self.answer.ready):
                    m.next = "IDLE"
        m.d[domain] += reads.eq(fsm.ongoing("GIVE"))
        return m

    def _rules(self, m: Module, request: data.View, busy: Value) -> dict[int, _Rule]:
        """What becomes of each command. Refusals are known two cycles after it is."""
        config, intake = self._config, self._intake
        word_bytes = self._port.width // 8
        wide_bytes = max(word_bytes, config.beat_bytes)
        memory_bytes = self._memory_words * word_bytes
        amount = Signal(range(MAX_PAYLOAD + 1))
        end = Signal(range(2 * max(memory_bytes, 1 << len(amount))))
        outside, bad_write, bad_read = Signal(), Signal(), Signal()
        many_epochs, crowded, bad_run, long = Signal(), Signal(), Signal(), Signal()
        frame = epochs_a_frame(config) * epoch_bytes(config)
        m.d.comb += [
            amount.eq(Mux(intake.command == Command.READ_MEMORY, request.count, request.length)),
            outside.eq(
                _odd(request.address, word_bytes)
                | request.address[len(end) - 1 :].any()
                | (end > memory_bytes)
            ),
        ]
        m.d.sync += [
            end.eq(request.address[: len(end) - 1] + amount),
            bad_write.eq(outside | _odd(request.length, word_bytes)),
            bad_read.eq(outside | _odd(request.count, wide_bytes)),
            long.eq(request.count > MAX_PAYLOAD),
            many_epochs.eq(request.length > frame),
            crowded.eq(intake.waiting > EPOCH_DEPTH // 2),
            bad_run.eq(request.length != byte_count(self._run)),
        ]
        epoch_refusals = ((many_epochs, Code.RANGE), (crowded, Code.BUSY))
        run_refusals = ((bad_run, Code.RANGE), (busy, Code.BUSY))
        too_long = ((long, Code.RANGE),)
        read_refusals = ((bad_read, Code.RANGE), *too_long, (busy, Code.BUSY))
        return {
            Command.STATUS: _Rule("STATUS", byte_count(DeviceStatus)),
            Command.RESET: _Rule("RESET", 0),
            Command.WRITE_MEMORY: _Rule("WRITE", request.length, ((bad_write, Code.RANGE),)),
            Command.READ_MEMORY: _Rule("READ", request.count, read_refusals),
            Command.WRITE_MODEL: _Rule("TAKE", request.length),
            Command.READ_MODEL: _Rule("GIVE", request.count, too_long),
            Command.READ_MARGINS: _Rule("GIVE", request.count, too_long),
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
    ) -> None:
        """To the state that executes the command, or to its end."""
        code = self.answer.payload.code
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

    def _status(self, m: Module, left: Value, busy: Value) -> Signal:
        """The next two bytes of `DeviceStatus` if ``left`` of them were left a cycle ago."""
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
        word, size = Signal(2 * 8), byte_count(DeviceStatus)
        given = []
        for place in range(0, size, 2):
            m.d.sync += (chosen := Signal(name=f"at_{place}")).eq(left == size - place)
            given.append(Mux(chosen, status.as_value()[8 * place :][:16], 0))
        m.d.comb += word.eq(reduce(or_, given))
        return word

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
            # Of an unknown command as well, but that gets no further than its check.
            intake.command.eq(request.command),
            intake.reset.eq(self.reset),
            outlet.command.eq(request.command),
            outlet.reset.eq(self.reset),
            self.address.eq(request.address >> word_bits),
            *(self.job.payload[name].eq(value) for name, value in _fields(intake.run.job)),
            *(plan[name].eq(value) for name, value in _fields(intake.run.plan)),
        ]
        with m.If(self.reading):
            beat_bits = (self._config.beat_bytes - 1).bit_length()
            m.d.comb += [
                plan.base.eq(self.address),
                plan.beats.eq(request.count >> beat_bits),
                plan.copies.eq(1),
                plan.epochs[0].eq(1),  # it ends with the answer if others are set
            ]


def _fields(view: data.View) -> Iterator[tuple[str, Value]]:
    for name, _ in view.shape():
        yield name, view[name]


def _odd(value: Value, unit: int) -> Value:
    """Whether ``value`` is no multiple of ``unit``, a power of two."""
    return value[: (unit - 1).bit_length()].any()
