"""AXI4-Lite slave: five channels in, one write or read at a time out."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from .registers import ADDRESS_BITS, WORD_BITS, WORD_BYTES


class Response(enum.Enum, shape=2):  # type: ignore[call-arg]
    """What BRESP and RRESP say (AMBA AXI, IHI 0022, table A3-4)."""

    OKAY = 0
    EXOKAY = 1
    """Exclusive accesses do not exist in AXI4-Lite: never sent."""
    SLVERR = 2
    """No such register, or it cannot take that value or do that now; nothing has changed."""
    DECERR = 3
    """No such slave: the interconnect's answer, never sent from here."""


BYTE_BITS = (WORD_BYTES - 1).bit_length()
WORD_ADDRESS_BITS = ADDRESS_BITS - BYTE_BITS

CHANNELS = {
    "awaddr": In(ADDRESS_BITS),
    "awprot": In(3),
    "awvalid": In(1),
    "awready": Out(1),
    "wdata": In(WORD_BITS),
    "wstrb": In(WORD_BYTES),
    "wvalid": In(1),
    "wready": Out(1),
    "bresp": Out(Response),
    "bvalid": Out(1),
    "bready": In(1),
    "araddr": In(ADDRESS_BITS),
    "arprot": In(3),
    "arvalid": In(1),
    "arready": Out(1),
    "rdata": Out(WORD_BITS),
    "rresp": Out(Response),
    "rvalid": Out(1),
    "rready": In(1),
}
"""Signals of AXI4-Lite, as a slave has them."""

BUS = wiring.Signature(
    {
        "write": Out(1),
        "write_word": Out(WORD_ADDRESS_BITS),
        "write_data": Out(WORD_BITS),
        "write_bytes": Out(WORD_BYTES),
        "write_error": In(1),
        "read_word": Out(WORD_ADDRESS_BITS),
        "read_data": In(WORD_BITS),
        "read_error": In(1),
    }
)
"""Requests that registers answer, as their source has them.

All of a request stands for a cycle before it is used, so that its decoding may be registered. While
``write`` is set, the bytes ``write_bytes`` of ``write_data`` are for the register at
``write_word``, or ``write_error`` refuses them. ``read_data`` is what stands at ``read_word``, or
``read_error`` says that nothing does. Reading changes nothing: it has no strobe.
"""


class LiteSlave(wiring.Component):
    """Puts the channels' items together and answers each request once::

        AW -> [address] -+
        W  -> [data]   --+-> write -> B
        AR -> [address] ---> read --> R

    Address and data of a write may come in any order and any time apart. A channel's item is kept
    until the request has been done, which waits until the last response has been taken: no
    response is lost, whatever the master does. Writes and reads do not wait for each other.
    Protection (``awprot``, ``arprot``) is ignored.

    Latency: 3 cycles from a request's last item to the response.
    Throughput: a write and a read every 3 cycles.
    Back-pressure: outputs are registers or depend on registers alone, and so does ``bus``.

    Members
    -------
    ... : `CHANNELS`
    bus : Out(BUS)
    """

    def __init__(self) -> None:
        super().__init__({**CHANNELS, "bus": Out(BUS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        have_address, have_data, have_read = Signal(), Signal(), Signal()
        write_known, read_known, read = Signal(), Signal(), Signal()
        m.d.comb += [
            self.awready.eq(~have_address),
            self.wready.eq(~have_data),
            self.arready.eq(~have_read),
            bus.write.eq(write_known & ~self.bvalid),
            read.eq(read_known & ~self.rvalid),
        ]
        m.d.sync += [
            write_known.eq(have_address & have_data & ~bus.write),
            read_known.eq(have_read & ~read),
        ]

        with m.If(self.awvalid & self.awready):
            m.d.sync += [bus.write_word.eq(self.awaddr[BYTE_BITS:]), have_address.eq(1)]
        with m.If(self.wvalid & self.wready):
            m.d.sync += [
                bus.write_data.eq(self.wdata),
                bus.write_bytes.eq(self.wstrb),
                have_data.eq(1),
            ]
        with m.If(bus.write):
            m.d.sync += [
                have_address.eq(0),
                have_data.eq(0),
                self.bvalid.eq(1),
                self.bresp.eq(Mux(bus.write_error, Response.SLVERR, Response.OKAY)),
            ]
        with m.Elif(self.bready):
            m.d.sync += self.bvalid.eq(0)

        with m.If(self.arvalid & self.arready):
            m.d.sync += [bus.read_word.eq(self.araddr[BYTE_BITS:]), have_read.eq(1)]
        with m.If(read):
            m.d.sync += [
                have_read.eq(0),
                self.rvalid.eq(1),
                self.rdata.eq(bus.read_data),
                self.rresp.eq(Mux(bus.read_error, Response.SLVERR, Response.OKAY)),
            ]
        with m.Elif(self.rready):
            m.d.sync += self.rvalid.eq(0)
        return m
