"""Margins of any product, with any offset, and residuals of any label, in the promised cycle."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import signed

from tests.hdl.random_jobs import product_margin
from tests.hdl.toolkit import Bench, random_signed, test
from zipsgd.hdl.contract.formats import MIN_BITS

PASSES, CYCLES = 10, 60


class MarginBench(Bench):
    """A product in every cycle; the number of bits changes between passes."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        self.bits = self.port("bits", range(config.max_bits + 1))
        self.product = self.port("product", signed(config.dot_bits))
        self.offset = self.port("offset", signed(config.model_bits))
        self.label = self.port("label", signed(config.model_bits))
        self.z, self.saturated = self.port("z", signed(config.model_bits)), self.port("saturated")
        self.residual = self.port("residual", signed(config.model_bits + 1))
        self.board, self.residuals = self.scoreboard("margin"), self.scoreboard("residual")
        self.saturations = 0
        self.steady = False

    def watch(self) -> None:
        if self.board.due:
            self.board.observe([self.z.get(), self.saturated.get()])
        if self.residuals.due:
            self.residuals.observe(self.residual.get())
        if not self.steady:
            return
        product, offset = np.array([self.product.get()]), np.array([self.offset.get()])
        z, flags = product_margin(self.config, self.bits.get(), product, offset)
        self.saturations += int(flags.sum())
        latency = self.config.margin_latency
        self.board.expect([*z, int(flags[0])], self.cycle + latency)
        self.residuals.expect(int(z[0]) - self.label.get(), self.cycle + latency + 1)


@test
async def every_cycle(dut: Any) -> None:
    bench = MarginBench(dut)
    config, rng = bench.config, bench.rng
    await bench.reset(bench.bits, bench.product, bench.offset, bench.label)
    bench.monitor(bench.watch)
    for number in range(PASSES):
        bits = int(rng.integers(MIN_BITS, config.max_bits + 1))
        bench.bits.set(bits if number else config.max_bits)
        await bench.tick()
        bench.steady = True
        for _ in range(CYCLES):
            # As often as not within the margin's range.
            width = config.dot_bits if bench.chance(0.5) else config.model_bits + bits - 1
            bench.product.set(int(random_signed(rng, min(width, config.dot_bits), ())))
            bench.offset.set(int(random_signed(rng, config.model_bits, ())))
            bench.label.set(int(random_signed(rng, config.model_bits, ())))
            await bench.tick()
        bench.steady = False
        await bench.tick(bench.config.margin_latency + 2)
    assert bench.board.compared == bench.residuals.compared >= PASSES * CYCLES
    assert bench.saturations, "no margin saturated: the test is too weak"
