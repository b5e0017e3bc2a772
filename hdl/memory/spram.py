"""Samples in the large memories of an iCE40 UltraPlus."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from .burst import BurstCounter
from .interface import READ_LATENCY, MemorySignature

BLOCKS = 4
BLOCK_BITS, BLOCK_ADDRESS_BITS = 16, 14
WIDTHS = (16, 32, 64)


class SpramMemory(wiring.Component):
    """All of an iCE40UP's SPRAM, 128 KiB, behind a `MemorySignature`.

    Blocks lie side by side as far as a word is wide, then one behind the other. They have one port,
    which is no loss: a request reads or writes. After configuration their contents are unknown.

    Latency: the first word of a read comes ``1 + READ_LATENCY`` cycles after its request was taken.
    Throughput: a word a cycle, also from one request to the next. Back-pressure: none but the words
    of earlier requests.

    Source: Lattice FPGA-TN-02022, iCE40 SPRAM usage guide.

    Parameters
    ----------
    width : {16, 32, 64}
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
        self._across = width // BLOCK_BITS
        behind = BLOCKS // self._across
        address_bits = BLOCK_ADDRESS_BITS + behind.bit_length() - 1
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
        row = counter.address[BLOCK_ADDRESS_BITS:]
        asked = Signal(max(1, len(row)))
        shown, coming = Signal(port.signature.width), Signal(READ_LATENCY)
        m.d.sync += [
            asked.eq(row),
            coming.eq((coming << 1) | (counter.active & ~counter.writes)),
        ]
        m.d.comb += [port.reads.payload.eq(shown), port.reads.valid.eq(coming[-1])]
        for number in range(BLOCKS // self._across):
            words = []
            for part in range(self._across):
                words.append(word := Signal(BLOCK_BITS, name=f"word_{number}_{part}"))
                m.submodules[f"block_{number}_{part}"] = Instance(
                    "SB_SPRAM256KA",
                    i_CLOCK=ClockSignal(),
                    i_ADDRESS=counter.address[:BLOCK_ADDRESS_BITS],
                    i_DATAIN=port.writes.payload.word_select(part, BLOCK_BITS),
                    i_MASKWREN=0b1111,
                    i_WREN=counter.writes,
                    i_CHIPSELECT=counter.active & counter.word & (row == number),
                    i_STANDBY=0,
                    i_SLEEP=0,
                    i_POWEROFF=1,  # active low
                    o_DATAOUT=word,
                )
            with m.If(asked == number):
                m.d.sync += shown.eq(Cat(words))
        return m
