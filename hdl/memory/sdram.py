"""A controller of single data rate SDRAM, for long sequential bursts."""

from __future__ import annotations

from functools import reduce
from operator import and_

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .interface import MemorySignature
from .sdram_bank import SdramBank, guard
from .sdram_chip import SdramChip, SdramTiming
from .sdram_keeper import SdramKeeper
from .sdram_pins import ALL_BANKS, BANK_BITS, Command, SdramPins, mode_register
from .sdram_segment import Splitter
from .sdram_words import SdramWords

BURSTS = (2, 4, 8)
TURN = 1
"""Cycles between a word that the chip drives and one that the controller drives."""

TELLS = data.StructLayout({"activate": 1, "precharge": 1, "read": 1, "write": 1})
"""What the chip is told in a cycle, at most one of them."""


class Sdram(wiring.Component):
    """An SDRAM behind a `MemorySignature`; a word is a burst of the chip::

        port.requests -> [Splitter] -> next: its row is opened -> present: its bursts are moved
                                            |                           |
                             [SdramBank] x 4, [SdramKeeper] ------------+-> pins
        port.writes, port.reads <-----------------------[SdramWords]----+-> pins.dq

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
        Instead of the chip's own at this clock: for simulation.

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
        timing = self._timing
        m.submodules.keeper = keeper = SdramKeeper(timing)
        m.submodules.splitter = splitter = Splitter(self.port.signature, self._column_bits)
        m.submodules.words = words = SdramWords(
            self._chip.dq_bits, self._burst, timing.cas, self._pin_delay
        )
        wiring.connect(m, wiring.flipped(self.port.requests), splitter.i)

        tells, active, prepared, promoted = Signal(TELLS), Signal(), Signal(), Signal()
        following, present = Signal.like(splitter.o.payload), Signal.like(splitter.o.payload)
        banks = self._connect_banks(m, keeper, tells, following.place, present.place)
        self._prepare(m, keeper, splitter, banks, tells, following, present, active, prepared)
        # While its row is being opened, as many ones as cycles are left.
        opening, settling = (Signal(max(1, timing.rcd - 1)) for _ in range(2))
        m.d.sync += [
            opening.eq(Mux(tells.activate, -1 if timing.rcd > 1 else 0, opening >> 1)),
            settling.eq(Mux(promoted, opening, settling) >> 1),
        ]
        with m.If(promoted):
            m.d.sync += present.eq(following)
        self._move(m, tells, present, active, ~settling[0], promoted)
        self._command(m, keeper, tells, following.place, present.place)
        m.d.comb += [
            promoted.eq(prepared & ~keeper.hold & ~active),
            keeper.quiet.eq(~active),
            words.read.eq(tells.read),
            words.write.eq(tells.write),
            words.word.eq(self.port.writes.payload),
        ]
        wiring.connect(m, words.reads, wiring.flipped(self.port.reads))
        wiring.connect(m, words.dq, wiring.flipped(self.pins.dq))
        return m

    def _connect_banks(
        self,
        m: Module,
        keeper: SdramKeeper,
        tells: data.View,
        following: data.View,
        present: data.View,
    ) -> list[SdramBank]:
        """Each bank hears what it is told; they answer about ``following``'s row."""
        banks = []
        for number in range(1 << BANK_BITS):
            bank = SdramBank(self._timing, self._burst, self._chip.row_bits)
            m.submodules[f"bank_{number}"] = bank
            banks.append(bank)
            prepares, moves = following.bank == number, present.bank == number
            keeps = keeper.command
            m.d.comb += [
                bank.row.eq(following.row),
                bank.activate.eq(tells.activate & prepares),
                bank.precharge.eq((tells.precharge & prepares) | (keeps == Command.PRECHARGE)),
                bank.read.eq(tells.read & moves),
                bank.write.eq(tells.write & moves),
                bank.refresh.eq(keeps == Command.REFRESH),
                bank.mode.eq(keeps == Command.MODE),
            ]
        m.d.comb += [
            keeper.can_precharge.eq(reduce(and_, (bank.can_precharge for bank in banks))),
            keeper.can_activate.eq(reduce(and_, (bank.can_activate for bank in banks))),
        ]
        return banks

    def _prepare(
        self,
        m: Module,
        keeper: SdramKeeper,
        splitter: Splitter,
        banks: list[SdramBank],
        tells: data.View,
        following: data.View,
        present: data.View,
        active: Signal,
        prepared: Signal,
    ) -> None:
        """Open the row of the next segment. A refresh closes it again: then look anew."""
        bank, moves = following.place.bank, tells.read | tells.write
        apart = guard(m, (tells.activate, self._timing.rrd))
        free = ~active | (present.place.bank != bank)
        with m.FSM():
            with m.State("EMPTY"):
                m.d.comb += [
                    splitter.o.ready.eq(1),
                    keeper.idle.eq(~active & splitter.empty & ~self.port.requests.valid),
                ]
                m.d.sync += following.eq(splitter.o.payload)
                with m.If(splitter.o.valid):
                    m.next = "LOOK"
            with m.State("LOOK"):
                with m.If(~keeper.hold):
                    m.next = "CHOOSE"
            with m.State("CHOOSE"):
                m.next = "ACTIVATE"
                with m.If(Array(each.is_open for each in banks)[bank]):
                    m.next = "PRECHARGE"
                with m.If(Array(each.hit for each in banks)[bank]):
                    m.next = "PREPARED"
            with m.State("PRECHARGE"):
                may = free & Array(each.can_precharge for each in banks)[bank]
                with m.If(keeper.hold):
                    m.next = "LOOK"
                with m.Elif(may & ~moves):
                    m.d.comb += tells.precharge.eq(1)
                    m.next = "ACTIVATE"
            with m.State("ACTIVATE"):
                may = apart & Array(each.can_activate for each in banks)[bank]
                with m.If(keeper.hold):
                    m.next = "LOOK"
                with m.Elif(may & ~moves):
                    m.d.comb += tells.activate.eq(1)
                    m.next = "PREPARED"
            with m.State("PREPARED"):
                m.d.comb += prepared.eq(1)
                with m.If(keeper.hold):
                    m.next = "LOOK"
                with m.Elif(~active):
                    m.next = "EMPTY"

    def _move(
        self,
        m: Module,
        tells: data.View,
        present: data.View,
        active: Signal,
        accessible: Value,
        promoted: Signal,
    ) -> None:
        """Read or write the present segment, a burst as soon as the last one is over."""
        column, moves, last = present.place.column, Signal(), Signal()
        spaced = guard(m, (moves, self._burst))
        turned = guard(m, (tells.read, self._timing.cas + self._burst + TURN))
        may = active & spaced & accessible
        m.d.comb += [
            tells.read.eq(may & ~present.write),
            tells.write.eq(may & present.write & turned & self.port.writes.valid),
            self.port.writes.ready.eq(tells.write),
            moves.eq(tells.read | tells.write),
            last.eq(present.length == 1),
        ]
        with m.If(moves):
            m.d.sync += [column.eq(column + 1), present.length.eq(present.length - 1)]
        with m.If(promoted):
            m.d.sync += active.eq(1)
        with m.Elif(moves & last):
            m.d.sync += active.eq(0)

    def _command(
        self,
        m: Module,
        keeper: SdramKeeper,
        tells: data.View,
        following: data.View,
        present: data.View,
    ) -> None:
        """From what the chip is told to its pins, in `COMMAND_STAGES` cycles."""
        pins, command, bank = self.pins, Signal(Command), Signal(BANK_BITS)
        address, started = Signal(self._chip.row_bits), Signal()
        kept, told = Signal(Command), Signal(TELLS)
        opened, moved = Signal.like(following), Signal.like(present)
        m.d.sync += [
            kept.eq(keeper.command),
            told.eq(tells),
            opened.eq(following),
            moved.eq(present),
        ]

        mode = mode_register(self._burst, self._timing.cas)
        column: Value = moved.column << (self._burst.bit_length() - 1)
        m.d.sync += [
            command.eq(kept),
            bank.eq(Mux(kept == Command.MODE, 0, opened.bank)),
            address.eq(Mux(kept == Command.MODE, mode, ALL_BANKS)),
        ]
        with m.If(told.activate):
            m.d.sync += [command.eq(Command.ACTIVATE), address.eq(opened.row)]
        with m.If(told.precharge):
            m.d.sync += [command.eq(Command.PRECHARGE), address.eq(0)]
        with m.If(told.read | told.write):
            code = Mux(told.write, Command.WRITE, Command.READ)
            m.d.sync += [command.eq(code), bank.eq(moved.bank), address.eq(column)]
        with m.If(command == Command.MODE):
            m.d.sync += started.eq(1)
        m.d.sync += [
            Cat(pins.ras, pins.cas, pins.we).eq(command),
            pins.ba.eq(bank),
            pins.a.eq(address),
            pins.dqm.eq(Mux(started, 0, -1)),
        ]
        m.d.comb += [pins.cke.eq(1), pins.cs.eq(1)]
