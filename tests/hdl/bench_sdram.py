"""The controller between random requests and a chip that notices every fault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hdl.memory.sdram_chip import POSTPONED, SdramTiming
from hdl.memory.sdram_pins import Command
from hdl.memory.sdram_words import COMMAND_STAGES
from tests.hdl.memory import Initiator
from tests.hdl.sdram_cases import CASES, SLOW
from tests.hdl.sdram_model import Pins, SdramModel
from tests.hdl.toolkit import Bench, random_bits, test

REQUESTS = 100
ROWS = 12
"""That random requests go to, from the first of the memory on: three of each bank."""

REFRESH_BATCHES = 2
COLUMN_STAGES = 11
"""Beside CAS latency, burst and pins: cycles from a request to its word, as promised."""

LATER = {
    "rcd": "tRCD",
    "rp": "tRP",
    "rc": "tRC",
    "ras": "tRAS",
    "rrd": "tRRD",
    "rfc": "tRFC",
    "wr": "tWR",
    "mrd": "tMRD",
    "cas": "CAS latency",
    "power_up": "power-up",
}
"""Limits of a chip, and the rule that a controller breaks which thinks them a cycle shorter."""


class SdramBench(Bench):
    """The chip sees the pins a cycle at a time, and drives DQ in the cycles in which it should."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.case = case = CASES[self.parameters["case"]]
        self.row_words = (1 << case.chip.column_bits) // case.burst
        address_bits = case.chip.column_bits + 2 + case.chip.row_bits
        address_bits -= case.burst.bit_length() - 1
        width = case.chip.dq_bits * case.burst
        self.memory = Initiator(self, "port", width, address_bits, case.longest)
        self.dq = self.port("pins__dq__i", case.chip.dq_bits)
        self.pins = {
            name: self.port(f"pins__{name}", width)
            for name, width in {
                **dict.fromkeys(("cke", "cs", "ras", "cas", "we", "dq__oe"), 1),
                "ba": 2,
                "a": case.chip.row_bits,
                "dqm": case.chip.dq_bits // 8,
                "dq__o": case.chip.dq_bits,
            }.items()
        }
        self.chip: SdramModel

    async def start(self, timing: SdramTiming | None = None, strict: bool = True) -> None:
        """Reset, with a chip that has just been powered; its first rows may be read."""
        case = self.case
        self.chip = SdramModel(case.chip, timing or case.timing, case.burst, strict)
        if not self.cycle:
            await self.reset(*self.memory.inputs, self.dq)
            self.monitor(self.watch)
            cocotb.start_soon(self.drive())
        else:
            self.dut.rst.value = 1
            await self.tick()
            self.dut.rst.value = 0
            self.chip = SdramModel(case.chip, timing or case.timing, case.burst, strict)
        self.fill()

    async def settle(self) -> None:
        """Until the chip has been started."""
        await self.tick(self.case.timing.power_up + 200)

    def watch(self) -> None:
        pin = {name: port.get() for name, port in self.pins.items()}
        command = Command(pin["ras"] | pin["cas"] << 1 | pin["we"] << 2)
        self.chip.clock(
            Pins(
                command,
                bank=pin["ba"],
                address=pin["a"],
                dq=pin["dq__o"],
                driven=bool(pin["dq__oe"]),
                dqm=pin["dqm"],
                cke=bool(pin["cke"]),
                cs=bool(pin["cs"]),
            )
        )

    async def drive(self) -> None:
        """In the cycle that begins, what the chip drives; otherwise anything."""
        while True:
            shown = self.chip.shows(self.chip.cycle + 1 - self.case.pin_delay)
            if shown is None:
                self.dq.scramble(self.rng)
            else:
                self.dq.set(shown)
            await RisingEdge(self.clock)

    def requests(self, count: int, longest: int) -> list[dict[str, int]]:
        """Short and long ones, many to the same rows."""
        limit = ROWS * self.row_words
        found = []
        for _ in range(count):
            most = int(self.rng.choice([1, 2, longest]))
            length = int(self.rng.integers(1, most + 1))
            address = int(self.rng.integers(limit - length + 1))
            write = int(self.rng.integers(2))
            found.append({"address": address, "length": length, "write": write})
        return found

    def fill(self) -> None:
        """Through the back door: what random requests may read."""
        case = self.case
        for word in range(ROWS * self.row_words):
            value = random_bits(self.rng, case.chip.dq_bits * case.burst)
            self.memory.words[word] = value
            bank, row = word // self.row_words % 4, word // self.row_words // 4
            for part in range(case.burst):
                column = word % self.row_words * case.burst + part
                chip_word = value >> part * case.chip.dq_bits & (1 << case.chip.dq_bits) - 1
                self.chip.words[bank, row, column] = chip_word

    async def work(self, requests: list[dict[str, int]], gap: float) -> None:
        words = sum(request["length"] for request in requests if request["write"])
        cocotb.start_soon(self.memory.writes.send(self.memory.random_words(words), 0.0))
        await self.memory.requests.send(requests, gap)
        await self.memory.wait()


