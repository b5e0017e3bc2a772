"""Samples in the FPGA's block RAM."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In
from amaranth.utils import ceil_log2

from ..config import READ_LATENCY
from .burst import BurstCounter
from .interface import MemorySignature

assert READ_LATENCY == 2, "memories here have one output register"


class BlockMemory(wiring.Component):
    """Block RAM behind a `MemorySignature`.

    Latency: the first word of a read comes ``2 + READ_LATENCY`` cycles after its request was taken.
    Throughput: a word a cycle, also from one request to the next. Back-pressure: none but the
    words of earlier requests. Addresses wrap at ``2 ** address_bits``; words from ``depth`` on
    are not there.

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
        port = self.port
        m.submodules.memory = store = memory.Memory(
            shape=port.signature.width, depth=self._depth, init=[]
        )
        write, read = store.write_port(), store.read_port()

        m.submodules.counter = counter = BurstCounter(port.signature)
        wiring.connect(m, wiring.flipped(port.requests), counter.requests)
        m.d.comb += [
            counter.word.eq(~counter.writes | port.writes.valid),
            port.writes.ready.eq(counter.active & counter.writes),
        ]
        # A wide memory is spread over the chip: what goes there leaves registers.
        address = Signal.like(counter.address)
        m.d.sync += [
            address.eq(counter.address),
            write.data.eq(port.writes.payload),
            write.en.eq(port.writes.valid & port.writes.ready),
        ]
        m.d.comb += [read.addr.eq(address), read.en.eq(1), write.addr.eq(address)]
        # Without reset, so that it can be the memory's own output register.
        shown = Signal(port.signature.width, reset_less=True)
        coming = Signal(1 + READ_LATENCY)
        m.d.sync += [
            shown.eq(read.data),
            coming.eq((coming << 1) | (counter.active & ~counter.writes)),
        ]
        m.d.comb += [port.reads.payload.eq(shown), port.reads.valid.eq(coming[-1])]
        return m
