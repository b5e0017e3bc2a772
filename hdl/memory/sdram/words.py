"""Between words of a memory port and the DQ pins of an SDRAM."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interface import WordSignature

COMMAND_STAGES = 3
"""Cycles from a command to the pins."""


class SdramWords(wiring.Component):
    """Sends words as bursts, and collects bursts to words; the least significant part goes first.

    Latency: from ``write`` to DQ `COMMAND_STAGES` cycles, as for commands; from ``read`` to the
    word ``COMMAND_STAGES + cas + burst + 1 + pin_delay`` cycles.
    Throughput: a word in ``burst`` cycles.

    Parameters
    ----------
    dq_bits, burst, cas, pin_delay : int
        As of `hdl.memory.sdram.controller.Sdram`.

    Members
    -------
    read, write : In(1)
        The command is being given.
    word : In(dq_bits * burst)
        What is written.
    reads : Out(WordSignature)
    dq : Out
        See `hdl.memory.sdram.pins.SdramPins`.
    """

    def __init__(self, dq_bits: int, burst: int, cas: int, pin_delay: int) -> None:
        self._dq_bits, self._burst = dq_bits, burst
        self._latency = COMMAND_STAGES + cas + burst + 1 + pin_delay
        width = dq_bits * burst
        dq = wiring.Signature({"o": Out(dq_bits), "oe": Out(1), "i": In(dq_bits)})
        super().__init__(
            {
                "read": In(1),
                "write": In(1),
                "word": In(width),
                "reads": Out(WordSignature(width)),
                "dq": Out(dq),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dq = self.dq
        # What moves the whole word is a register.
        word, write = Signal.like(self.word), Signal()
        outgoing, driven = Signal.like(self.word), Signal(self._burst)
        taken, parts = Signal(self._dq_bits), Signal.like(self.word)
        coming = Signal(self._latency)
        m.d.sync += [
            word.eq(self.word),
            write.eq(self.write),
            outgoing.eq(Mux(write, word, outgoing >> self._dq_bits)),
            driven.eq(Mux(write, -1, driven >> 1)),
            dq.o.eq(outgoing),
            dq.oe.eq(driven[0]),
            taken.eq(dq.i),
            parts.eq(Cat(parts[self._dq_bits :], taken)),
            coming.eq((coming << 1) | self.read),
        ]
        m.d.comb += [self.reads.payload.eq(parts), self.reads.valid.eq(coming[-1])]
        return m
