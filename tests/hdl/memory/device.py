"""A small device behind the gateware's link, for tests of the link alone."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from zipsgd.hdl.link.frames import Code, Command
from zipsgd.hdl.link.link import Link
from zipsgd.sim.uart_line import UartLine


class MemoryDevice(wiring.Component):
    """`Link` in front of a memory of bytes; every other command is refused.

    Parameters
    ----------
    identity : bytes
    depth : int
        Bytes, a power of two.
    uart : tuple of float and int, optional
        Clock and rate: then the line is a UART, and the streams are those of another UART at the
        host's end of it.
    """

    def __init__(self, identity: bytes, depth: int, uart: tuple[float, int] | None = None) -> None:
        self._identity, self._depth, self._uart = identity, depth, uart
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.link = link = Link(self._identity)
        self._connect(m, link)
        m.submodules.memory = store = memory.Memory(shape=8, depth=self._depth, init=[])
        write, read = store.write_port(), store.read_port()
        address, left = Signal(range(self._depth)), Signal(16)
        command, answer = link.command.payload, link.answer.payload
        m.d.comb += [
            write.addr.eq(address),
            write.data.eq(link.data.payload),
            read.addr.eq(address),
            answer.data.eq(read.data),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += link.command.ready.eq(1)
                m.d.sync += address.eq(command.address)
                with m.If(link.command.valid):
                    m.next = "REFUSE"
                    with m.If(command.command == Command.WRITE_MEMORY):
                        m.d.sync += left.eq(command.length)
                        m.next = "WRITE"
                    with m.Elif(command.command == Command.READ_MEMORY):
                        m.d.sync += left.eq(command.count)
                        m.next = "READ"
            with m.State("WRITE"):
                m.d.comb += [
                    link.data.ready.eq(left != 0),
                    write.en.eq(link.data.valid & link.data.ready),
                    link.answer.valid.eq(left == 0),
                    answer.end.eq(1),
                ]
                with m.If(write.en):
                    m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
                with m.If(left == 0):
                    m.next = "IDLE"
            with m.State("READ"):
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [link.answer.valid.eq(1), answer.end.eq(left == 0)]
                m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
                m.next = "READ"
                with m.If(left == 0):
                    m.next = "IDLE"
            with m.State("REFUSE"):
                m.d.comb += [link.answer.valid.eq(1), answer.end.eq(1)]
                m.d.comb += answer.code.eq(Code.UNKNOWN)
                m.next = "IDLE"
        return m

    def _connect(self, m: Module, link: Link) -> None:
        """The line: nothing, or a UART at either end."""
        if self._uart is None:
            wiring.connect(m, wiring.flipped(self.i), link.i)
            wiring.connect(m, link.o, wiring.flipped(self.o))
            return
        m.submodules.line = line = UartLine(*self._uart)
        wiring.connect(m, wiring.flipped(self.i), line.i)
        wiring.connect(m, line.o, wiring.flipped(self.o))
        wiring.connect(m, line.to_device, link.i)
        wiring.connect(m, link.o, line.from_device)
