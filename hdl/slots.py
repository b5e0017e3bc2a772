"""The slot rule in hardware."""

from __future__ import annotations

from itertools import pairwise

from amaranth.hdl import Array, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import EngineConfig
from .protocol import COUNT_BITS, job_layout, token_layout

SLOT = data.StructLayout({"carried": 1, "ends": 1})
"""What is remembered of an older slot: whether it carried a group that ends a mini-batch."""


class SlotController(wiring.Component):
    """Cuts a pass into slots, takes beats and sends each on with its token.

    A slot has ``chunks * q`` plane beats and the label beats. Its live group comes from the
    stream, the group of ``delay`` slots ago is replayed beside it. A slot may start when

    - the last one started at least ``slot_cycles`` ago, so that every model word it reads has
      been written; beats that the stream withholds do not count;
    - the errors of the group that it replays are there.

    Nothing else waits, and once a slot has started only the stream can hold it up.

    Latency: 1 cycle from a beat taken to its token. Throughput: a beat a cycle.
    Back-pressure: ``beats.ready`` is low between slots and in empty slots.

    Members
    -------
    job : In(job_layout)
        Stable during a pass.
    start : In(1)
    done : Out(1)
        Set for one cycle, in the cycle in which a further slot could start.
    beats : In(stream)
    errors_due : In(1)
        A group's errors can be read from the cycle after next.
    token : Out(token_layout)
    beat : Out(beat_bits)
    cycles, beats_taken : Out(2 * COUNT_BITS)
        Counters of the pass (`hdl.protocol.Status`).
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "job": In(job_layout(config)),
                "start": In(1),
                "done": Out(1),
                "beats": In(stream.Signature(config.beat_bits)),
                "errors_due": In(1),
                "token": Out(token_layout(config)),
                "beat": Out(config.beat_bits),
                "cycles": Out(2 * COUNT_BITS),
                "beats_taken": Out(2 * COUNT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        running, open_, step, slot_end = Signal(), Signal(), Signal(), Signal()
        pending, live, older, may_start = Signal(), Signal(), Signal(SLOT), Signal()

        m.d.comb += [
            self.beats.ready.eq(running & live & (open_ | may_start)),
            step.eq(running & pending & (open_ | may_start) & (~live | self.beats.valid)),
            self.done.eq(running & ~pending & may_start),
        ]
        m.d.sync += open_.eq((open_ | step) & ~slot_end)
        with m.If(self.start | self.done):
            m.d.sync += running.eq(self.start)

        self._count_groups(m, slot_end, pending, live, older)
        self._pace(m, step & ~open_, step, open_, older, may_start)
        self._send_tokens(m, step, slot_end, live, older)

        with m.If(self.start):
            m.d.sync += [self.cycles.eq(0), self.beats_taken.eq(0)]
        with m.Elif(running & ~self.done):
            taken = self.beats.valid & self.beats.ready
            m.d.sync += [
                self.cycles.eq(self.cycles + 1),
                self.beats_taken.eq(self.beats_taken + taken),
            ]
        return m

    def _count_groups(
        self, m: Module, slot_end: Signal, pending: Signal, live: Signal, older: data.View
    ) -> None:
        """Which slots carry a group, and the history that finds the replayed one."""
        job = self.job
        groups_left, batch_left = Signal(COUNT_BITS), Signal(COUNT_BITS)
        empty_left = Signal(range(self._config.max_delay + 1))
        last = groups_left == 1
        ends = last | (batch_left == 1)
        history = Array(
            Signal(SLOT, name=f"slot_{age}_ago") for age in range(1, self._config.max_delay + 1)
        )
        m.d.comb += [
            live.eq((groups_left != 0) & (empty_left == 0)),
            pending.eq((groups_left != 0) | (empty_left != 0)),
            older.eq(history[job.delay - 1]),
        ]
        with m.If(self.start):
            m.d.sync += [
                groups_left.eq(job.groups),
                batch_left.eq(job.batch_groups),
                empty_left.eq(0),
                *(slot.eq(0) for slot in history),
            ]
        with m.Elif(slot_end):
            m.d.sync += [history[0].carried.eq(live), history[0].ends.eq(ends)]
            m.d.sync += [newer.eq(old) for old, newer in pairwise(history)]
            with m.If(live):
                m.d.sync += [
                    groups_left.eq(groups_left - 1),
                    batch_left.eq(batch_left - 1),
                ]
                with m.If(ends):
                    m.d.sync += batch_left.eq(job.batch_groups)
                    with m.If(job.sync | last):
                        m.d.sync += empty_left.eq(job.delay)
            with m.Else():
                m.d.sync += empty_left.eq(empty_left - 1)

    def _pace(
        self,
        m: Module,
        opens: Signal,
        step: Signal,
        open_: Signal,
        older: data.View,
        may_start: Signal,
    ) -> None:
        """When a slot may start: see the class."""
        spare = self._config.update_latency - 2
        timer = Signal(range(self._config.max_bits + spare + 1))
        credit = Signal(range(self._config.max_delay + 2))
        m.d.comb += may_start.eq(~open_ & (timer == 0) & (~older.carried | (credit != 0)))
        m.d.sync += credit.eq(credit + self.errors_due - (opens & older.carried))
        with m.If(opens):
            m.d.sync += timer.eq(self.job.bits + spare)
        with m.Elif((timer != 0) & (step | ~open_)):
            m.d.sync += timer.eq(timer - 1)

    def _send_tokens(
        self, m: Module, step: Signal, slot_end: Signal, live: Signal, older: data.View
    ) -> None:
        """The place of a beat in its group."""
        config, job, token = self._config, self.job, self.token
        chunk, plane = Signal(range(config.max_chunks)), Signal(range(config.max_bits))
        label = Signal()
        label_beat = Signal(unsigned(max(1, (config.label_beats - 1).bit_length())))
        last_plane, last_chunk = plane == job.bits - 1, chunk == job.chunks - 1
        last_label = label_beat == config.label_beats - 1
        m.d.comb += slot_end.eq(step & label & last_label)

        m.d.sync += [
            self.beat.eq(self.beats.payload),
            token.live.eq(step & live),
            token.replay.eq(step & older.carried),
            token.label.eq(label),
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
            m.d.sync += label_beat.eq(label_beat + 1)
            with m.If(last_label):
                m.d.sync += [label_beat.eq(0), label.eq(0)]
