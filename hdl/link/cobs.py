"""Consistent overhead byte stuffing (Cheshire, Baker, IEEE/ACM Trans. Networking 7(2), 1999):
frames without a zero in them, so that a zero ends every frame whatever became of its bytes."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .frames import DELIMITER, FrameByte

FULL = 0xFF
"""Code of a block of 254 bytes that no zero follows."""


class CobsDecoder(wiring.Component):
    """Bytes of the line into bytes of frames.

    A byte makes one item or none: a code makes the zero before its block, a delimiter the end of a
    frame, which is not ``sound`` if it cuts a block short. Frames of nothing at all are no frames,
    so delimiters may be repeated.

    Latency: none. Throughput: a byte a cycle. Back-pressure: the output's. Overflow: none; a frame
    may be of any length.

    Members
    -------
    i : In(stream of 8)
    o : Out(stream of FrameByte)
    """

    i: In(stream.Signature(8))
    o: Out(stream.Signature(FrameByte))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(8)  # bytes of the block that are still to come
        begun, zero = Signal(), Signal()  # a frame has begun; a zero follows its last block
        delimits, emits = Signal(), Signal()
        item = self.o.payload
        m.d.comb += [
            delimits.eq(self.i.payload == DELIMITER),
            item.end.eq(delimits),
            item.sound.eq(left == 0),
            item.data.eq(Mux(left == 0, 0, self.i.payload)),
            emits.eq(Mux(delimits, begun, (left != 0) | zero)),
            self.o.valid.eq(self.i.valid & emits),
            self.i.ready.eq(self.o.ready | ~emits),
        ]
        with m.If(self.i.valid & self.i.ready):
            with m.If(delimits):
                m.d.sync += [left.eq(0), begun.eq(0), zero.eq(0)]
            with m.Elif(left == 0):
                m.d.sync += [left.eq(self.i.payload - 1), begun.eq(1)]
                m.d.sync += zero.eq(self.i.payload != FULL)
            with m.Else():
                m.d.sync += left.eq(left - 1)
        return m


class CobsEncoder(wiring.Component):
    """Bytes of frames into bytes of the line.

    A block is kept until its end is known, and then sent behind its code. ``sound`` is ignored.

    Throughput: the n bytes of a block take 2n + 2 cycles. Back-pressure: the input waits while a
    block is sent. Overflow: none.

    Members
    -------
    i : In(stream of FrameByte)
    o : Out(stream of 8)
    """

    i: In(stream.Signature(FrameByte))
    o: Out(stream.Signature(8))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = block = memory.Memory(shape=8, depth=FULL + 1, init=[])
        write, read = block.write_port(), block.read_port()
        count, sent = Signal(8), Signal(8)
        ending, was_full = Signal(), Signal()
        taken = Signal()
        m.d.comb += [
            write.addr.eq(count),
            write.data.eq(self.i.payload.data),
            taken.eq(self.o.valid & self.o.ready),
            # The byte after the one that is shown is read while that is taken.
            read.addr.eq(sent),
            read.en.eq(taken),
        ]
        with m.FSM():
            with m.State("FILL"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += sent.eq(0)
                with m.If(self.i.valid):
                    m.d.sync += ending.eq(self.i.payload.end)
                    with m.If(self.i.payload.end):
                        # Nothing follows a full block: it was the last.
                        m.next = "CODE"
                        with m.If(was_full & (count == 0)):
                            m.next = "END"
                    with m.Elif(self.i.payload.data == 0):
                        m.d.sync += was_full.eq(0)
                        m.next = "CODE"
                    with m.Else():
                        m.d.comb += write.en.eq(1)
                        m.d.sync += [count.eq(count + 1), was_full.eq(0)]
                        with m.If(count == FULL - 2):
                            m.d.sync += was_full.eq(1)
                            m.next = "CODE"
            with m.State("CODE"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(count + 1)]
                with m.If(taken):
                    m.d.sync += sent.eq(1)
                    m.next = "BLOCK"
                    with m.If(count == 0):
                        m.next = "FILL"
                        with m.If(ending):
                            m.next = "END"
            with m.State("BLOCK"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(read.data)]
                with m.If(taken):
                    m.d.sync += sent.eq(sent + 1)
                    with m.If(sent == count):
                        m.d.sync += count.eq(0)
                        m.next = "FILL"
                        with m.If(ending):
                            m.next = "END"
            with m.State("END"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(DELIMITER)]
                with m.If(taken):
                    m.d.sync += was_full.eq(0)
                    m.next = "FILL"
        return m
