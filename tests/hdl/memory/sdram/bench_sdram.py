"""The controller between random requests and a chip that notices every fault."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb

from tests.hdl.memory.ports import Initiator
from tests.hdl.memory.sdram.board_side import ChipSide
from tests.hdl.memory.sdram.cases import CASES, SLOW
from tests.hdl.toolkit import Bench, test
from zipsgd.hdl.memory.sdram.chip import POSTPONED, SdramTiming
from zipsgd.hdl.memory.sdram.words import COMMAND_STAGES

REQUESTS = 100
ROWS = 12
"""That random requests go to, from the first of the memory on: three of each bank."""

BATCHES = 1.25
"""Of refreshes, in a long read."""

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

ROUNDS = 10
"""Most times that random requests look for a fault."""


class SdramBench(Bench):
    """Asks for the first rows of each bank, which were filled through the back door."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.case = case = CASES[self.parameters["case"]]
        self.row_words = (1 << case.chip.column_bits) // case.burst
        words = self.row_words * 4 << case.chip.row_bits
        width = case.chip.dq_bits * case.burst
        self.memory = Initiator(self, "port", width, words.bit_length() - 1, case.longest)
        self.side = ChipSide(self, case)

    async def start(self, timing: SdramTiming | None = None, strict: bool = True) -> None:
        """Reset, with a chip that has just been powered."""
        if not self.cycle:
            await self.reset(*self.memory.inputs, self.side.dq)
            self.side.start()
        else:
            self.dut.rst.value = 1
            await self.tick()
            self.dut.rst.value = 0
        self.side.power_up(timing, strict)
        self.memory.words = dict(enumerate(self.side.fill(ROWS * self.row_words)))

    async def settle(self) -> None:
        """Until the chip has been started."""
        await self.tick(self.case.timing.power_up + 200)

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
    assert len(bench.side.chip.commands) == 6, "a kind of command was never given"


@test
async def long_reads(dut: Any) -> None:
    """A word in ``burst`` cycles over the ends of rows and requests, but for refreshes: of the real
    chips more than nine tenths of the peak rate."""
    bench = SdramBench(dut)
    await bench.start()
    await bench.settle()
    case, memory, timing = bench.case, bench.memory, bench.case.timing
    words = int(BATCHES * POSTPONED * timing.interval) // case.burst
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
    assert (batches in (1, 2), rest) == (True, 0)
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
        # Random requests may leave a rule alone, though not for long.
        for _ in range(ROUNDS if fault else 1):
            await bench.work(bench.requests(REQUESTS // 2 if name != "cas" else 0, 2), 0.0)
            await bench.settle()
            if bench.side.chip.violations:
                break
        expected = {rules[name]} if name in rules else set()
        assert set(bench.side.chip.violations) == expected, (name, bench.side.chip.violations)
    await bench.finish()
