"""Model words moved by the rounded gradient, saturated and counted, in the promised cycles."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from tests.hdl.random_jobs import any_job
from tests.hdl.toolkit import Bench, Ints, random_bits, random_signed, test
from zipsgd.hdl.contract.config import UPDATE_LATENCY
from zipsgd.hdl.contract.formats import COARSE_BITS, THRESHOLD_BITS
from zipsgd.hdl.contract.protocol import row_layout
from zipsgd.hdl.engine.update import count_latency
from zipsgd.hdl.lib.arith import HANDS
from zipsgd.sim import golden

PASSES, CYCLES = 8, 70


class UpdateBench(Bench):
    """Anything on every input in every cycle; ``acc`` among them."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        self.i_valid, self.o_valid = self.port("i_valid"), self.port("o_valid")
        self.sums = self.port("sums", data.ArrayLayout(signed(config.dithered_bits), config.lanes))
        width = signed(config.correction_bits)
        self.terms = self.port("terms", data.ArrayLayout(width, config.lanes))
        self.model_drop = self.port("model_drop", range(COARSE_BITS + 1))
        self.threshold = self.port("threshold", THRESHOLD_BITS + 1)
        self.regularised = self.port("regularised", config.lanes)
        self.acc = self.port("acc", row_layout(config))
        self.row = self.port("row", row_layout(config))
        self.saturations = self.port("saturations", range(config.lanes + 1))
        self.rows = self.scoreboard("row")
        self.counts = self.scoreboard("saturations")
        self.saturated = 0
        # Model words and sums of the last cycles, which come before their terms.
        self.words: deque[tuple[Ints, int, int]] = deque(maxlen=config.acc_lead + 1)
        self.last_sums: deque[Ints] = deque(maxlen=2)
        self.next_terms = np.zeros(config.lanes, dtype=np.int64)

    def watch(self) -> None:
        config = self.config
        valid = self.i_valid.get()
        align = config.gradient_frac - config.correction_frac
        self.words.append((self.acc.array(), self.threshold.get(), self.regularised.get()))
        # What the golden model's dither has in the places that ``sums`` leave out.
        (low,) = golden.dither(np.zeros(1, int), config.gradient_drop, config.random_bits)
        low &= (1 << config.still_bits) - 1
        self.last_sums.append((self.sums.array() << config.still_bits) + low)
        total = self.last_sums[0] - (self.terms.array() << align)
        acc, threshold, mask = self.words[0]
        assert mask & (mask + 1) == 0, "the golden model knows leading features only"
        count = 0
        if valid:
            # The sums carry the dither; the golden model adds its own, here that of zeros.
            drop = self.model_drop.get()
            job = any_job(config, model_drop=drop, regularised=mask.bit_length())
            zeros = np.zeros(config.lanes, dtype=np.int64)
            drop = config.gradient_drop + job.model_drop
            gradient = total - golden.dither(zeros, drop, config.random_bits + job.model_drop)
            row, saturated = golden.update(config, job, acc, gradient, np.array(threshold), zeros)
            self.rows.expect(row, self.cycle + UPDATE_LATENCY)
            count = int(saturated.sum())
            self.saturated += count
        self.counts.expect(count, self.cycle + UPDATE_LATENCY + count_latency(config))

        if self.o_valid.get():
            self.rows.observe(self.row.get())
        if self.counts.due:
            self.counts.observe(self.saturations.get())

    def drive(self, gap: float) -> None:
        rng, config = self.rng, self.config
        # Now and then so small that the step is the last place of a model word.
        least = config.gradient_drop + 4
        sums_bits, terms_bits = config.dithered_bits, config.correction_bits
        if self.chance(0.5):
            sums_bits, terms_bits = min(least, sums_bits), min(least, terms_bits)
        self.i_valid.set(not self.chance(gap))
        self.terms.set(self.next_terms)
        self.next_terms = random_signed(rng, terms_bits, config.lanes)
        sums = random_signed(rng, sums_bits, config.lanes)
        if self.chance(0.5):  # a few of the lowest places from where rounding changes
            align = config.gradient_frac - config.correction_frac
            near = (self.next_terms << align >> config.still_bits) + rng.integers(-2, 2)
            limit = 1 << (config.dithered_bits - 1)
            sums = np.clip(near, -limit, limit - 1)
        self.sums.set(sums)
        self.acc.set(random_signed(rng, config.model_bits, config.lanes))
        self.threshold.set(self.chance(0.7) * random_bits(rng, THRESHOLD_BITS + 1))
        self.regularised.set((1 << int(rng.integers(config.lanes + 1))) - 1)


async def run(dut: Any, gap: float) -> None:
    bench = UpdateBench(dut)
    inputs = (bench.model_drop, bench.i_valid, bench.threshold, bench.regularised)
    await bench.reset(*inputs, bench.sums, bench.terms, bench.acc)
    bench.monitor(bench.watch)
    for number in range(PASSES):
        bench.model_drop.set(number and int(bench.rng.integers(COARSE_BITS + 1)))
        await bench.tick(HANDS + 1)
        for _ in range(CYCLES):
            bench.drive(gap)
            await bench.tick()
        bench.i_valid.set(0)
        await bench.tick(UPDATE_LATENCY + count_latency(bench.config) + 1)
    bench.rows.finish()
    assert bench.counts.compared >= PASSES * CYCLES
    assert bench.saturated, "no model word saturated: the test is too weak"


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.3)


@test
async def no_gaps(dut: Any) -> None:
    """A chunk a cycle."""
    await run(dut, gap=0.0)
