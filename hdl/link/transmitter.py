"""From replies to bytes of the line."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .cobs import CobsEncoder
from .frames import CRC, CRC_BYTES, REPLY_BYTES, Reply


class Transmitter(wiring.Component):
    """Frames of replies::

        header, payload -+----------> [CobsEncoder] -> bytes
                         +-> [CRC] ---^

    Throughput: two cycles a byte. Back-pressure: the streams' own. Overflow: none.

    Members
    -------
    header : In(stream of Reply)
    payload : In(stream of 8)
        ``header.length`` bytes after each header.
    o : Out(stream of 8)
    """

    header: In(stream.Signature(Reply))
    payload: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cobs = cobs = CobsEncoder()
        m.submodules.check = check = CRC(data_width=8).create()
        wiring.connect(m, cobs.o, wiring.flipped(self.o))

        # Header and CRC leave from the bottom of one register.
        word, index = Signal(8 * REPLY_BYTES), Signal(range(REPLY_BYTES))
        left = Signal.like(self.header.payload.length)
        item, moved, checked = cobs.i.payload, Signal(), Signal()
        m.d.comb += [
            item.data.eq(word[:8]),
            item.sound.eq(item.end),
            moved.eq(cobs.i.valid & cobs.i.ready),
            check.data.eq(item.data),
            check.valid.eq(moved & checked),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.header.ready.eq(1), check.start.eq(1)]
                m.d.sync += [word.eq(self.header.payload), left.eq(self.header.payload.length)]
                with m.If(self.header.valid):
                    m.next = "HEADER"
            with m.State("HEADER"):
                m.d.comb += [cobs.i.valid.eq(1), checked.eq(1)]
                with m.If(moved):
                    m.d.sync += [word.eq(word[8:]), index.eq(index + 1)]
                    with m.If(index == REPLY_BYTES - 1):
                        m.d.sync += index.eq(0)
                        m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                m.d.sync += word.eq(check.crc)
                with m.If(left == 0):
                    m.next = "CRC"
                with m.Else():
                    m.d.comb += [
                        cobs.i.valid.eq(self.payload.valid),
                        self.payload.ready.eq(cobs.i.ready),
                        item.data.eq(self.payload.payload),
                        checked.eq(1),
                    ]
                    with m.If(moved):
                        m.d.sync += left.eq(left - 1)
            with m.State("CRC"):
                m.d.comb += cobs.i.valid.eq(1)
                with m.If(moved):
                    m.d.sync += [word.eq(word[8:]), index.eq(index + 1)]
                    with m.If(index == CRC_BYTES - 1):
                        m.d.sync += index.eq(0)
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [cobs.i.valid.eq(1), item.end.eq(1)]
                with m.If(moved):
                    m.next = "IDLE"
        return m
