"""The slot rule in hardware."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from operator import or_

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.job import Mode
from ..contract.protocol import (
    EPOCH_COUNT_BITS,
    MAX_LABEL_WORDS,
    epoch_layout,
    job_layout,
    token_layout,
)
from ..lib.arith import delay

PAST = data.StructLayout({"carried": 1, "ends": 1})
"""What is remembered of an older slot: whether it carried a group that ends a mini-batch."""

SLOT = data.StructLayout({"pending": 1, "live": 1, "older": PAST})
"""A slot: whether it will be, whether it carries a group, and the slot that it replays."""

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
    cancel : In(1)
        End the job at once, without ``done``; what was sent on passes through the pipeline, and
        must have left it before the next start.
    epochs : In(stream of epoch_layout)
        One item an epoch.
    epoch : Out(epoch_layout)
        That of the groups on their way to their errors.
    beats : In(stream)
    room : In(1)
        Whether the margins of a group that starts in the next cycle will find room.
    errors_soon : In(1)
        A group's errors can be read three cycles later.
    token : Out(token_layout)
    beat : Out(beat_bits)
    under_way : Out(UNDER_WAY_BITS)
        Groups taken whose errors are not soon there, the last one a cycle late.
    cycles, beats_taken : Out(2 * count_bits)
        Counters of the job (`hdl.contract.protocol.Status`).
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "job": In(job_layout(config)),
                "start": In(1),
                "done": Out(1),
                "cancel": In(1),
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
        running, go, open_, step, slot_end = Signal(), Signal(), Signal(), Signal(), Signal()
        slot, following, at_end = Signal(SLOT), Signal(SLOT), Signal()
        wants_epoch, takes_epoch, epoch_ends = Signal(), Signal(), Signal()
        waiting, expired, have_errors = Signal(), Signal(), Signal()
        m.d.comb += [
            self.beats.ready.eq(go & slot.live),
            step.eq(go & (~slot.live | self.beats.valid)),
            slot_end.eq(step & at_end),
            self.done.eq(running & ~slot.pending & ~open_ & ~waiting),
        ]

        # ``go`` is known a cycle ahead, with what follows a slot: a step hangs on registers alone.
        stays_open, then, now = Signal(), Signal(), Signal()
        still_wants = wants_epoch & ~takes_epoch
        m.d.comb += [
            stays_open.eq((open_ | step) & ~slot_end),
            then.eq(_may_start(following, have_errors, ~epoch_ends & ~still_wants & self.room)),
            now.eq(_may_start(slot, have_errors, ~still_wants & self.room)),
        ]
        m.d.sync += [
            open_.eq(stays_open),
            go.eq(
                stays_open | ((running | takes_epoch) & expired & Mux(slot_end, then, now)),
            ),
        ]

        self._send_tokens(m, step, slot_end, slot, at_end)
        self._take_epochs(m, running, wants_epoch, takes_epoch, slot_end & slot.live)
        self._count_groups(m, slot_end, slot, following, wants_epoch, epoch_ends)
        self._count_errors(m, step & ~open_ & slot.older.carried, have_errors)
        self._pace(m, step, open_, waiting, expired)
        self._count_cycles(m, running)
        with m.If(self.cancel):
            held = (running, go, open_, waiting, slot.pending, slot.live, wants_epoch)
            m.d.sync += [register.eq(0) for register in held]
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
        self,
        m: Module,
        running: Signal,
        wants_epoch: Signal,
        takes_epoch: Signal,
        group_taken: Value,
    ) -> None:
        """When an epoch's values replace those of the last; the first also start the clock."""
        taken, quiet, under_way = Signal(), Signal(), Signal.like(self.under_way)
        m.d.comb += under_way.eq(self.under_way + taken - self.errors_soon)
        m.d.sync += [
            taken.eq(group_taken),
            self.under_way.eq(under_way),
            quiet.eq(~group_taken & (under_way == 0)),
        ]
        with m.If(self.start):
            m.d.sync += self.under_way.eq(0)
        m.d.comb += [
            self.epochs.ready.eq(wants_epoch & quiet),
            takes_epoch.eq(self.epochs.ready & self.epochs.valid),
        ]
        with m.If(self.start):
            m.d.sync += wants_epoch.eq(1)
        with m.Elif(takes_epoch):
            m.d.sync += [wants_epoch.eq(0), running.eq(1)]
        with m.If(self.done):
            m.d.sync += running.eq(0)

        # Nothing asks for the values before the first group's margins are there.
        came, values = takes_epoch, self.epochs.payload
        if not self._config.area_optimised:
            came, values = delay(m, came, 1), delay(m, values, 1)
        with m.If(came):
            m.d.sync += self.epoch.eq(values)

    def _count_groups(
        self,
        m: Module,
        slot_end: Signal,
        slot: data.View,
        following: data.View,
        wants_epoch: Signal,
        epoch_ends: Signal,
    ) -> None:
        """Which slots carry a group, and what follows the present one.

        Counters change a cycle after a slot has ended and matter where the next one does; slots
        are ``update_latency`` cycles apart at least, so what is asked of them is asked before.
        """
        job, live = self.job, slot.live
        # Which group of the epoch and of its mini-batch the present one is, and which epoch it is.
        group, of_batch = Signal.like(job.groups), Signal.like(job.batch_groups)
        epoch = Signal(EPOCH_COUNT_BITS)
        empty_left = Signal(range(self._config.max_delay + 1))
        last_group, last_of_batch, last_epoch, last_empty = Signal(), Signal(), Signal(), Signal()
        learns, ends, last, drains = Signal(), Signal(), Signal(), Signal()
        groups_follow, counted, batch_ended = Signal(), Signal(), Signal()
        m.d.sync += [
            learns.eq(job.mode == Mode.TRAIN),
            last_group.eq(group == job.groups),
            last_of_batch.eq(of_batch == job.batch_groups),
            last_epoch.eq(epoch == job.epochs),
            last_empty.eq(empty_left == 1),
            counted.eq(slot_end & live),
            batch_ended.eq(ends),
        ]
        m.d.comb += [
            ends.eq(last_group | last_of_batch),
            last.eq(last_group & last_epoch),
            drains.eq(ends & learns & (job.sync | last)),
        ]
        with m.If(self.start):
            m.d.sync += [group.eq(1), of_batch.eq(1), epoch.eq(1)]
        with m.Elif(counted):
            m.d.sync += [group.eq(group + 1), of_batch.eq(of_batch + 1)]
            with m.If(batch_ended):
                m.d.sync += of_batch.eq(1)
            with m.If(last_group):
                m.d.sync += [group.eq(1), epoch.eq(epoch + 1)]

        m.d.sync += epoch_ends.eq(live & last_group & ~last)
        with m.If(live):
            m.d.sync += [following.live.eq(~last & ~drains), following.pending.eq(~last | drains)]
        with m.Else():
            m.d.sync += [
                following.live.eq(last_empty & groups_follow),
                following.pending.eq(~last_empty | groups_follow),
            ]
        self._remember(m, slot_end, slot, ends, learns, following)
        with m.If(self.start):
            m.d.sync += [slot.eq(0), slot.live.eq(1), slot.pending.eq(1)]
        with m.Elif(slot_end):
            m.d.sync += slot.eq(following)
        with m.If(slot_end & live):
            m.d.sync += [groups_follow.eq(~last), empty_left.eq(job.delay)]
            with m.If(epoch_ends):
                m.d.sync += wants_epoch.eq(1)
        with m.Elif(slot_end):
            m.d.sync += empty_left.eq(empty_left - 1)

    def _remember(
        self,
        m: Module,
        slot_end: Signal,
        slot: data.View,
        ends: Signal,
        learns: Signal,
        following: data.View,
    ) -> None:
        """``following.older`` is the slot ``delay`` slots before the one that follows."""
        present = Signal(PAST)
        m.d.comb += [present.carried.eq(slot.live & learns), present.ends.eq(ends)]
        history = [present]
        for age in range(1, self._config.max_delay):
            history.append(Signal(PAST, name=f"slot_{age}_ago"))
        chosen = Signal(self._config.max_delay)
        gated = (Mux(chosen[age], past.as_value(), 0) for age, past in enumerate(history))
        m.d.sync += [
            chosen.eq((1 << self.job.delay) >> 1),
            following.older.eq(reduce(or_, gated)),
        ]
        with m.If(self.start):
            m.d.sync += [past.eq(0) for past in history[1:]]
        with m.Elif(slot_end):
            m.d.sync += [newer.eq(old) for old, newer in pairwise(history)]

    def _count_errors(self, m: Module, used: Value, have_errors: Signal) -> None:
        """``have_errors`` where a slot that replays a group may start in the next cycle."""
        errors_due, learns = Signal(), Signal()
        credit, some = Signal(range(self._config.max_delay + 2)), Signal()
        following = Signal.like(credit)
        m.d.comb += [
            following.eq(credit + errors_due - used),
            have_errors.eq(errors_due | some),
        ]
        m.d.sync += [
            learns.eq(self.job.mode == Mode.TRAIN),
            errors_due.eq(self.errors_soon & learns),
            credit.eq(following),
            some.eq(following != 0),
        ]
        with m.If(self.start):
            m.d.sync += [credit.eq(0), some.eq(0)]

    def _pace(
        self, m: Module, step: Signal, open_: Signal, waiting: Signal, expired: Signal
    ) -> None:
        """When the model words of the last slot are written: see the class. ``expired`` says so of
        the cycle after a slot's end or of one without a slot."""
        banks = self._config.banks
        spare = self._config.update_latency - 2
        least = self._config.max_bits + spare + 1
        timer, spacing = Signal(range(max(least, banks))), Signal(range(max(least, banks)))
        written, summing = self.job.bits + spare, self.job.mode == Mode.EVALUATE
        due = Signal()  # ``timer`` is 1
        m.d.comb += expired.eq(~waiting | due)
        m.d.sync += spacing.eq(Mux(summing & (written < banks - 1), banks - 1, written))
        with m.If(step & ~open_):
            m.d.sync += [timer.eq(spacing), due.eq(0), waiting.eq(1)]  # two cycles at least
        with m.Elif(waiting & (step | ~open_)):
            m.d.sync += [timer.eq(timer - 1), due.eq(timer == 2), waiting.eq(~due)]

    def _send_tokens(
        self, m: Module, step: Signal, slot_end: Signal, slot: data.View, at_end: Signal
    ) -> None:
        """The place of a beat in its group; ``at_end`` where it is the group's last."""
        config, job, token = self._config, self.job, self.token
        chunk, plane = Signal(range(config.max_chunks)), Signal(range(config.max_bits))
        label, word = Signal(), Signal(range(MAX_LABEL_WORDS))
        beat = Signal(range(max(config.label_beats, 2)))
        before_last_plane, top_chunk = Signal.like(plane), Signal.like(chunk)
        last_plane, last_chunk = Signal(), Signal()
        one_beat = config.label_beats == 1
        last_beat = beat == config.label_beats - 1
        # Words are sent in the order of their numbers, without those the job leaves out.
        weighted, offset = Const(0), Const(0)
        if config.sample_words:
            weighted, offset = job.weighted, job.offset
            m.d.sync += token.word.eq(word)
        more = Mux(word == 0, weighted | offset, (word == 1) & offset)
        m.d.sync += [
            before_last_plane.eq(job.bits - 2),
            top_chunk.eq(job.chunks - 1),
            last_chunk.eq(chunk == top_chunk),  # a chunk has two planes at least
            self.beat.eq(self.beats.payload),
            token.live.eq(step & slot.live),
            token.replay.eq(step & slot.older.carried),
            token.label.eq(label),
            token.chunk.eq(chunk),
            token.first.eq(plane == 0),
            token.last.eq(last_plane),
            token.first_chunk.eq(chunk == 0),
            token.group_end.eq(slot_end),
            token.commit.eq(slot.older.ends),
        ]
        with m.If(step & ~label):
            m.d.sync += [plane.eq(plane + 1), last_plane.eq(plane == before_last_plane)]
            with m.If(last_plane):
                m.d.sync += [plane.eq(0), last_plane.eq(0), chunk.eq(chunk + 1)]
                with m.If(last_chunk):
                    m.d.sync += [chunk.eq(0), label.eq(1), at_end.eq(one_beat & ~more)]
        with m.If(step & label):
            m.d.sync += [beat.eq(beat + 1), at_end.eq((beat == config.label_beats - 2) & ~more)]
            with m.If(last_beat):
                weight_next = (word == 0) & weighted
                m.d.sync += [
                    beat.eq(0),
                    word.eq(Mux(weight_next, 1, 2)),
                    at_end.eq(one_beat & ~(weight_next & offset)),
                ]
            with m.If(at_end):
                m.d.sync += [word.eq(0), label.eq(0), at_end.eq(0)]
        with m.If(self.start):  # after a cancel they are anywhere
            places = (chunk, plane, last_plane, label, word, beat, at_end)
            m.d.sync += [place.eq(0) for place in places]


def _may_start(slot: data.View, have_errors: Value, group_may_come: Value) -> Value:
    return slot.pending & (~slot.older.carried | have_errors) & (~slot.live | group_may_come)
