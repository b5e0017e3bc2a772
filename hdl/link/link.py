"""The device's end of the link."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..lib.skid_buffer import buffered
from .frames import LINK_COUNTER_BITS, MAX_PAYLOAD, Code, Command, LinkCounters, ReplyByte, Request
from .receiver import Receiver
from .session import Session
from .transmitter import Transmitter

BUFFER_BYTES = 4096
"""Receive buffer unless a board says otherwise: at 3 Mbaud the line stays full while an answer
takes 13 ms to come back, more than a USB bridge adds."""


class LocalCommands(wiring.Component):
    """Executes the commands that need no engine, and passes the others on.

    `Command.IDENTIFY` answers with ``identity``, `Command.ECHO` with the payload.

    Throughput: a byte a cycle. Back-pressure: the streams' own. Overflow: none.

    Parameters
    ----------
    identity : bytes
        1 to `MAX_PAYLOAD` of them.

    Members
    -------
    command : In(stream of Request)
    data : In(stream of 8)
    answer : Out(stream of ReplyByte)
    device_command, device_data, device_answer
        The same, from here to the device.
    """

    def __init__(self, identity: bytes) -> None:
        if not 1 <= len(identity) <= MAX_PAYLOAD:
            raise ValueError(f"an identity of {len(identity)} bytes does not fit a frame")
        self._identity = identity
        ports = {
            "command": In(stream.Signature(Request)),
            "data": In(stream.Signature(8)),
            "answer": Out(stream.Signature(ReplyByte)),
        }
        super().__init__(
            {**ports, **{f"device_{name}": port.flip() for name, port in ports.items()}}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.identity = rom = memory.Memory(
            shape=8,
            depth=len(self._identity),
            init=list(self._identity),
            attrs={"ram_style": "block"},
        )
        read = rom.read_port()
        index, left = (
            Signal(range(len(self._identity) + 2)),  # of the byte after the one that is shown
            Signal(range(MAX_PAYLOAD + 1)),
        )
        answer, moved = self.answer.payload, Signal()
        m.d.comb += [
            moved.eq(self.answer.valid & self.answer.ready),
            self.device_command.payload.eq(self.command.payload),
            self.device_data.payload.eq(self.data.payload),
            answer.code.eq(Code.OK),
            read.addr.eq(index),
            read.en.eq(0),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [index.eq(0), left.eq(self.command.payload.length)]
                with m.Switch(self.command.payload.command):
                    for command, state in (
                        (Command.IDENTIFY, "FETCH"),
                        (Command.ECHO, "ECHO"),
                    ):
                        with m.Case(command):
                            m.d.comb += self.command.ready.eq(1)
                            with m.If(self.command.valid):
                                m.next = state
                    with m.Default():
                        m.d.comb += [
                            self.device_command.valid.eq(self.command.valid),
                            self.command.ready.eq(self.device_command.ready),
                        ]
                        with m.If(self.command.valid & self.command.ready):
                            m.next = "PASS"
            with m.State("FETCH"):
                m.d.comb += read.en.eq(1)
                m.d.sync += index.eq(1)
                m.next = "IDENTIFY"
            with m.State("IDENTIFY"):
                m.d.comb += [
                    self.answer.valid.eq(1),
                    answer.data.eq(read.data),
                    answer.end.eq(index == len(self._identity) + 1),
                    read.en.eq(moved),
                ]
                with m.If(moved):
                    m.d.sync += index.eq(index + 1)
                    with m.If(answer.end):
                        m.next = "IDLE"
            with m.State("ECHO"):
                m.d.comb += [
                    answer.data.eq(self.data.payload),
                    answer.end.eq(left == 0),
                    self.answer.valid.eq(self.data.valid | answer.end),
                    self.data.ready.eq(self.answer.ready & ~answer.end),
                ]
                with m.If(moved):
                    m.d.sync += left.eq(left - 1)
                    with m.If(answer.end):
                        m.next = "IDLE"
            with m.State("PASS"):
                m.d.comb += [
                    self.device_data.valid.eq(self.data.valid),
                    self.data.ready.eq(self.device_data.ready),
                    self.answer.valid.eq(self.device_answer.valid),
                    answer.eq(self.device_answer.payload),
                    self.device_answer.ready.eq(self.answer.ready),
                ]
                with m.If(moved & answer.end):
                    m.next = "IDLE"
        return m


class Link(wiring.Component):
    """Bytes of the line into commands, and what the device answers into bytes::

        i -> [Receiver] -> [Session] -> [LocalCommands] -> command, data
        o <- [Transmitter] <-/   ^---------------^-------- answer

    The rules are in ``docs/link.md`` and in `Session`; `sim.link.LinkModel` is the same in Python.

    Throughput: a byte a cycle in, two cycles a byte out. Back-pressure: none towards the line,
    see `Receiver`; the device may take its time over a command, and must end every one.

    Parameters
    ----------
    identity : bytes
        Answer to IDENTIFY; its ``buffer_bytes`` must be ``buffer_bytes``.
    buffer_bytes : int
        Of the receive buffer.
    byte_cycles : int
        Fewest cycles from a byte of the line to the next, where it is a UART for instance: with
        more than eight of them the link takes fewer cells.
    skid_buffers : bool
        Whether registers cut the paths between its parts, for a high clock rate.

    Members
    -------
    i : In(stream of 8)
        From the line; ``ready`` is always set.
    o : Out(stream of 8)
        To the line.
    command : Out(stream of Request)
        It stays what it is until the answer has ended.
    data : Out(stream of 8)
        The command's payload: `Request.length` bytes. What is not taken before the answer ends is
        skipped.
    answer : In(stream of ReplyByte)
        At most `MAX_PAYLOAD` bytes, and an end; only after the command was taken.
    counters : Out(LinkCounters)
    """

    def __init__(
        self,
        identity: bytes,
        buffer_bytes: int = BUFFER_BYTES,
        byte_cycles: int = 1,
        *,
        skid_buffers: bool = True,
    ) -> None:
        self._identity, self._buffer_bytes = identity, buffer_bytes
        self._byte_cycles, self._skid_buffers = byte_cycles, skid_buffers
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "command": Out(stream.Signature(Request)),
                "data": Out(stream.Signature(8)),
                "answer": In(stream.Signature(ReplyByte)),
                "counters": Out(LinkCounters),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = Receiver(self._buffer_bytes, self._byte_cycles)
        m.submodules.session = session = Session()
        m.submodules.local = local = LocalCommands(self._identity)
        m.submodules.transmitter = transmitter = Transmitter(
            self._byte_cycles, skid_buffers=self._skid_buffers
        )

        wiring.connect(m, wiring.flipped(self.i), receiver.i)
        # Neither the buffer's memory nor its pointers are on a path to whoever takes its bytes.
        requests = buffered(m, "requests", receiver.o, needed=self._skid_buffers)
        answers = buffered(m, "answers", local.answer, needed=self._skid_buffers)
        wiring.connect(m, requests, session.i)
        wiring.connect(m, session.command, local.command)
        # What a command has left of its payload is not the next one's.
        forgets = session.command.valid
        data = buffered(m, "data", session.data, needed=self._skid_buffers, clear=forgets)
        wiring.connect(m, data, local.data)
        wiring.connect(m, answers, session.answer)
        wiring.connect(m, local.device_command, wiring.flipped(self.command))
        wiring.connect(m, local.device_data, wiring.flipped(self.data))
        given = buffered(m, "given", wiring.flipped(self.answer), needed=self._skid_buffers)
        wiring.connect(m, given, local.device_answer)
        wiring.connect(m, session.o, transmitter.i)
        wiring.connect(m, transmitter.o, wiring.flipped(self.o))
        events = {
            "damaged": receiver.damaged,
            "crowded": receiver.crowded,
            "repeated": session.repeated,
        }
        for name, event in events.items():
            count, happened = Signal(LINK_COUNTER_BITS, name=name), Signal(name=f"{name}_one")
            m.d.comb += self.counters[name].eq(count)
            m.d.sync += happened.eq(event)
            with m.If(happened):
                m.d.sync += count.eq(count + 1)
        return m
