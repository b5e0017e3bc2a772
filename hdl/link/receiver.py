"""From bytes of the line to sound requests."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import is_power_of_two
from .checksum import Checksum
from .cobs import CobsDecoder
from .frames import CRC_BYTES, MAX_REQUEST, REQUEST_BYTES, Request


class FrameBuffer(wiring.Component):
    """A queue of bytes whose newest can be kept or forgotten together.

    Latency: a kept byte can be taken two cycles later. Throughput: a byte a cycle on either side.
    Overflow: ``write`` without ``room`` is not allowed.

    Parameters
    ----------
    depth : int
        Bytes, a power of two.

    Members
    -------
    i : In(8)
    write : In(1)
        Append ``i``.
    room : Out(1)
    keep : In(1)
        What was written since the last ``keep`` can be taken from ``o``, but for its last
        `CRC_BYTES`, which are forgotten. Not in a cycle with ``write``.
    forget : In(1)
        Forget all of it.
    o : Out(stream of 8)
    """

    def __init__(self, depth: int) -> None:
        if not is_power_of_two(depth) or depth < 2:
            raise ValueError(f"the depth of a buffer must be a power of two, not {depth}")
        self._depth = depth
        super().__init__(
            {
                "i": In(8),
                "write": In(1),
                "room": Out(1),
                "keep": In(1),
                "forget": In(1),
                "o": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = store = memory.Memory(shape=8, depth=self._depth, init=[])
        write, read = store.write_port(), store.read_port()
        # One bit more than an address: equal pointers mean empty, pointers a lap apart full.
        tail, kept, head = (Signal(range(2 * self._depth)) for _ in range(3))
        fetch = Signal()
        m.d.comb += [
            self.room.eq((tail - head)[: len(tail)] != self._depth),
            write.addr.eq(tail),
            write.data.eq(self.i),
            write.en.eq(self.write),
            fetch.eq((head != kept) & (~self.o.valid | self.o.ready)),
            read.addr.eq(head),
            read.en.eq(fetch),
            self.o.payload.eq(read.data),
        ]
        with m.If(self.write):
            m.d.sync += tail.eq(tail + 1)
        with m.If(self.keep):
            m.d.sync += [kept.eq(tail - CRC_BYTES), tail.eq(tail - CRC_BYTES)]
        with m.If(self.forget):
            m.d.sync += tail.eq(kept)
        with m.If(fetch):
            m.d.sync += [head.eq(head + 1), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


class Receiver(wiring.Component):
    """Requests out of whatever the line brings::

        bytes -> [CobsDecoder] -+-> [FrameBuffer] -> headers and payloads
                                +-> [CRC]  | keep or forget
                                +-> length-+

    A frame is kept when it has ended, whole, with the length that its header says and the right
    CRC, and forgotten without a word otherwise: what comes out is sound, and in the line's order.

    Latency: a request can be taken four cycles after its delimiter. Throughput: a byte a cycle.
    Back-pressure: none, a UART cannot wait: ``i.ready`` is always set.
    Overflow: a frame that finds no room in the buffer is dropped as a whole and counted. It cannot
    happen as long as the unanswered requests fit in the buffer, because a request has left it
    before it is answered.

    Parameters
    ----------
    buffer_bytes : int
        A power of two that holds the longest request; with two of them the line need not rest
        while one is executed.
    byte_cycles : int
        Fewest cycles from a byte of the line to the next.

    Members
    -------
    i : In(stream of 8)
    o : Out(stream of 8)
        Header and payload of request after request.
    damaged, crowded : Out(1)
        Set for one cycle for a frame that was dropped, see `hdl.link.frames.LinkCounters`.
    """

    def __init__(self, buffer_bytes: int, byte_cycles: int = 1) -> None:
        if buffer_bytes < MAX_REQUEST:
            raise ValueError(
                f"a receive buffer of {buffer_bytes} bytes does not hold a request of {MAX_REQUEST}"
            )
        self._buffer_bytes, self._byte_cycles = buffer_bytes, byte_cycles
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "damaged": Out(1),
                "crowded": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cobs = cobs = CobsDecoder()
        m.submodules.buffer = buffer = FrameBuffer(self._buffer_bytes)
        m.submodules.check = check = Checksum(self._byte_cycles)
        wiring.connect(m, wiring.flipped(self.i), cobs.i)
        wiring.connect(m, buffer.o, wiring.flipped(self.o))

        item = cobs.o.payload
        count = Signal(range(MAX_REQUEST + 2))  # bytes of this frame; stops at one too many
        lost = Signal()  # a byte of it found no room
        comes, ends, whole, sound = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            cobs.o.ready.eq(1),
            comes.eq(cobs.o.valid & ~item.end),
            ends.eq(cobs.o.valid & item.end),
            check.start.eq(count == 0),
            check.valid.eq(comes),
            check.data.eq(item.data),
            buffer.i.eq(item.data),
            buffer.write.eq(comes & buffer.room & ~lost & (count < MAX_REQUEST)),
            sound.eq(item.sound & check.match & self._fits(m, count, item)),
            whole.eq(sound & ~lost),
        ]
        # Registers: by then the next frame's first byte has not come, only how long its run is.
        m.d.sync += [
            buffer.keep.eq(ends & whole),
            buffer.forget.eq(ends & ~whole),
            self.damaged.eq(ends & ~sound),
            self.crowded.eq(ends & sound & lost),
        ]
        with m.If(ends):
            m.d.sync += [count.eq(0), lost.eq(0)]
        with m.Elif(comes):
            with m.If(count <= MAX_REQUEST):
                m.d.sync += count.eq(count + 1)
            with m.If(~buffer.room):
                m.d.sync += lost.eq(1)
        return m

    def _fits(self, m: Module, count: Signal, item: data.View) -> Value:
        """Whether the frame's bytes are as many as its header says, and no more than may be."""
        field = Request.as_shape()["length"]
        place, width = field.offset // 8, field.width // 8
        length, payload = Signal(field.width), Signal(len(count) + 1)
        for byte in range(width):
            with m.If(count == place + byte):
                m.d.sync += length.word_select(byte, 8).eq(item.data)
        m.d.comb += payload.eq(count - (REQUEST_BYTES + CRC_BYTES))
        return (payload == length) & ~payload[-1] & (count <= MAX_REQUEST)
