"""Copies of a data set from the pins of an SDRAM to the engine's beats."""

from __future__ import annotations

from typing import Any

import cocotb

from tests.hdl.memory.sdram.board_side import ChipSide
from tests.hdl.memory.sdram.cases import CASES
from tests.hdl.toolkit import Bench, Stream, test
from zipsgd.hdl.memory.plan import SamplePlan, plan_layout
from zipsgd.hdl.memory.sdram.chip import POSTPONED

COPY_WORDS, COPIES = 301, 3
LEAST_RATE = 0.98


class ReaderBench(Bench):
    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.case = case = CASES[self.parameters["case"]]
        width = case.chip.dq_bits * case.burst
        self.address_bits = case.chip.row_bits + case.chip.column_bits + 2
        self.address_bits -= case.burst.bit_length() - 1
        self.board = self.scoreboard("beat")
        self.job = Stream(self, "job", plan_layout(self.address_bits), keeps=True)
        self.beats = Stream(self, "beats", width, self.take)
        self.side = ChipSide(self, case)
        self.stop = self.port("stop")
        self.taken_in: list[int] = []

    def take(self, beat: int) -> None:
        self.taken_in.append(self.cycle)
        self.board.observe(beat)

    async def run(self, epochs: int) -> None:
        inputs = (self.job.payload, self.job.valid, self.beats.ready, self.stop, self.side.dq)
        await self.reset(*inputs)
        words = self.side.fill(COPY_WORDS * COPIES)
        self.side.start()
        for epoch in range(epochs):
            first = epoch % COPIES * COPY_WORDS
            for word in words[first : first + COPY_WORDS]:
                self.board.expect(word)
        plan = SamplePlan(beats=COPY_WORDS, copies=COPIES, epochs=epochs)
        await self.job.send([plan.pack(self.address_bits)], 0.0)
        await self.until(self.job.ready.get, "done")
        await self.finish()


@test
async def nearly_the_peak_rate(dut: Any) -> None:
    """An engine that takes what comes gets a word in ``burst`` cycles, less the refreshes, also
    over the ends of copies and epochs."""
    bench = ReaderBench(dut)
    case, timing = bench.case, bench.case.timing
    cocotb.start_soon(bench.beats.drain(0.0))
    # Whole batches of refreshes, not a part of one, decide the rate.
    epochs = 2 * POSTPONED * timing.interval // (COPY_WORDS * case.burst)
    await bench.run(epochs)
    cycles = bench.taken_in[-1] - bench.taken_in[0] + case.burst
    assert LEAST_RATE < len(bench.taken_in) * case.burst / cycles < 1


@test
async def slow_engine(dut: Any) -> None:
    """One that takes fewer than come still gets all of them."""
    bench = ReaderBench(dut)
    cocotb.start_soon(bench.beats.drain(1 - 0.7 / bench.case.burst))
    await bench.run(4)
