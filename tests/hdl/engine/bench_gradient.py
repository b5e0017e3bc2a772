"""Sums of errors times codes, of every chunk, in the promised cycle."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from tests.hdl.planes import PlaneBench, random_errors
from tests.hdl.toolkit import DRAIN_CYCLES, Ints, test
from zipsgd.hdl.contract.formats import COARSE_BITS
from zipsgd.hdl.contract.protocol import error_layout
from zipsgd.hdl.lib.arith import HANDS
from zipsgd.sim import golden

GROUPS = 40


class GradientBench(PlaneBench):
    """Errors stand still while their group is replayed, random words do not."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut, "replay")
        config = self.config
        self.errors = self.port("errors", data.ArrayLayout(error_layout(config), config.banks))
        self.model_drop = self.port("model_drop", range(COARSE_BITS + 1))
        self.random = self.port("random", data.ArrayLayout(config.field_bits, config.lanes))
        self.sums = self.port("sums", data.ArrayLayout(signed(config.dithered_bits), config.lanes))
        self.codes: dict[int, Ints] = {}  # sums of codes by the cycle in which the dither joins
        self.board = self.scoreboard("sums")

    def watch_beats(self) -> None:
        codes = self.seen_codes(self.token.get())
        if codes is not None:
            errors = np.array([error["error"] for error in self.errors.get()])
            due = self.cycle + self.config.sums_latency - 1 - 2 * self.config.update_spread
            self.codes[due] = golden.code_sum(errors, codes)

    def watch_dither(self) -> None:
        config, coarse = self.config, self.model_drop.get()
        sums = self.codes.pop(self.cycle, None)
        if sums is not None:
            drop, random_bits = config.gradient_drop + coarse, config.random_bits + coarse
            noise = golden.dither(self.random.array(), drop, random_bits)
            aligned = sums << config.gradient_frac - config.code_sum_frac
            self.board.expect(
                (aligned + noise) >> config.still_bits, self.cycle + 1 + 2 * config.update_spread
            )

    async def scramble_random(self) -> None:
        while True:
            self.random.scramble(self.rng)
            await self.tick()

    def watch_sums(self) -> None:
        if self.board.due:
            self.board.observe(self.sums.get())

    async def send_group(self, gap: float) -> None:
        bits, chunks = self.random_shape()
        self.errors.set(random_errors(self.rng, self.config, bits))
        for chunk in range(chunks):
            await self.send_chunk(bits, chunk, gap)


async def run(dut: Any, gap: float) -> None:
    bench = GradientBench(dut)
    still = (bench.is_signed, bench.model_drop)
    await bench.reset(*still, bench.token, bench.beat, bench.errors, bench.random)
    bench.monitor(bench.watch_beats)
    bench.monitor(bench.watch_dither)
    bench.monitor(bench.watch_sums)
    cocotb.start_soon(bench.scramble_random())
    for is_signed in (True, False):
        bench.is_signed.set(is_signed)
        bench.model_drop.set(int(bench.rng.integers(COARSE_BITS + 1)))
        await bench.tick(HANDS + 2)
        for _ in range(GROUPS):
            await bench.send_group(gap)
        bench.token.set(0)
        await bench.tick(DRAIN_CYCLES)
    await bench.finish()


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.3)


@test
async def no_gaps(dut: Any) -> None:
    """A beat a cycle."""
    await run(dut, gap=0.0)
