"""Requests in sequence, each executed once and answered as often as it takes."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .frames import (
    LENGTH_BITS,
    MAX_PAYLOAD,
    NO_SESSION,
    REPLY_BYTES,
    REQUEST_BYTES,
    Code,
    Command,
    FrameByte,
    Reply,
    ReplyByte,
    Request,
)


class Session(wiring.Component):
    """Decides what becomes of a request::

        requests -> header -> [decide] -+-> command, data ->   (the device)
                                        |   answer <-----------
                                        +-> [last answer] -> o

    - Before the first IDENTIFY since reset nothing is executed, and everything else is answered
      with `Code.NO_SESSION`. An IDENTIFY with another session's number begins that session;
      whatever else does not belong to the present one is dropped without an answer.
    - The request that is next in sequence is executed. Unless it is refused, the next one's turn
      comes then: requests are executed in order and once, and none after one that was refused.
    - The last one that was executed is answered again, with the same bytes, if it comes again.
    - Any other is answered with `Code.OUT_OF_ORDER`, which says which one is next.

    Back-pressure: requests wait while one is executed and its answer is sent. A payload that the
    device does not take is skipped. Overflow: an answer has at most `MAX_PAYLOAD` bytes; the
    device must not give more, which would not be kept.

    Members
    -------
    i : In(stream of 8)
        Sound requests.
    command : Out(stream of Request)
        Taken by the device when it can execute it; it stays what it is until the answer has ended.
    data : Out(stream of 8)
        Its payload, ``length`` bytes, after it was taken.
    answer : In(stream of ReplyByte)
        What the device answers, after it was taken.
    o : Out(stream of FrameByte)
        Replies: header, payload, end.
    repeated : Out(1)
        Set for one cycle for a request that is not the next in sequence.
    """

    i: In(stream.Signature(8))
    command: Out(stream.Signature(Request))
    data: Out(stream.Signature(8))
    answer: In(stream.Signature(ReplyByte))
    o: Out(stream.Signature(FrameByte))
    repeated: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.last = last = memory.Memory(shape=8, depth=MAX_PAYLOAD, init=[])
        write, read = last.write_port(), last.read_port()
        session, expected = Signal(Request.as_shape()["session"].shape, init=NO_SESSION), Signal(16)
        last_length = Signal(range(MAX_PAYLOAD + 1))

        header, index = Signal(Request), Signal(range(REQUEST_BYTES))
        left, fill, sent = (Signal.like(last_length) for _ in range(3))
        code, repeats = Signal(Reply.as_shape()["code"].shape), Signal()
        more = Signal()  # left != 0
        ahead = Signal.like(expected)
        answer, item = self.answer.payload, self.o.payload
        passes = self.data.valid & self.data.ready
        moved = self.o.valid & self.o.ready
        shifts, shown = Signal(), Signal(8)
        m.d.comb += [
            ahead.eq(header.sequence - expected),
            self.command.payload.eq(header),
            self.data.payload.eq(self.i.payload),
            write.addr.eq(fill),
            write.data.eq(answer.data),
            item.data.eq(header.as_value()[:8]),
            read.addr.eq(sent),
            read.en.eq(0),
        ]
        with m.If(shifts):
            m.d.sync += header.eq(Cat(header.as_value()[8:], self.i.payload))
        # What header and reply begin with leaves the one at its bottom; the rest is put in.
        length, rest = Signal.like(left), Reply.as_shape()["expected"].offset // 8
        own = Cat(expected, length, Const(0, LENGTH_BITS - len(length)), code)
        with m.If(repeats):
            m.d.comb += length.eq(last_length)

        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += [self.i.ready.eq(1), shifts.eq(self.i.valid)]
                with m.If(self.i.valid):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == REQUEST_BYTES - 1):
                        m.d.sync += index.eq(0)
                        m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.sync += [left.eq(header.length), more.eq(header.length != 0)]
                m.d.sync += [fill.eq(0), sent.eq(0), repeats.eq(0)]
                m.next = "SKIP"
                with m.If((header.session != session) | (session == NO_SESSION)):
                    m.d.sync += code.eq(Code.NO_SESSION)
                    with m.If(header.command == Command.IDENTIFY):
                        m.d.sync += [session.eq(header.session), expected.eq(header.sequence)]
                        m.next = "OFFER"
                    with m.Elif(session != NO_SESSION):
                        m.next = "DROP"
                with m.Elif(ahead == 0):
                    m.next = "OFFER"
                with m.Else():
                    m.d.comb += self.repeated.eq(1)
                    again = ahead.all()
                    m.d.sync += code.eq(Mux(again, Code.OK, Code.OUT_OF_ORDER))
                    m.d.sync += repeats.eq(again)
            with m.State("OFFER"):
                m.d.comb += self.command.valid.eq(1)
                with m.If(self.command.ready):
                    m.next = "EXECUTE"
            with m.State("EXECUTE"):
                m.d.comb += [
                    self.data.valid.eq(self.i.valid & more),
                    self.i.ready.eq(self.data.ready & more),
                    self.answer.ready.eq(1),
                ]
                with m.If(passes):
                    m.d.sync += [left.eq(left - 1), more.eq(left != 1)]
                with m.If(self.answer.valid):
                    with m.If(~answer.end & (fill != MAX_PAYLOAD)):
                        m.d.comb += write.en.eq(1)
                        m.d.sync += fill.eq(fill + 1)
                    with m.If(answer.end):
                        m.d.sync += code.eq(answer.code)
                        with m.If(answer.code == Code.OK):
                            m.d.sync += [
                                expected.eq(expected + 1),
                                last_length.eq(fill),
                                repeats.eq(1),
                            ]
                        m.next = "SKIP"
            for state, then in (("SKIP", "REPLY"), ("DROP", "HEADER")):
                with m.State(state):
                    m.d.comb += self.i.ready.eq(more)
                    with m.If(~more):
                        m.next = then
                    with m.Elif(self.i.valid):
                        m.d.sync += [left.eq(left - 1), more.eq(left != 1)]
            with m.State("REPLY"):
                m.d.comb += [self.o.valid.eq(1), shifts.eq(moved)]
                with m.Switch(index):
                    for place in range(rest, REPLY_BYTES):
                        with m.Case(place):
                            m.d.comb += item.data.eq(own.word_select(place - rest, 8))
                with m.If(moved):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == REPLY_BYTES - 1):
                        m.d.sync += [index.eq(0), sent.eq(1)]
                        m.d.comb += read.en.eq(1)
                        m.next = "END"
                        with m.If(repeats & (last_length != 0)):
                            m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += shown.eq(read.data)  # a memory's data comes late in a cycle
                m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                m.d.comb += [self.o.valid.eq(1), item.data.eq(shown)]
                m.d.comb += read.en.eq(moved)
                with m.If(moved):
                    m.d.sync += sent.eq(sent + 1)
                    m.next = "FETCH"
                    with m.If(sent == last_length):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [self.o.valid.eq(1), item.end.eq(1), item.sound.eq(1)]
                with m.If(moved):
                    m.next = "HEADER"
        return m
