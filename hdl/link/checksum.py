"""The CRC of a frame, a byte or a bit at a time."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .frames import CRC

BITS = 8


class Checksum(wiring.Component):
    """`hdl.link.frames.CRC` of the bytes since ``start``.

    Latency: of a byte 1 cycle; `BITS` + 1 cycles if bytes are as many apart, and then it takes a
    third of the cells. Throughput: a byte in ``byte_cycles``.

    Parameters
    ----------
    byte_cycles : int
        Fewest cycles from a byte to the next.

    Members
    -------
    start : In(1)
        A frame begins, with the byte of this cycle if there is one.
    data : In(8)
    valid : In(1)
    busy : Out(1)
        Neither ``crc`` nor ``match`` is there yet, and no byte may come.
    crc : Out(CRC.crc_width)
    match : Out(1)
        The last bytes are the CRC of those before them.
    """

    def __init__(self, byte_cycles: int = 1) -> None:
        self._serial = byte_cycles > BITS
        super().__init__(
            {
                "start": In(1),
                "data": In(BITS),
                "valid": In(1),
                "busy": Out(1),
                "crc": Out(CRC.crc_width),
                "match": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self._serial:
            self._shift(m)
            return m
        m.submodules.crc = crc = CRC(data_width=BITS).create()
        m.d.comb += [
            crc.start.eq(self.start),
            crc.data.eq(self.data),
            crc.valid.eq(self.valid),
            self.crc.eq(crc.crc),
            self.match.eq(crc.match_detected),
        ]
        return m

    def _shift(self, m: Module) -> None:
        """The catalogue's CRC is reflected: its register moves towards its lowest bit."""
        parameters = CRC(data_width=BITS)
        width = CRC.crc_width
        assert CRC.reflect_input and CRC.reflect_output
        initial, taps = (_reversed(value, width) for value in (CRC.initial_crc, CRC.polynomial))
        state, rest = Signal(width, init=initial), Signal(BITS)
        left = Signal(BITS)  # as many ones as bits are left
        m.d.comb += [
            self.busy.eq(left[0]),
            self.crc.eq(state ^ CRC.xor_output),
            self.match.eq(self.crc == parameters.residue() ^ CRC.xor_output),
        ]
        with m.If(self.busy):
            fed = (state[0] ^ rest[0]).replicate(width)
            m.d.sync += [
                state.eq((state >> 1) ^ (fed & taps)),
                rest.eq(rest >> 1),
                left.eq(left >> 1),
            ]
        with m.If(self.start):
            m.d.sync += state.eq(initial)
        with m.If(self.valid):
            m.d.sync += [rest.eq(self.data), left.eq((1 << BITS) - 1)]


def _reversed(value: int, width: int) -> int:
    return int(f"{value:0{width}b}"[::-1], 2)
