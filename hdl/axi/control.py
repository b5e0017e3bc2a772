"""The registers: from bus writes to jobs and epochs, and from status to bus reads."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.formats import EPOCH_DEPTH
from ..contract.protocol import Status, epoch_layout, job_layout
from .lite import BUS
from .registers import GROUP_BYTES, GROUPS, WORD_BITS, WORD_BYTES, register_map


class Control(wiring.Component):
    """Holds a job and an epoch in the making and hands them over on command::

        write -> [job registers] ---- start ------> job
              -> [epoch registers] -- push_epoch -> [queue] -> epochs
        read  <- registers, status, [done] -> irq

    A command that cannot be obeyed at once is refused with an error and changes nothing: ``start``
    and ``clear_epochs`` while a job is under way, ``push_epoch`` while the queue is full. So is a
    value that does not fit its register. Job and epoch registers may be written at any time; a
    running job has its own copy. A job that the engine refuses ends at once with `Status` saying
    why; its epochs are still in the queue.

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
        """Bytes that are strobed go into a register; the 1 of a command lasts one cycle.

        A register that the value does not fit is not chosen, as if it did not exist.
        """
        bus = self.bus
        bit = bus.write & bus.write_bytes[0] & bus.write_data[0]
        fits = self._fits(m, {self._registers[name].bits for name in writable})
        m.d.comb += bus.write_error.eq(1)
        for name, value in writable.items():
            register = self._registers[name]
            chosen = Signal(name=f"{name}_chosen")
            here = bus.write_word == register.address // WORD_BYTES
            m.d.sync += chosen.eq(here & fits[register.bits])
            if register.access == "write":
                for byte in range((register.bits + 7) // 8):
                    part = slice(8 * byte, 8 * byte + 8)
                    with m.If(chosen & bus.write & bus.write_bytes[byte]):
                        m.d.sync += value[part].eq(bus.write_data[part])
                with m.If(chosen):
                    m.d.comb += bus.write_error.eq(0)
            else:
                m.d.comb += value.eq(chosen & bit)
                with m.If(chosen):
                    m.d.comb += bus.write_error.eq(refused)

    def _fits(self, m: Module, widths: set[int]) -> dict[int, Signal]:
        """For each width, whether what is strobed has no bit above it: every field is unsigned."""
        strobed = self.bus.write_data & Cat(bit.replicate(8) for bit in self.bus.write_bytes)
        fits = {bits: Signal(name=f"fits_{bits}") for bits in sorted(widths)}
        m.d.comb += (fit.eq(~strobed[bits:].any()) for bits, fit in fits.items())
        return fits

    def _read(self, m: Module, readable: dict[str, Value]) -> None:
        """Every register reads as what is ``readable`` under its name, or as its constant.

        A word of each group is chosen first, and a cycle later one of the groups.
        """
        bus, index_bits = self.bus, (GROUP_BYTES // WORD_BYTES).bit_length() - 1
        index, number = bus.read_word[:index_bits], bus.read_word[index_bits:]
        chosen, error = Const(0, WORD_BITS), Const(1)
        for place, group in enumerate(GROUPS):
            words = self._words(group, readable)
            *others, last = words
            word, known = Signal(WORD_BITS, name=f"{group}_word"), Signal(name=f"{group}_known")
            there: Value = index <= last
            for hole in sorted(set(range(last)) - words.keys()):
                there &= index != hole
            m.d.sync += known.eq((number == place) & there)
            with m.Switch(index[: last.bit_length()]):
                for offset in others:
                    with m.Case(offset):
                        m.d.sync += word.eq(words[offset])
                with m.Default():
                    m.d.sync += word.eq(words[last])
            chosen, error = chosen | Mux(known, word, 0), error & ~known
        m.d.comb += [bus.read_data.eq(chosen), bus.read_error.eq(error)]

    def _words(self, group: str, readable: dict[str, Value]) -> dict[int, Value]:
        """Words of ``group`` by their number in it, in order; there may be holes."""
        words = {}
        for name, register in self._registers.items():
            if register.group == group:
                constant = register.value
                value = readable[name] if constant is None else Const(constant, WORD_BITS)
                first = register.address % GROUP_BYTES // WORD_BYTES
                for number, place in enumerate(range(0, register.bits, WORD_BITS), first):
                    words[number] = value[place : place + WORD_BITS]
        return words


def _fields(group: str, view: data.View) -> dict[str, Value]:
    names = data.Layout.cast(view.shape()).members
    return {f"{group}_{name}": Value.cast(view[name]) for name in names}
