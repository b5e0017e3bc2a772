"""The slot rule in hardware."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from operator import or_

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import EngineConfig
from .job import Mode
from .protocol import EPOCH_COUNT_BITS, epoch_layout, job_layout, token_layout

SLOT = data.StructLayout({"carried": 1, "ends": 1})
"""What is remembered of an older slot: whether it carried a group that ends a mini-batch."""

UNDER_WAY_BITS = 4
"""Width of the counter of groups between their slot's end and their errors: some thirty cycles, in
which no more than five slots of eight cycles end."""


class SlotController(wiring.Component):
    """Cuts a job into slots, takes beats and sends each on with its token.

    A slot has ``chunks * q`` plane beats and the label beats. Its live group comes from the
    stream, the group of ``delay`` slots ago is replayed beside it. A slot may start when

    - the last one started at least ``Job.slot_cycles`` ago, so that every model word it reads has
      been written; beats that the stream withholds do not count;
    - the errors of the group that it replays are there;
    - if it starts an epoch, that epoch's values are there, which are taken when no group of the
      last epoch is still on its way to its errors;
    - in a job that sends margins, there is room for them.

    Nothing else waits, and once a slot has started only the stream can hold it up.

    Latency: 1 cycle from a beat taken to its token. Throughput: a beat a cycle.
    Back-pressure: ``beats.ready`` is low between slots and in empty slots.

    Members
    -------
    job : In(job_layout)
        Stable during a job.
    start : In(1)
    done : Out(1)
        Set for one cycle, in the cycle in which a further slot could start.
    epochs : In(stream of epoch_layout)
        One item an epoch.
    epoch : Out(epoch_layout)
        That of the groups on their way to their errors.
    beats : In(stream)
    room : In(1)
        Whether one more group's margins will find room.
    errors_soon : In(1)
        A group's errors can be read three cycles later.
    token : Out(token_layout)
    beat : Out(beat_bits)
    under_way : Out(UNDER_WAY_BITS)
        Groups taken whose errors are not soon there, the last one a cycle late.
    cycles, beats_taken : Out(2 * count_bits)
        Counters of the job (`hdl.protocol.Status`).
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "job": In(job_layout(config)),
                "start": In(1),
                "done": Out(1),
                "epochs": In(stream.Signature(epoch_layout(config))),
                "epoch": Out(epoch_layout(config)),
                "beats": In(stream.Signature(config.beat_bits)),
                "room": In(1),
                "errors_soon": In(1),
                "token": Out(token_layout(config)),
                "beat": Out(config.beat_bits),
                "under_way": Out(UNDER_WAY_BITS),
                "cycles": Out(2 * config.count_bits),
                "beats_taken": Out(2 * config.count_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        running, open_, step, slot_end = Signal(), Signal(), Signal(), Signal()
        pending, live, older, may_start = Signal(), Signal(), Signal(SLOT), Signal()
        wants_epoch, paced = Signal(), Signal()

        m.d.comb += [
            may_start.eq(paced & (~live | (~wants_epoch & self.room))),
            self.beats.ready.eq(running & live & (open_ | may_start)),
            step.eq(running & pending & (open_ | may_start) & (~live | self.beats.valid)),
            self.done.eq(running & ~pending & paced),
        ]
        m.d.sync += open_.eq((open_ | step) & ~slot_end)

        self._take_epochs(m, running, wants_epoch, slot_end & live)
        self._count_groups(m, slot_end, pending, live, older, wants_epoch)
        self._pace(m, step & ~open_, step, open_, older, paced)
        self._send_tokens(m, step, slot_end, live, older)
        self._count_cycles(m, running)
        return m

    def _count_cycles(self, m: Module, running: Signal) -> None:
        """Counters, a cycle behind what they count."""
        counts, taken = Signal(), Signal()
        m.d.sync += [
            counts.eq(running & ~self.done),
            taken.eq(self.beats.valid & self.beats.ready),
        ]
        for counter, event in ((self.cycles, counts), (self.beats_taken, taken)):
            with m.If(self.start):
                m.d.sync += counter.eq(0)
            with m.Elif(event):
                m.d.sync += counter.eq(counter + 1)

    def _take_epochs(
        self, m: Module, running: Signal, wants_epoch: Signal, group_taken: Signal
    ) -> None:
        """When an epoch's values replace those of the last; the first also start the clock."""
        taken, none = Signal(), Signal()
        m.d.sync += [
            taken.eq(group_taken),
            self.under_way.eq(self.under_way + taken - self.errors_soon),
        ]
        m.d.comb += [
            none.eq(~taken & (self.under_way == 0)),
            self.epochs.ready.eq(wants_epoch & none),
        ]
        with m.If(self.start):
            m.d.sync += wants_epoch.eq(1)
        with m.Elif(self.epochs.valid & self.epochs.ready):
            m.d.sync += [wants_epoch.eq(0), running.eq(1)]
        with m.If(self.epochs.ready):  # whether valid or not: nothing reads it before
            m.d.sync += self.epoch.eq(self.epochs.payload)
        with m.If(self.done):
            m.d.sync += running.eq(0)

    def _count_groups(
        self,
        m: Module,
        slot_end: Signal,
        pending: Signal,
        live: Signal,
        older: data.View,
        wants_epoch: Signal,
    ) -> None:
        """Which slots carry a group, and the history that finds the replayed one.

        Counters change a cycle after a slot has ended and matter where the next one does; slots
        are ``update_latency`` cycles apart at least, so what is asked of them is asked before.
        """
        job = self.job
        groups_left, batch_left = Signal.like(job.groups), Signal.like(job.batch_groups)
        epochs_left = Signal(EPOCH_COUNT_BITS)
        empty_left = Signal(range(self._config.max_delay + 1))
        last_group, last_of_batch, last_epoch = Signal(), Signal(), Signal()
        learns, ends, last = Signal(), Signal(), Signal()
        m.d.sync += [
            learns.eq(job.mode == Mode.TRAIN),
            last_group.eq(groups_left == 1),
            last_of_batch.eq(batch_left == 1),
            last_epoch.eq(epochs_left == 1),
        ]
        m.d.comb += [ends.eq(last_group | last_of_batch), last.eq(last_group & last_epoch)]

        groups_follow, counted, batch_ended = Signal(), Signal(), Signal()
        m.d.sync += [counted.eq(slot_end & live), batch_ended.eq(ends)]
        with m.If(self.start):
            m.d.sync += [
                groups_left.eq(job.groups),
                batch_left.eq(job.batch_groups),
                epochs_left.eq(job.epochs),
            ]
        with m.Elif(counted):
            m.d.sync += [groups_left.eq(groups_left - 1), batch_left.eq(batch_left - 1)]
            with m.If(batch_ended):
                m.d.sync += batch_left.eq(job.batch_groups)
            with m.If(last_group):
                m.d.sync += [groups_left.eq(job.groups), epochs_left.eq(epochs_left - 1)]

        with m.If(self.start):
            m.d.sync += [flag.eq(1) for flag in (groups_follow, live, pending)]
        with m.Elif(slot_end & live):
            m.d.sync += [flag.eq(~last) for flag in (groups_follow, live, pending)]
            with m.If(ends & learns & (job.sync | last)):
                m.d.sync += [empty_left.eq(job.delay), live.eq(0), pending.eq(1)]
            with m.If(last_group & ~last):
                m.d.sync += wants_epoch.eq(1)
        with m.Elif(slot_end):
            m.d.sync += empty_left.eq(empty_left - 1)
            with m.If(empty_left == 1):
                m.d.sync += [live.eq(groups_follow), pending.eq(groups_follow)]

        present = Signal(SLOT)
        m.d.comb += [present.carried.eq(live & learns), present.ends.eq(ends)]
        self._remember(m, slot_end, present, older)

    def _remember(self, m: Module, slot_end: Signal, present: data.View, older: data.View) -> None:
        """``older`` is the slot of ``delay`` slots ago."""
        history = [present]
        for age in range(1, self._config.max_delay):
            history.append(Signal(SLOT, name=f"slot_{age}_ago"))
        chosen = Signal(self._config.max_delay)
        m.d.sync += chosen.eq((1 << self.job.delay) >> 1)
        with m.If(self.start):
            m.d.sync += [slot.eq(0) for slot in (older, *history[1:])]
        with m.Elif(slot_end):
            m.d.sync += [newer.eq(old) for old, newer in pairwise(history)]
            gated = (Mux(chosen[age], slot.as_value(), 0) for age, slot in enumerate(history))
            m.d.sync += older.eq(reduce(or_, gated))

    def _pace(
        self,
        m: Module,
        opens: Signal,
        step: Signal,
        open_: Signal,
        older: data.View,
        paced: Signal,
    ) -> None:
        """When memories and errors are ready for a slot: see the class."""
        banks = self._config.banks
        spare = self._config.update_latency - 2
        least = self._config.max_bits + spare + 1
        timer, spacing = Signal(range(max(least, banks))), Signal(range(max(least, banks)))
        errors_due, waiting, credit = Signal(), Signal(), Signal(range(self._config.max_delay + 2))
        learns, summing = Signal(), self.job.mode == Mode.EVALUATE
        written = self.job.bits + spare
        m.d.comb += paced.eq(~open_ & ~waiting & (~older.carried | (credit != 0)))
        m.d.sync += [
            learns.eq(self.job.mode == Mode.TRAIN),
            errors_due.eq(self.errors_soon),
            spacing.eq(Mux(summing & (written < banks - 1), banks - 1, written)),
            credit.eq(credit + (errors_due & learns) - (opens & older.carried)),
        ]
        with m.If(opens):
            m.d.sync += [timer.eq(spacing), waiting.eq(1)]
        with m.Elif(waiting & (step | ~open_)):
            m.d.sync += [timer.eq(timer - 1), waiting.eq(timer != 1)]

    def _send_tokens(
        self, m: Module, step: Signal, slot_end: Signal, live: Signal, older: data.View
    ) -> None:
        """The place of a beat in its group."""
        config, job, token = self._config, self.job, self.token
        chunk, plane = Signal(range(config.max_chunks)), Signal(range(config.max_bits))
        label, word = Signal(), Signal(token.word.shape())
        beat = Signal(range(max(config.label_beats, 2)))
        top_plane, top_chunk = Signal.like(plane), Signal.like(chunk)
        m.d.sync += [top_plane.eq(job.bits - 1), top_chunk.eq(job.chunks - 1)]
        last_plane, last_chunk = plane == top_plane, chunk == top_chunk
        last_beat = beat == config.label_beats - 1
        # Words are sent in the order of their numbers, without those the job leaves out.
        more = Mux(word == 0, job.weighted | job.offset, (word == 1) & job.offset)
        m.d.comb += slot_end.eq(step & label & last_beat & ~more)

        m.d.sync += [
            self.beat.eq(self.beats.payload),
            token.live.eq(step & live),
            token.replay.eq(step & older.carried),
            token.label.eq(label),
            token.word.eq(word),
            token.chunk.eq(chunk),
            token.first.eq(plane == 0),
            token.last.eq(last_plane),
            token.first_chunk.eq(chunk == 0),
            token.last_chunk.eq(last_chunk),
            token.group_end.eq(slot_end),
            token.commit.eq(older.ends),
        ]
        with m.If(step & ~label):
            m.d.sync += plane.eq(plane + 1)
            with m.If(last_plane):
                m.d.sync += [plane.eq(0), chunk.eq(chunk + 1)]
                with m.If(last_chunk):
                    m.d.sync += [chunk.eq(0), label.eq(1)]
        with m.If(step & label):
            m.d.sync += beat.eq(beat + 1)
            with m.If(last_beat):
                m.d.sync += [beat.eq(0), word.eq(Mux((word == 0) & job.weighted, 1, 2))]
            with m.If(slot_end):
                m.d.sync += [word.eq(0), label.eq(0)]
