"""The addresses of a request, one after the other."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .interface import MemorySignature, request_layout


class BurstCounter(wiring.Component):
    """Takes requests and counts through their addresses, for a memory that takes a word a cycle.

    Latency: 1 cycle from a request to its first address. Throughput: an address in every cycle with
    ``word``, also from one request to the next.

    Parameters
    ----------
    port : MemorySignature
        Whose requests.

    Members
    -------
    requests : In(stream of request_layout)
    active : Out(1)
        ``address`` is due.
    writes : Out(1)
        It is written.
    address : Out(address_bits)
    word : In(1)
        Its word is being moved: on to the next address.
    """

    def __init__(self, port: MemorySignature) -> None:
        super().__init__(
            {
                "requests": In(stream.Signature(request_layout(port.address_bits, port.longest))),
                "active": Out(1),
                "writes": Out(1),
                "address": Out(port.address_bits),
                "word": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request = self.requests.payload
        left, last = Signal.like(request.length), Signal()
        m.d.comb += self.requests.ready.eq(~self.active | (last & self.word))
        with m.If(self.active & self.word):
            m.d.sync += [
                self.address.eq(self.address + 1),
                left.eq(left - 1),
                last.eq(left == 2),
                self.active.eq(~last),
            ]
        with m.If(self.requests.ready):
            m.d.sync += [
                self.active.eq(self.requests.valid),
                self.writes.eq(request.write),
                self.address.eq(request.address),
                left.eq(request.length),
                last.eq(request.length == 1),
            ]
        return m