@test
async def random_requests(dut: Any) -> None:
    """Crowded, then with pauses in which refreshes find room."""
    bench = SdramBench(dut)
    await bench.start()
    await bench.work(bench.requests(REQUESTS, bench.case.longest), 0.0)
    await bench.work(bench.requests(REQUESTS // 2, 2), 0.95)
    await bench.finish()
    assert len(bench.chip.commands) == 6, "a kind of command was never given"


@test
async def long_reads(dut: Any) -> None:
    """A word in ``burst`` cycles over the ends of rows and requests, but for refreshes: of the real
    chips more than nine tenths of the peak rate."""
    bench = SdramBench(dut)
    await bench.start()
    await bench.settle()
    case, memory, timing = bench.case, bench.memory, bench.case.timing
    words = REFRESH_BATCHES * POSTPONED * timing.interval // case.burst
    limit = ROWS * bench.row_words // case.longest * case.longest
    asked = [
        {"address": start % limit, "length": case.longest, "write": 0}
        for start in range(0, words, case.longest)
    ]
    await memory.requests.send(asked, 0.0)
    await memory.wait()
    cycles = memory.read_in[-1] - memory.read_in[0]
    stall = timing.rp + POSTPONED * timing.rfc + timing.rcd
    batches, rest = divmod(cycles - case.burst * (len(memory.read_in) - 1), stall)
    assert (batches in (REFRESH_BATCHES - 1, REFRESH_BATCHES), rest) == (True, 0)
    assert case.timing is SLOW or stall / (POSTPONED * timing.interval + stall) < 0.02
    await bench.finish()


@test
async def latency(dut: Any) -> None:
    """Of a read of an open row when nothing else is to be done."""
    bench = SdramBench(dut)
    await bench.start()
    await bench.settle()
    for _ in range(2):
        await bench.memory.requests.send([{"address": 1, "length": 1, "write": 0}], 0.0)
        await bench.memory.wait()
    case = bench.case
    promised = case.timing.cas + case.burst + case.pin_delay + COLUMN_STAGES
    assert bench.memory.read_in[-1] - bench.memory.asked_in[-1] == promised
    await bench.finish()


@test
async def shorter_limits_are_noticed(dut: Any) -> None:
    """A controller that thinks its chip a cycle faster than it is breaks that rule, and no other
    before it; one that knows the chip breaks none."""
    bench = SdramBench(dut)
    if bench.case.timing is not SLOW:
        return
    faults = {name: {name: getattr(SLOW, name) + 1} for name in LATER}
    # These two are not used up to the last cycle: commands take a while to the pins, and refreshes
    # may be late.
    faults["power_up"]["power_up"] += COMMAND_STAGES
    faults["refresh"] = {"refresh_window": SLOW.refresh_window // 2}
    rules = LATER | {"refresh": "refresh"}
    for name, fault in (("none", {}), *faults.items()):
        await bench.start(replace(SLOW, **fault), strict=False)
        await bench.work(bench.requests(REQUESTS // 2 if name != "cas" else 0, 2), 0.0)
        await bench.settle()
        expected = {rules[name]} if name in rules else set()
        assert set(bench.chip.violations) == expected, (name, bench.chip.violations)
    await bench.finish()
