"""From replies to bytes of the line."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..lib.skid_buffer import SkidBuffer, buffered
from .checksum import Checksum
from .cobs import CobsEncoder
from .frames import CRC_BYTES, FrameByte


class Transmitter(wiring.Component):
    """Frames of replies::

        i -+----------> [CobsEncoder] -> bytes
           +-> [CRC] ---^

    Throughput: two cycles a byte, or what `hdl.link.checksum.Checksum` takes. Back-pressure: the
    streams' own. Overflow: none.

    Parameters
    ----------
    byte_cycles : int
        Of `hdl.link.checksum.Checksum`.
    skid_buffers : bool
        Of `hdl.link.link.Link`.

    Members
    -------
    i : In(stream of FrameByte)
        Bytes of a reply, and its end.
    o : Out(stream of 8)
    """

    def __init__(self, byte_cycles: int = 1, *, skid_buffers: bool = True) -> None:
        self._byte_cycles, self._skid_buffers = byte_cycles, skid_buffers
        super().__init__({"i": In(stream.Signature(FrameByte)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cobs = cobs = CobsEncoder()
        m.submodules.check = check = Checksum(self._byte_cycles)
        wiring.connect(m, cobs.o, wiring.flipped(self.o))
        source = buffered(m, "given", wiring.flipped(self.i), needed=self._skid_buffers)
        index, item = Signal(range(CRC_BYTES)), cobs.i
        if self._skid_buffers:
            m.submodules.framed = framed = SkidBuffer(FrameByte)
            wiring.connect(m, framed.o, cobs.i)
            item = framed.i
        m.d.comb += [
            item.payload.data.eq(source.payload.data),
            check.data.eq(source.payload.data),
        ]
        with m.FSM():
            with m.State("FRAME"):
                body = Signal()
                m.d.comb += [
                    body.eq(source.valid & ~source.payload.end & ~check.busy),
                    item.valid.eq(body),
                    check.valid.eq(body & item.ready),
                    source.ready.eq(check.valid),
                ]
                with m.If(source.valid & source.payload.end & ~check.busy):
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += item.valid.eq(1)
                with m.Switch(index):
                    for place in range(CRC_BYTES):
                        with m.Case(place):
                            m.d.comb += item.payload.data.eq(check.crc.word_select(place, 8))
                with m.If(item.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == CRC_BYTES - 1):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [item.valid.eq(1), item.payload.end.eq(1), item.payload.sound.eq(1)]
                m.d.comb += [source.ready.eq(item.ready), check.start.eq(1)]
                with m.If(item.ready):
                    m.next = "FRAME"
        return m
