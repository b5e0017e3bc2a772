"""An SDRAM chip that notices every command it should not have been given.

It is told the state of its pins once a clock cycle and holds it against the data sheet: state of
the banks, least times between commands, order and pauses of the start, refreshes, and who drives
DQ. Time is counted in cycles: a command is *in* the cycle at whose end the chip takes it, and with
a CAS latency of n the first word of a read is driven n cycles later, and taken at that cycle's end.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from zipsgd.hdl.memory.sdram.chip import SdramChip, SdramTiming
from zipsgd.hdl.memory.sdram.pins import ALL_BANKS, SdramCommand

BANKS = 4
START_REFRESHES = 8
LONG_AGO = -(10**9)
MEMORY_CYCLES = 16
"""For so long the model knows what it drove: longer than any delay of pins."""


@dataclass(frozen=True)
class Pins:
    """The controller's side, in a cycle: all active high."""

    command: Any  # mypy takes a member of `SdramCommand` for an integer
    bank: int = 0
    address: int = 0
    dq: int = 0
    driven: bool = False
    dqm: int = 0
    cke: bool = True
    cs: bool = True


@dataclass
class Bank:
    """When the bank was last told what; ``row`` is None if none is open."""

    row: int | None = None
    activated: int = LONG_AGO
    precharged: int = LONG_AGO
    written: int = LONG_AGO
    """The last word's cycle."""
    read: int = LONG_AGO
    """The last word's cycle but for the CAS latency."""


