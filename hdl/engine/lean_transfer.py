"""Loading and dumping the model of a small engine, which lends its row for it."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from ..contract.config import EngineConfig
from ..contract.job import Mode
from .transfer import transfer_members


class LeanTransfer(wiring.Component):
    """What `hdl.engine.transfer.Transfer` does without a row of its own: words that come are
    shifted into that of `hdl.engine.lean_update.LeanUpdate`, and words that go are chosen from
    ``x``.

    Throughput: loading a row in ``lanes + 2`` cycles, dumping it in ``read_latency + 1 + lanes``.
    Back-pressure: the streams' own.

    Members
    -------
    Those of `Transfer`, but instead of its ``row``

    shift : Out(1)
        ``i.payload`` is the row's next word.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__({**transfer_members(config), "shift": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes, read_latency = self._config.lanes, self._config.read_latency
        lane, wait = Signal(range(lanes)), Signal(range(read_latency + 1))
        moved, ends = Signal(), Signal()
        m.d.comb += [
            self.shift.eq(self.i.valid & self.i.ready),
            moved.eq(self.shift | (self.o.valid & self.o.ready)),
            ends.eq(self.chunk == (self.job.chunks - 1)[: len(self.chunk)]),
        ]
        with m.Switch(lane):
            for number in range(lanes):
                with m.Case(number):
                    m.d.comb += self.o.payload.eq(self.x[number])
        with m.If(self.start):
            m.d.sync += self.active.eq(1)
        with m.If(self.done | self.cancel):
            m.d.sync += self.active.eq(0)
        with m.If(moved):
            m.d.sync += lane.eq(lane + 1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [self.chunk.eq(0), lane.eq(0), wait.eq(read_latency)]
                with m.If(self.start & ~self.cancel):
                    m.next = "LOAD"
                    with m.If(self.job.mode == Mode.DUMP):
                        m.next = "READ"
            with m.State("LOAD"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(moved & (lane == lanes - 1)):
                    m.next = "WRITE"
                with m.If(self.cancel):
                    m.next = "IDLE"
            with m.State("WRITE"):
                m.d.comb += self.write.eq(1)
                m.next = "WRITTEN"
                with m.If(self.cancel):
                    m.next = "IDLE"
            with m.State("WRITTEN"):
                m.d.sync += self.chunk.eq(self.chunk + 1)
                m.next = "LOAD"
                with m.If(ends):
                    m.d.comb += self.done.eq(1)
                with m.If(ends | self.cancel):
                    m.next = "IDLE"
            with m.State("READ"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "DUMP"
                with m.If(self.cancel):
                    m.next = "IDLE"
            with m.State("DUMP"):
                m.d.comb += self.o.valid.eq(1)
                m.d.sync += wait.eq(read_latency)
                with m.If(moved & (lane == lanes - 1)):
                    m.d.sync += self.chunk.eq(self.chunk + 1)
                    m.next = "READ"
                    with m.If(ends):
                        m.d.comb += self.done.eq(1)
                        m.next = "IDLE"
                with m.If(self.cancel):
                    m.next = "IDLE"
        return m
