"""The SDRAM model at the pins of a design: it sees them once a cycle and drives DQ."""

from __future__ import annotations

import cocotb
from cocotb.triggers import RisingEdge

from tests.hdl.memory.sdram.cases import Case
from tests.hdl.memory.sdram.chip_model import Pins, SdramModel
from tests.hdl.toolkit import Bench, random_bits
from zipsgd.hdl.memory.sdram.chip import SdramTiming
from zipsgd.hdl.memory.sdram.pins import SdramCommand


class ChipSide:
    """Between a bench and the chip; ``chip`` is replaced at each `power_up`."""

    def __init__(self, bench: Bench, case: Case, name: str = "pins") -> None:
        self._bench, self._case = bench, case
        dq_bits = case.chip.dq_bits
        widths = {**dict.fromkeys(("cke", "cs", "ras", "cas", "we", "dq__oe"), 1), "ba": 2}
        widths |= {"a": case.chip.row_bits, "dqm": dq_bits // 8, "dq__o": dq_bits}
        self.dq = bench.port(f"{name}__dq__i", dq_bits)
        self._pins = {pin: bench.port(f"{name}__{pin}", width) for pin, width in widths.items()}
        self.chip = SdramModel(case.chip, case.timing, case.burst)

    def power_up(self, timing: SdramTiming | None = None, strict: bool = True) -> None:
        """A new chip, perhaps with other limits than the controller knows."""
        case = self._case
        self.chip = SdramModel(case.chip, timing or case.timing, case.burst, strict)

    def start(self) -> None:
        """From now on the chip takes part, cycle by cycle."""
        self._bench.monitor(self._watch)
        cocotb.start_soon(self._drive())

    def fill(self, words: int) -> list[int]:
        """Write random words of the port from address 0 on through the back door."""
        case, dq_bits = self._case, self._case.chip.dq_bits
        row_words = (1 << case.chip.column_bits) // case.burst
        values = [random_bits(self._bench.rng, dq_bits * case.burst) for _ in range(words)]
        for address, value in enumerate(values):
            row, column = divmod(address, row_words)
            for part in range(case.burst):
                place = (row % 4, row // 4, column * case.burst + part)
                self.chip.words[place] = value >> part * dq_bits & (1 << dq_bits) - 1
        return values

    def _watch(self) -> None:
        pins = self._pins
        code = pins["ras"].get() | pins["cas"].get() << 1 | pins["we"].get() << 2
        driven = bool(pins["dq__oe"].get())
        self.chip.clock(
            Pins(
                SdramCommand(code),
                bank=pins["ba"].get() if code else 0,
                address=pins["a"].get() if code else 0,
                dq=pins["dq__o"].get() if driven else 0,
                driven=driven,
                dqm=pins["dqm"].get(),
                cke=bool(pins["cke"].get()),
                cs=bool(pins["cs"].get()),
            )
        )

    async def _drive(self) -> None:
        """In the cycle that begins, what the chip drives; otherwise anything."""
        while True:
            shown = self.chip.shows(self.chip.cycle + 1 - self._case.pin_delay)
            if shown is None:
                self.dq.scramble(self._bench.rng)
            else:
                self.dq.set(shown)
            await RisingEdge(self._bench.clock)
