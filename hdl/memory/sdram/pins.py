"""What an SDRAM is told, and through which pins."""

from __future__ import annotations

from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

BANK_BITS = 2
ALL_BANKS = 1 << 10
"""Address bit of a precharge of all banks."""


class SdramCommand(enum.Enum, shape=3):  # type: ignore[call-arg]
    """Commands as the bits RAS, CAS, WE from the lowest on, each 1 where its pin is low."""

    NOTHING = 0b000
    ACTIVATE = 0b001
    READ = 0b010
    WRITE = 0b110
    PRECHARGE = 0b101
    REFRESH = 0b011
    MODE = 0b111


def mode_register(burst: int, cas: int) -> int:
    """Sequential bursts of reads and writes alike."""
    return cas << 4 | burst.bit_length() - 1


class SdramPins(wiring.Signature):
    """The pins of an SDRAM, but for its clock, as the controller sees them.

    Everything is active high: the board's pins invert ``cs``, ``ras``, ``cas`` and ``we``. CS is
    always active, so that boards which have wired it can leave it out.

    Members
    -------
    cke, cs, ras, cas, we : Out(1)
    dqm : Out(dq_bits / 8)
        Set until the chip has been started.
    ba : Out(2)
    a : Out(row_bits)
    dq : Out
        ``o`` (dq_bits) with ``oe`` (1), and ``i`` (dq_bits).
    """

    def __init__(self, dq_bits: int, row_bits: int) -> None:
        strobes = {name: Out(1) for name in ("cke", "cs", "ras", "cas", "we")}
        dq = wiring.Signature({"o": Out(dq_bits), "oe": Out(1), "i": In(dq_bits)})
        super().__init__(
            {
                **strobes,
                "dqm": Out(dq_bits // 8, init=(1 << dq_bits // 8) - 1),
                "ba": Out(BANK_BITS),
                "a": Out(row_bits),
                "dq": Out(dq),
            }
        )
