"""Samples in the FPGA's block RAM."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from ..lib.arith import delay, fanout_tree
from .burst import BurstCounter
from .interface import READ_LATENCY, MemorySignature

SLICE_BITS = 16
"""Bits of a word whose blocks share registers."""

SPREAD = 2
"""Registers on the way to those."""


class BlockMemory(wiring.Component):
    """Block RAM behind a `MemorySignature`.

    Latency: the first word of a read comes ``1 + SPREAD + READ_LATENCY`` cycles after its request
    was taken. Throughput: a word a cycle, also from one request to the next. Back-pressure: none
    but the words of earlier requests. Addresses wrap at ``2 ** address_bits``; words from ``depth``
    on are not there. A reset may spoil the last word.

    Parameters
    ----------
    width, depth : int
        Bits of a word, and words.
    longest : int
        Most words of a request.

    Members
    -------
    port : In(MemorySignature)
    """

    def __init__(self, width: int, depth: int, longest: int) -> None:
        if depth < 2:
            raise ValueError(f"depth must be 2 or more, not {depth}")
        self._depth = depth
        super().__init__({"port": In(MemorySignature(width, ceil_log2(depth), longest))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port, width = self.port, self.port.signature.width
        m.submodules.counter = counter = BurstCounter(port.signature)
        wiring.connect(m, wiring.flipped(port.requests), counter.requests)
        m.d.comb += [
            counter.word.eq(~counter.writes | port.writes.valid),
            port.writes.ready.eq(counter.active & counter.writes),
        ]
        # A wide memory is spread over the chip: what goes there leaves registers, which few of its
        # blocks share.
        places = range(0, width, SLICE_BITS)
        words = delay(m, port.writes.payload, SPREAD)
        addresses = fanout_tree(m, counter.address, SPREAD, len(places))
        writes = fanout_tree(m, port.writes.valid & port.writes.ready, SPREAD, len(places))
        for place, address, writing in zip(places, addresses, writes, strict=True):
            m.submodules[f"memory_{place}"] = store = memory.Memory(
                shape=min(SLICE_BITS, width - place), depth=self._depth, init=[]
            )
            write, read = store.write_port(), store.read_port()
            m.d.comb += [
                write.addr.eq(address),
                write.data.eq(words[place:][:SLICE_BITS]),
                write.en.eq(writing),
                read.addr.eq(address),
                read.en.eq(1),
            ]
            # Without reset, so that it can be the memory's own output register.
            shown = Signal(len(read.data), name=f"shown_{place}", reset_less=True)
            m.d.sync += shown.eq(read.data)
            m.d.comb += port.reads.payload[place:][:SLICE_BITS].eq(shown)
        coming = Signal(SPREAD + READ_LATENCY)
        m.d.sync += coming.eq((coming << 1) | (counter.active & ~counter.writes))
        m.d.comb += port.reads.valid.eq(coming[-1])
        return m
