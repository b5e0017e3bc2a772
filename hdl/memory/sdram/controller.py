"""A controller of single data rate SDRAM, for long sequential bursts."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..interface import MemorySignature
from .chip import SdramChip, SdramTiming
from .mover import BurstMover
from .pins import ALL_BANKS, BANK_BITS, SdramCommand, SdramPins, mode_register
from .refresher import Refresher
from .row_opener import RowOpener
from .segment import Splitter
from .words import SdramWords

BURSTS = (2, 4, 8)


class Sdram(wiring.Component):
    """An SDRAM behind a `MemorySignature`; a word is a burst of the chip::

        port.requests -> [Splitter] -> [RowOpener] -> [BurstMover]
                                             |              |
                        [Refresher] -------+--------------+---> pins
        port.writes, port.reads <-> [SdramWords] <----------+---> pins.dq

    Rows stay open. An address is row, bank, column from the top, and the next row is opened while
    the present one is read: long reads run at the chip's full rate but for refreshes.

    Latency: from a request to its first word ``cas + burst + pin_delay + 11`` cycles if its row is
    open and nothing is under way. Throughput: a word in ``burst`` cycles, from row to row and from
    request to request; a write that follows a read waits ``cas + 1`` cycles more. Refreshes cost
    nothing while the port rests for long enough, else ``rp + 4 rfc + rcd`` cycles in 4 refresh
    intervals. Back-pressure: of ``port``.

    What goes to the pins leaves registers that nothing else reads and no logic precedes, and
    ``dq.i`` goes into such a register: I/O cells can hold them.

    Parameters
    ----------
    chip : SdramChip
    clock_hz : float
    longest : int
        Most words of a request. Refreshes wait for its end, so it must take less than a refresh
        interval.
    burst : int
        Chip words of a word of the port: 2, 4 or 8.
    pin_delay : int
        Further registers on the way to the chip and back.
    timing : SdramTiming, optional
        Instead of the chip's own at this clock: for simulation, or for a higher CAS latency.

    Members
    -------
    port : In(MemorySignature)
    pins : Out(SdramPins)
    """

    def __init__(
        self,
        chip: SdramChip,
        clock_hz: float,
        longest: int,
        burst: int = 4,
        pin_delay: int = 0,
        timing: SdramTiming | None = None,
    ) -> None:
        if burst not in BURSTS:
            raise ValueError(f"burst must be one of {BURSTS}, not {burst}")
        self._timing = timing or chip.timing(clock_hz)
        if longest * burst > self._timing.interval:
            raise ValueError(
                f"a request of {longest} words takes {longest * burst} cycles and the refresh "
                f"interval is {self._timing.interval}; make longest smaller"
            )
        self._chip, self._burst, self._pin_delay = chip, burst, pin_delay
        self._column_bits = chip.column_bits - (burst.bit_length() - 1)
        address_bits = self._column_bits + BANK_BITS + chip.row_bits
        super().__init__(
            {
                "port": In(MemorySignature(chip.dq_bits * burst, address_bits, longest)),
                "pins": Out(SdramPins(chip.dq_bits, chip.row_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timing, burst = self._timing, self._burst
        splitter = Splitter(self.port.signature, self._column_bits)
        segment = splitter.o.payload.shape()
        m.submodules.splitter = splitter
        m.submodules.refresher = refresher = Refresher(timing)
        m.submodules.opener = opener = RowOpener(timing, burst, segment)
        m.submodules.mover = mover = BurstMover(timing, burst, segment)
        m.submodules.words = words = SdramWords(
            self._chip.dq_bits, burst, timing.cas, self._pin_delay
        )

        wiring.connect(m, wiring.flipped(self.port.requests), splitter.i)
        wiring.connect(m, splitter.o, opener.i)
        wiring.connect(m, opener.o, mover.i)
        wiring.connect(m, words.reads, wiring.flipped(self.port.reads))
        wiring.connect(m, words.dq, wiring.flipped(self.pins.dq))
        empty = splitter.empty & opener.empty & ~mover.active
        m.d.comb += [
            refresher.quiet.eq(~mover.active),
            refresher.idle.eq(empty & ~self.port.requests.valid),
            refresher.can_precharge.eq(opener.can_precharge),
            refresher.can_activate.eq(opener.can_activate),
            opener.hold.eq(refresher.hold),
            opener.kept.eq(refresher.command),
            opener.active.eq(mover.active),
            opener.bank.eq(mover.place.bank),
            opener.read.eq(mover.read),
            opener.write.eq(mover.write),
            mover.word.eq(self.port.writes.valid),
            self.port.writes.ready.eq(mover.write),
            words.word.eq(self.port.writes.payload),
            words.read.eq(mover.read),
            words.write.eq(mover.write),
        ]
        self._command(m, refresher, opener, mover)
        return m

    def _command(
        self, m: Module, refresher: Refresher, opener: RowOpener, mover: BurstMover
    ) -> None:
        """From what the chip is told to its pins, in `COMMAND_STAGES` cycles."""
        pins, kept, started = self.pins, Signal(SdramCommand), Signal()
        activate, precharge, read, write = Signal(), Signal(), Signal(), Signal()
        opened, moved = Signal.like(opener.place), Signal.like(mover.place)
        m.d.sync += [
            kept.eq(refresher.command),
            Cat(activate, precharge).eq(Cat(opener.activate, opener.precharge)),
            Cat(read, write).eq(Cat(mover.read, mover.write)),
            opened.eq(opener.place),
            moved.eq(mover.place),
        ]

        command, bank = Signal(SdramCommand), Signal(BANK_BITS)
        address = Signal(self._chip.row_bits)
        mode = mode_register(self._burst, self._timing.cas)
        column: Value = moved.column << (self._burst.bit_length() - 1)
        m.d.sync += [
            command.eq(kept),
            bank.eq(Mux(kept == SdramCommand.MODE, 0, opened.bank)),
            address.eq(Mux(kept == SdramCommand.MODE, mode, ALL_BANKS)),
        ]
        with m.If(activate):
            m.d.sync += [command.eq(SdramCommand.ACTIVATE), address.eq(opened.row)]
        with m.If(precharge):
            m.d.sync += [command.eq(SdramCommand.PRECHARGE), address.eq(0)]
        with m.If(read | write):
            m.d.sync += [
                command.eq(Mux(write, SdramCommand.WRITE, SdramCommand.READ)),
                bank.eq(moved.bank),
                address.eq(column),
            ]

        with m.If(command == SdramCommand.MODE):
            m.d.sync += started.eq(1)
        m.d.sync += [
            Cat(pins.ras, pins.cas, pins.we).eq(command),
            pins.ba.eq(bank),
            pins.a.eq(address),
            pins.dqm.eq(Mux(started, 0, -1)),
        ]
        m.d.comb += [pins.cke.eq(1), pins.cs.eq(1)]
