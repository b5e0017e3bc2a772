"""From the link to a memory of samples."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..lib.gearbox import Gearbox
from .interface import MemorySignature


class SampleWriter(wiring.Component):
    """Writes a stream to consecutive addresses, a request a word.

    A word is asked for when it is there, so the stream may stop anywhere for any time.

    Latency: 1 cycle from a complete word to its request, one more if the widths differ.
    Throughput: a memory word in 3 cycles. Back-pressure: of the memory.

    Parameters
    ----------
    port : MemorySignature
        Of the memory.
    width : int
        Bits of an item of the stream; the memory's width is a multiple of it, or part of it.

    Members
    -------
    i : In(stream of width)
    address : In(address_bits)
        Of the next memory word if ``seek``.
    seek : In(1)
        Go on at ``address``; a word that is not complete is dropped. ``i`` must rest, and ``busy``
        be clear.
    busy : Out(1)
        A complete word is on its way to the memory: clear means that all can be read.
    port : Out(MemorySignature)
    """

    def __init__(self, port: MemorySignature, width: int) -> None:
        self._width = width
        super().__init__(
            {
                "i": In(stream.Signature(width)),
                "address": In(port.address_bits),
                "seek": In(1),
                "busy": Out(1),
                "port": Out(port),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port, request = self.port, self.port.requests.payload
        m.submodules.gearbox = gearbox = Gearbox(self._width, port.signature.width)
        wiring.connect(m, wiring.flipped(self.i), gearbox.i)
        asks, gives, taken = Signal(), Signal(), Signal()
        m.d.comb += [
            gearbox.clear.eq(self.seek),
            gearbox.o.ready.eq(~asks & ~gives),
            taken.eq(gearbox.o.valid & gearbox.o.ready),
            request.length.eq(1),
            request.write.eq(1),
            port.requests.valid.eq(asks),
            port.writes.valid.eq(gives),
            self.busy.eq(gearbox.o.valid | asks | gives),
        ]
        with m.If(asks & port.requests.ready):
            m.d.sync += [asks.eq(0), request.address.eq(request.address + 1)]
        with m.If(port.writes.ready):
            m.d.sync += gives.eq(0)
        with m.If(taken):
            m.d.sync += [
                asks.eq(1),
                gives.eq(1),
                port.writes.payload.eq(gearbox.o.payload),
            ]
        with m.If(self.seek):
            m.d.sync += request.address.eq(self.address)
        return m
