"""One memory for a reader and a writer."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .interface import MemorySignature


class Arbiter(wiring.Component):
    """Merges the requests of an initiator that only reads and one that only writes.

    A write goes first if both ask at once; otherwise requests are served as they come.

    Latency: 1 cycle from request to request. Throughput: a request in 2 cycles; words of both
    kinds pass at once. Back-pressure: of the memory.

    Parameters
    ----------
    signature : MemorySignature

    Members
    -------
    reader, writer : In(MemorySignature)
    port : Out(MemorySignature)
    """

    def __init__(self, signature: MemorySignature) -> None:
        super().__init__({"reader": In(signature), "writer": In(signature), "port": Out(signature)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port, reader, writer = self.port, self.reader, self.writer
        m.d.comb += [
            writer.requests.ready.eq(~port.requests.valid),
            reader.requests.ready.eq(~port.requests.valid & ~writer.requests.valid),
            port.writes.payload.eq(writer.writes.payload),
            port.writes.valid.eq(writer.writes.valid),
            writer.writes.ready.eq(port.writes.ready),
            reader.reads.payload.eq(port.reads.payload),
            reader.reads.valid.eq(port.reads.valid),
        ]
        with m.If(~port.requests.valid):
            first, second = writer.requests, reader.requests
            m.d.sync += [
                port.requests.payload.eq(Mux(first.valid, first.payload, second.payload)),
                port.requests.valid.eq(first.valid | second.valid),
            ]
        with m.Elif(port.requests.ready):
            m.d.sync += port.requests.valid.eq(0)
        return m
