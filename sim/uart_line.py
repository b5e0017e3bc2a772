"""A UART line in simulation, both of its ends included."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from zipsgd.hdl.link.uart import Uart


class UartLine(wiring.Component):
    """Two `Uart`s, the output of each on the input of the other::

        i -> [host's Uart] ---> [device's Uart] -> to_device
        o <- [           ] <--- [             ] <- from_device

    A byte takes 10 bits of the line each way.

    Parameters
    ----------
    clock_hz : float
    baud : int
        Bits a second.

    Members
    -------
    i, o : streams of 8
        The host's end.
    to_device, from_device : streams of 8
        The device's; ``to_device`` does not wait.
    """

    def __init__(self, clock_hz: float, baud: int) -> None:
        self._rate = (clock_hz, baud)
        way = stream.Signature(8)
        super().__init__(
            {"i": In(way), "o": Out(way), "to_device": Out(way), "from_device": In(way)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.host = host = Uart(*self._rate)
        m.submodules.device = device = Uart(*self._rate)
        m.d.comb += [device.rx.eq(host.tx), host.rx.eq(device.tx)]
        wiring.connect(m, wiring.flipped(self.i), host.i)
        wiring.connect(m, host.o, wiring.flipped(self.o))
        wiring.connect(m, device.o, wiring.flipped(self.to_device))
        wiring.connect(m, wiring.flipped(self.from_device), device.i)
        return m
