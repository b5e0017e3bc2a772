"""A deep queue in block RAM, with the memory's output register."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import is_power_of_two
from .interface import READ_LATENCY, WordSignature

AHEAD = 8
"""Words that wait behind the memory, or are on their way there: more than a round trip takes."""


class Queue(wiring.Component):
    """First in, first out, for a source that counts::

        i -> [block RAM, register] -> [a few words of distributed RAM] -> o

    The source counts what is inside by ``taken``, and never sends more than ``depth`` words that
    were not taken. The few words behind the block RAM let it run without an enable, so that its
    register can be the memory's own. With a read latency of 1 there is no register and nothing
    behind the block RAM: it is read when its last word is taken.

    Latency: ``2 * read_latency`` cycles from ``i`` to ``o``. Throughput: a word a cycle.
    Back-pressure: of ``o``.

    Parameters
    ----------
    width, depth : int
        Bits of a word, and words: a power of two from `AHEAD` up.
    read_latency : int
        Cycles from the block RAM's address to its data, 1 or 2.

    Members
    -------
    i : In(WordSignature)
    o : Out(stream of width)
    taken : Out(1)
        A word has left, in the cycle before.
    clear : In(1)
        Drop what is inside; ``i`` must rest.
    """

    def __init__(self, width: int, depth: int, read_latency: int = READ_LATENCY) -> None:
        if not is_power_of_two(depth) or depth < AHEAD:
            raise ValueError(f"depth must be a power of two from {AHEAD} up, not {depth}")
        self._width, self._depth, self._read_latency = width, depth, read_latency
        super().__init__(
            {
                "i": In(WordSignature(width)),
                "o": Out(stream.Signature(width)),
                "taken": Out(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.store = store = memory.Memory(shape=self._width, depth=self._depth, init=[])
        if self._read_latency == 1:
            self._read_at_once(m, store)
        else:
            self._read_ahead(m, store)
        return m

    def _read_at_once(self, m: Module, store: memory.Memory) -> None:
        write, read = store.write_port(), store.read_port()
        # One bit more than an address: equal pointers mean empty.
        tail, head = Signal(range(2 * self._depth)), Signal(range(2 * self._depth))
        m.d.comb += [
            write.addr.eq(tail),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid),
            read.addr.eq(head),
            read.en.eq((head != tail) & (~self.o.valid | self.o.ready)),
            self.o.payload.eq(read.data),
        ]
        m.d.sync += [
            self.taken.eq(self.o.valid & self.o.ready),
            self.o.valid.eq(read.en | (self.o.valid & ~self.o.ready)),
            tail.eq(tail + self.i.valid),
            head.eq(head + read.en),
        ]
        with m.If(self.clear):
            m.d.sync += [self.taken.eq(0), self.o.valid.eq(0), tail.eq(0), head.eq(0)]

    def _read_ahead(self, m: Module, store: memory.Memory) -> None:
        m.submodules.ahead = ahead = memory.Memory(shape=self._width, depth=AHEAD, init=[])
        write, read = store.write_port(), store.read_port()
        write_ahead, read_ahead = ahead.write_port(), ahead.read_port(domain="comb")
        shown = Signal(self._width, reset_less=True)

        # Fetched is what has left the block RAM; it fits behind it.
        stored, fetched = Signal(range(self._depth + 1)), Signal(range(AHEAD + 1))
        there, on_the_way = Signal(range(AHEAD + 1)), Signal(READ_LATENCY)
        fetch, taken = Signal(), Signal()
        m.d.comb += [
            fetch.eq((stored != 0) & ~fetched[-1]),
            taken.eq(self.o.valid & self.o.ready),
            self.o.valid.eq(there != 0),
            self.o.payload.eq(read_ahead.data),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid),
            read.en.eq(1),
            write_ahead.data.eq(shown),
            write_ahead.en.eq(on_the_way[-1]),
        ]
        m.d.sync += [
            shown.eq(read.data),
            self.taken.eq(taken),
            on_the_way.eq((on_the_way << 1) | fetch),
            stored.eq(stored + self.i.valid - fetch),
            fetched.eq(fetched + fetch - self.taken),
            there.eq(there + on_the_way[-1] - taken),
        ]
        moves = (
            (write, write.en),
            (read, fetch),
            (write_ahead, write_ahead.en),
            (read_ahead, taken),
        )
        for port, moved in moves:
            m.d.sync += port.addr.eq(port.addr + moved)
        with m.If(self.clear):
            m.d.sync += [
                register.eq(0) for register in (stored, fetched, there, on_the_way, self.taken)
            ]
            m.d.sync += [port.addr.eq(0) for port, _ in moves]