class ViolationError(AssertionError):
    """The chip was used against its data sheet; ``rule`` is what was broken."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


class SdramModel:
    """The chip.

    Parameters
    ----------
    chip : SdramChip
        For its size.
    timing : SdramTiming
    burst : int
        What the mode register must say.
    strict : bool
        Raise `ViolationError` at once; otherwise count them by rule in ``violations``.

    Members
    -------
    words : dict of (bank, row, column) to int
        What has been written; the back door.
    commands : Counter of Command
    """

    def __init__(
        self, chip: SdramChip, timing: SdramTiming, burst: int, strict: bool = True
    ) -> None:
        self.chip, self.timing, self.burst, self.strict = chip, timing, burst, strict
        self.violations: Counter[str] = Counter()
        self.words: dict[tuple[int, int, int], int] = {}
        self.commands: Counter[SdramCommand] = Counter()
        self.cycle = -1
        self._banks = [Bank() for _ in range(BANKS)]
        self._activated = self._refreshed = self._mode = self._column = LONG_AGO
        self._precharged_all = self._started = False
        self._refreshes: deque[int] = deque(maxlen=timing.refresh_rows)
        self._driven: dict[int, int | None] = {}
        """Word that the chip drives in a cycle; None where it is letting go."""
        self._expected: dict[int, tuple[int, int, int]] = {}
        """Place of the word that is written in a cycle."""

    def shows(self, cycle: int) -> int | None:
        """What the chip drives in a cycle, or None."""
        return self._driven.get(cycle)

    def clock(self, pins: Pins) -> None:
        """The end of a cycle."""
        self.cycle += 1
        if not pins.cs or not pins.cke:
            self._break("select", "the chip was not selected or its clock not enabled")
        if not self._started and not pins.dqm:
            self._break("start", "DQM was clear before the mode was set")
        if self._started and self.cycle - self._refreshes[0] > self.timing.refresh_window:
            self._break("refresh", "a row was not refreshed in time")
            self._refreshes.append(self.cycle)
        if pins.command != SdramCommand.NOTHING:
            self.commands[pins.command] += 1
            if self.cycle < self.timing.power_up:
                self._break("power-up", f"{pins.command.name} in cycle {self.cycle}")
            self._apart("tRFC", pins, self._refreshed, self.timing.rfc)
            self._apart("tMRD", pins, self._mode, self.timing.mrd)
            self._obey(pins)
        self._exchange(pins)

    def _obey(self, pins: Pins) -> None:
        match pins.command:
            case SdramCommand.ACTIVATE:
                self._activate(pins)
            case SdramCommand.READ | SdramCommand.WRITE:
                self._access(pins)
            case SdramCommand.PRECHARGE:
                chosen = range(BANKS) if pins.address & ALL_BANKS else (pins.bank,)
                self._precharged_all |= len(chosen) == BANKS
                for number in chosen:
                    self._precharge(pins, self._banks[number])
            case SdramCommand.REFRESH:
                self._when_closed(pins)
                self._refreshes.append(self.cycle)
                self._refreshed = self.cycle
            case SdramCommand.MODE:
                self._when_closed(pins)
                self._set_mode(pins)

    def _activate(self, pins: Pins) -> None:
        bank = self._banks[pins.bank]
        if not self._started:
            self._break("start", "ACTIVATE before the mode was set")
        if bank.row is not None:
            self._break("bank", f"ACTIVATE while bank {pins.bank} is open")
        self._apart("tRP", pins, bank.precharged, self.timing.rp)
        self._apart("tRC", pins, bank.activated, self.timing.rc)
        if bank.activated != self._activated:
            self._apart("tRRD", pins, self._activated, self.timing.rrd)
        bank.row, bank.activated, self._activated = pins.address, self.cycle, self.cycle

    def _access(self, pins: Pins) -> None:
        bank, writes = self._banks[pins.bank], pins.command == SdramCommand.WRITE
        if bank.row is None:
            self._break("bank", f"{pins.command.name} while bank {pins.bank} is closed")
            return
        if pins.address & ALL_BANKS:
            self._break("auto-precharge", "this model has none")
        if pins.address % self.burst:
            self._break("burst", f"column {pins.address} is not the first of a burst")
        self._apart("tRCD", pins, bank.activated, self.timing.rcd)
        self._apart("burst", pins, self._column, self.burst)
        self._column = self.cycle
        for offset in range(self.burst):
            place = (pins.bank, bank.row, pins.address + offset)
            if writes:
                self._expected[self.cycle + offset] = place
            else:
                if place not in self.words:
                    self._break("unwritten", f"bank, row and column {place} were never written")
                cycle = self.cycle + self.timing.cas + offset
                self._driven[cycle] = self.words.get(place, 0)
                self._driven.setdefault(cycle + 1, None)
        if writes:
            bank.written = self.cycle + self.burst - 1
        else:
            bank.read = self.cycle + self.burst - 1

    def _precharge(self, pins: Pins, bank: Bank) -> None:
        if bank.row is not None:
            self._apart("tRAS", pins, bank.activated, self.timing.ras)
            self._apart("tWR", pins, bank.written, self.timing.wr)
            self._apart("burst", pins, bank.read, 1)
        bank.row, bank.precharged = None, self.cycle

    def _when_closed(self, pins: Pins) -> None:
        if not self._precharged_all:
            self._break("start", f"{pins.command.name} before all banks were precharged")
        for number, bank in enumerate(self._banks):
            if bank.row is not None:
                self._break("bank", f"{pins.command.name} while bank {number} is open")
            self._apart("tRP", pins, bank.precharged, self.timing.rp)
            self._apart("tRC", pins, bank.activated, self.timing.rc)

    def _set_mode(self, pins: Pins) -> None:
        if len(self._refreshes) < min(START_REFRESHES, self.timing.refresh_rows):
            self._break("start", f"the mode was set after {len(self._refreshes)} refreshes")
        cas, burst = pins.address >> 4, 1 << (pins.address & 0b1111)
        if cas != self.timing.cas:
            self._break("CAS latency", f"{cas} was set, the clock needs {self.timing.cas}")
        if (burst, pins.bank) != (self.burst, 0):
            self._break("burst", f"bursts of {burst} in mode register {pins.bank} were set")
        self._mode, self._started = self.cycle, True
        self._refreshes.extend([self.cycle] * self.timing.refresh_rows)

    def _exchange(self, pins: Pins) -> None:
        """Who drives DQ, and what is written."""
        if pins.driven and self.cycle in self._driven:
            self._break("contention", "chip and controller drive DQ")
        place = self._expected.pop(self.cycle, None)
        if place is not None and not pins.driven:
            self._break("write", "nothing was driven")
        if place is None and pins.driven:
            self._break("contention", "DQ was driven and nothing was written")
        if place is not None:
            self.words[place] = pins.dq
        self._driven.pop(self.cycle - MEMORY_CYCLES, None)

    def _apart(self, rule: str, pins: Pins, since: int, cycles: int) -> None:
        passed = self.cycle - since
        if passed < cycles:
            self._break(rule, f"{pins.command.name} after {passed} cycles instead of {cycles}")

    def _break(self, rule: str, message: str) -> None:
        self.violations[rule] += 1
        if self.strict:
            raise ViolationError(rule, f"{message}, in cycle {self.cycle}")
