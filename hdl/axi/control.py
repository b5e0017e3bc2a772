"""The registers: from bus writes to jobs and epochs, and from status to bus reads."""

from __future__ import annotations

from amaranth.hdl import Const, Module, ResetInserter, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..protocol import Status, epoch_layout, job_layout
from .lite import BUS
from .registers import EPOCH_DEPTH, WORD_BITS, WORD_BYTES, register_map


class Control(wiring.Component):
    """Holds a job and an epoch in the making and hands them over on command::

        write -> [job registers] ---- start ------> job
              -> [epoch registers] -- push_epoch -> [queue] -> epochs
        read  <- registers, status, [done] -> irq

    A command that cannot be obeyed at once is refused with an error and changes nothing: ``start``
    and ``clear_epochs`` while a job is under way, ``push_epoch`` while the queue is full. Job and
    epoch registers may be written at any time; a running job has its own copy. A job that the
    engine refuses ends at once with `Status` saying why; its epochs are still in the queue.

    Members
    -------
    bus : In(BUS)
    job : Out(stream of job_layout)
        ``valid`` only when ``ready``, which must not depend on it.
    epochs : Out(stream of epoch_layout)
    status : In(Status)
        Of the engine; settled when ``job.ready``.
    irq : Out(1)
        High while ``done`` and ``interrupt_enable`` are.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._registers = {register.full_name: register for register in register_map(config)}
        super().__init__(
            {
                "bus": In(BUS),
                "job": Out(stream.Signature(job_layout(config))),
                "epochs": Out(stream.Signature(epoch_layout(config))),
                "status": In(Status),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        staged_job = Signal(job_layout(self._config))
        staged_epoch = Signal(epoch_layout(self._config))
        start, push, clear = Signal(), Signal(), Signal()
        acknowledged, enable, done = Signal(), Signal(), Signal()
        queue = fifo.SyncFIFOBuffered(width=epoch_layout(self._config).size, depth=EPOCH_DEPTH)
        m.submodules.queue = ResetInserter(clear & self.job.ready)(queue)

        m.d.comb += [
            self.job.payload.eq(staged_job),
            self.job.valid.eq(start & self.job.ready),
            queue.w_data.eq(staged_epoch),
            queue.w_en.eq(push),
            self.epochs.payload.eq(queue.r_data),
            self.epochs.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.epochs.ready),
            self.irq.eq(done & enable),
        ]
        self._note_end(m, done, acknowledged)

        refused = ((start | clear) & ~self.job.ready) | (push & ~queue.w_rdy)
        commands = {
            "control_start": start,
            "control_push_epoch": push,
            "control_clear_epochs": clear,
        }
        staged = {
            "control_interrupt_enable": enable,
            **_fields("job", staged_job),
            **_fields("epoch", staged_epoch),
        }
        shown = {
            "control_busy": ~self.job.ready,
            "control_done": done,
            "control_epochs_waiting": queue.level,
            **_fields("status", self.status),
        }
        self._write(m, {**commands, "control_done": acknowledged, **staged}, refused)
        self._read(m, {**dict.fromkeys(commands, Const(0)), **shown, **staged})
        return m

    def _note_end(self, m: Module, done: Signal, acknowledged: Signal) -> None:
        """The end of a job is noted even if the note of the last one is cleared just then."""
        idle = Signal(init=1)
        m.d.sync += idle.eq(self.job.ready)
        with m.If(self.job.valid):
            m.d.sync += done.eq(0)
        with m.Elif(self.job.ready & ~idle):
            m.d.sync += done.eq(1)
        with m.Elif(acknowledged):
            m.d.sync += done.eq(0)

    def _write(self, m: Module, writable: dict[str, Value], refused: Value) -> None:
        """Bytes that are strobed go into a register; the 1 of a command lasts one cycle."""
        bus = self.bus
        m.d.comb += bus.write_error.eq(1)
        with m.Switch(bus.write_word):
            for name, value in writable.items():
                register = self._registers[name]
                with m.Case(register.address // WORD_BYTES):
                    if register.access == "write":
                        m.d.comb += bus.write_error.eq(0)
                        for byte, strobe in enumerate(bus.write_bytes):
                            part = slice(8 * byte, 8 * byte + 8)
                            with m.If(bus.write & strobe):
                                m.d.sync += value[part].eq(bus.write_data[part])
                    else:
                        pulse = bus.write & bus.write_bytes[0] & bus.write_data[0]
                        m.d.comb += [value.eq(pulse), bus.write_error.eq(refused)]

    def _read(self, m: Module, readable: dict[str, Value]) -> None:
        """Every register reads as what is ``readable`` under its name, or as its constant."""
        bus = self.bus
        m.d.comb += bus.read_error.eq(1)
        with m.Switch(bus.read_word):
            for name, register in self._registers.items():
                constant = register.value
                value = readable[name] if constant is None else Const(constant, WORD_BITS)
                for word in range(register.words):
                    with m.Case(register.address // WORD_BYTES + word):
                        part = value[word * WORD_BITS : (word + 1) * WORD_BITS]
                        m.d.comb += [bus.read_data.eq(part), bus.read_error.eq(0)]


def _fields(group: str, view: data.View) -> dict[str, Value]:
    names = data.Layout.cast(view.shape()).members
    return {f"{group}_{name}": Value.cast(view[name]) for name in names}
