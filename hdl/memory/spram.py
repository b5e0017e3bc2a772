"""Samples in the large memories of an iCE40 UltraPlus."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from .burst import BurstCounter
from .interface import READ_LATENCY, MemorySignature

BLOCKS = 4
BLOCK_BITS, BLOCK_ADDRESS_BITS = 16, 14
WIDTHS = (8, 16, 32, 64)


class SpramMemory(wiring.Component):
    """All of an iCE40UP's SPRAM, 128 KiB, behind a `MemorySignature`.

    Blocks lie side by side as far as a word is wide, then one behind the other; words of 8 bits are
    halves of a block's words. They have one port, which is no loss: a request reads or writes.
    After configuration their contents are unknown.

    Latency: the first word of a read comes ``1 + READ_LATENCY`` cycles after its request was taken.
    Throughput: a word a cycle, also from one request to the next. Back-pressure: none but the words
    of earlier requests.

    Source: Lattice FPGA-TN-02022, iCE40 SPRAM usage guide.

    Parameters
    ----------
    width : {8, 16, 32, 64}
        Bits of a word.
    longest : int
        Most words of a request.

    Members
    -------
    port : In(MemorySignature)
    """

    def __init__(self, width: int, longest: int) -> None:
        if width not in WIDTHS:
            raise ValueError(f"width must be one of {WIDTHS}, not {width}")
        self._across = max(1, width // BLOCK_BITS)
        self._parts = max(1, BLOCK_BITS // width)
        """Words in a block's word."""
        words = self._parts * (BLOCKS // self._across) << BLOCK_ADDRESS_BITS
        address_bits = words.bit_length() - 1
        super().__init__({"port": In(MemorySignature(width, address_bits, longest))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port = self.port
        m.submodules.counter = counter = BurstCounter(port.signature)
        wiring.connect(m, wiring.flipped(port.requests), counter.requests)
        m.d.comb += [
            counter.word.eq(~counter.writes | port.writes.valid),
            port.writes.ready.eq(counter.active & counter.writes),
        ]
        part_bits = self._parts - 1
        place, part = counter.address[part_bits:], counter.address[:part_bits]
        row = place[BLOCK_ADDRESS_BITS:]
        asked, asked_part = Signal(max(1, len(row))), Signal(part_bits)
        shown, coming = Signal(port.signature.width), Signal(READ_LATENCY)
        m.d.sync += [
            asked.eq(row),
            asked_part.eq(part),
            coming.eq((coming << 1) | (counter.active & ~counter.writes)),
        ]
        m.d.comb += [port.reads.payload.eq(shown), port.reads.valid.eq(coming[-1])]
        given = port.writes.payload.replicate(self._parts)
        nibbles = (0b1111 >> 2 * part_bits) << (part << 1)
        for number in range(BLOCKS // self._across):
            words = []
            for index in range(self._across):
                words.append(word := Signal(BLOCK_BITS, name=f"word_{number}_{index}"))
                m.submodules[f"block_{number}_{index}"] = Instance(
                    "SB_SPRAM256KA",
                    i_CLOCK=ClockSignal(),
                    i_ADDRESS=place[:BLOCK_ADDRESS_BITS],
                    i_DATAIN=given.word_select(index, BLOCK_BITS),
                    i_MASKWREN=nibbles[:4],
                    i_WREN=counter.writes,
                    i_CHIPSELECT=counter.active & counter.word & (row == number),
                    i_STANDBY=0,
                    i_SLEEP=0,
                    i_POWEROFF=1,  # active low
                    o_DATAOUT=word,
                )
            with m.If(asked == number):
                m.d.sync += shown.eq(Cat(words).word_select(asked_part, len(shown)))
        return m
