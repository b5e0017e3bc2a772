"""Loading and dumping the model, a word at a time."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Member, Out

from ..contract.config import EngineConfig
from ..contract.job import Mode
from ..contract.protocol import job_layout, row_layout
from ..lib.arith import delay, fanout_tree


def transfer_members(config: EngineConfig) -> dict[str, Member]:
    """Members of `Transfer` and of `hdl.engine.lean_transfer.LeanTransfer`."""
    words = stream.Signature(signed(config.model_bits))
    return {
        "job": In(job_layout(config)),
        "start": In(1),
        "done": Out(1),
        "cancel": In(1),
        "i": In(words),
        "o": Out(words),
        "chunk": Out(range(config.max_chunks)),
        "x": In(row_layout(config)),
        "write": Out(1),
        "active": Out(1),
    }


class Transfer(wiring.Component):
    """Moves ``chunks * lanes`` model words between the model's rows and a stream of words.

    Loading writes both copies, dumping reads x. Words go in the order of their features.

    Throughput: loading a word a cycle and two cycles more, dumping a row in ``read_latency + 1
    + 2 * lanes`` cycles; ``fanout_stages`` makes each of those twos as much longer. ``done`` comes
    a cycle after the last.
    Back-pressure: the streams' own.

    Members
    -------
    job : In(job_layout)
        Stable from ``start`` to ``done``; its mode is `Mode.LOAD` or `Mode.DUMP`.
    start : In(1)
    done : Out(1)
        Set for one cycle.
    cancel : In(1)
        End the job at once, without ``done``.
    i, o : stream of signed(model_bits)
    chunk : Out(range(max_chunks))
        Row to read or write.
    x : In(row_layout)
        The row at ``chunk``, ``read_latency + 1 + fanout_stages`` cycles later.
    write : Out(1)
        Whether ``chunk`` takes the row of ``1 + fanout_stages`` cycles later.
    active : Out(1)
        Between ``start`` and ``done``: the model is addressed from here.
    row : Out(row_layout)
        The row to write.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__({**transfer_members(config), "row": Out(row_layout(config))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, lanes = self._config, self._config.lanes
        read_latency, spread = config.read_latency, config.fanout_stages
        lane = Signal(range(lanes))
        # A row that is asked for goes through ``waits`` while it is read.
        asks, waits = Signal(), Signal(read_latency + spread + 2)
        m.d.sync += waits.eq(Cat(asks, waits))
        with m.If(self.cancel):
            m.d.sync += waits.eq(0)
        last_lane, last_chunk = Signal(), Signal()
        # Rows are written after they have come; a row takes two cycles at least, so that what asks
        # for the last one may be a register.
        coming, last_coming = Signal.like(self.chunk), Signal()
        taking = Signal()  # a register: rows, counters and states hang on what is taken
        top_chunk = Signal.like(self.chunk)
        m.d.sync += [
            top_chunk.eq(self.job.chunks - 1),
            last_chunk.eq(self.chunk == top_chunk),
            last_coming.eq(coming == top_chunk),
        ]

        # Words come in at the top of the row and leave at its bottom, cycles after their turn, so
        # that what moves the whole row are registers.
        offers = Signal()  # a register: ``row[0]`` is a word to send, and nothing moves
        loaded, sent = taking & self.i.valid, offers & self.o.ready
        moved = loaded | sent
        word = delay(m, self.i.payload, 1 + spread)
        shifts = Signal(1 + spread)
        m.d.sync += shifts.eq(Cat(moved, shifts))
        rests = ~Cat(moved, shifts)[: 1 + spread].any()
        with m.If(moved):
            m.d.sync += [lane.eq(lane + 1), last_lane.eq(lane == lanes - 2)]
        changes = fanout_tree(m, moved | waits[read_latency], 1 + spread, lanes)
        captures = fanout_tree(m, waits[read_latency - 1], 2 + spread, lanes)
        above = [*(self.row[n] for n in range(1, lanes)), word.as_signed()]
        for n, (change, capture) in enumerate(zip(changes, captures, strict=True)):
            with m.If(change):
                m.d.sync += self.row[n].eq(Mux(capture, self.x[n], above[n]))

        ended = self.done | self.cancel  # a register: the next start hangs on it
        m.d.sync += self.done.eq(0)
        with m.If(self.start):
            m.d.sync += self.active.eq(1)
        with m.If(ended):
            m.d.sync += self.active.eq(0)
        written = Signal(1 + spread)
        row_loaded, row_sent = loaded & last_lane, sent & last_lane
        m.d.comb += [
            self.i.ready.eq(taking),
            self.o.valid.eq(offers),
            self.o.payload.eq(self.row[0]),
        ]
        m.d.sync += [
            self.write.eq(row_loaded & ~self.cancel),
            written.eq(Cat(self.write, written)),
            offers.eq(0),
        ]
        with m.If(row_loaded):
            m.d.sync += [coming.eq(coming + 1), taking.eq(~last_coming)]
        with m.If(written[-1] | row_sent):
            m.d.sync += self.chunk.eq(self.chunk + 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [lane.eq(0), last_lane.eq(0), self.chunk.eq(0)]
                m.d.sync += [coming.eq(0), taking.eq(0), written.eq(0)]
                with m.If(self.start & ~self.cancel):
                    m.d.sync += taking.eq(self.job.mode == Mode.LOAD)
                    m.next = "LOAD"
                    with m.If(self.job.mode == Mode.DUMP):
                        m.d.comb += asks.eq(1)
                        m.next = "READ"
            with m.State("LOAD"):
                m.d.sync += self.done.eq(written[-1] & ~taking & ~self.cancel)
                with m.If(ended):
                    m.d.sync += taking.eq(0)
                    m.next = "IDLE"
            with m.State("READ"):
                with m.If(waits[-1]):
                    m.d.sync += offers.eq(~self.cancel)
                    m.next = "DUMP"
                with m.If(ended):
                    m.next = "IDLE"
            with m.State("DUMP"):
                m.d.sync += offers.eq(rests & ~self.cancel)
                with m.If(row_sent):
                    m.d.sync += self.done.eq(last_chunk & ~self.cancel)
                    m.d.comb += asks.eq(1)
                    m.next = "READ"
                with m.If(self.cancel):
                    m.next = "IDLE"
        return m
