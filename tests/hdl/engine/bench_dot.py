"""Dot products: right, on time, and held until the next group may replace them."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from tests.hdl.planes import PlaneBench
from tests.hdl.toolkit import DRAIN_CYCLES, Ints, random_signed, test
from zipsgd.hdl.contract.protocol import row_layout
from zipsgd.sim import golden

GROUPS = 40


class DotBench(PlaneBench):
    """Model words come with the beats of their chunk."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut, "live")
        config = self.config
        self.x = self.port("x", row_layout(config))
        self.product = self.port("product", data.ArrayLayout(signed(config.dot_bits), config.banks))
        self.products = self.scoreboard("product")
        self.present: Ints = np.zeros(config.lanes, dtype=np.int64)  # x of the token's chunk
        self.codes: list[Ints] = []
        self.words: list[Ints] = []
        self.changes: dict[int, list[int] | None] = {}  # what is held from a cycle on, if known
        self.held: list[int] | None = None

    def watch_beats(self) -> None:
        token = self.token.get()
        codes = self.seen_codes(token)
        if codes is None:
            return
        due = self.cycle + self.config.dot_tree_latency + 2
        if token["first_chunk"]:
            self.codes, self.words = [], []
        self.codes.append(codes)
        self.words.append(self.x.array())
        product = golden.dot(np.hstack(self.codes), np.hstack(self.words))
        self.products.expect(product, due)
        self.changes[due] = product.tolist()

    def watch_product(self) -> None:
        self.held = self.changes.pop(self.cycle, self.held)
        if self.products.due:
            self.products.observe(self.product.get())
        elif self.held is not None:
            assert self.product.get() == self.held, "the product was not held"

    async def send_group(self, gap: float) -> None:
        bits, chunks = self.random_shape()
        for chunk in range(chunks):
            self.present = random_signed(self.rng, self.config.model_bits, self.config.lanes)
            await self.send_chunk(bits, chunk, gap)

    def drive(self, token: dict[str, Any], beat: int | None) -> None:
        super().drive(token, beat)
        if beat is None:
            self.x.scramble(self.rng)
        else:
            self.x.set(self.present)


async def run(dut: Any, gap: float) -> None:
    bench = DotBench(dut)
    await bench.reset(bench.is_signed, bench.token, bench.beat, bench.x)
    bench.monitor(bench.watch_beats)
    bench.monitor(bench.watch_product)
    for is_signed in (True, False):
        bench.is_signed.set(is_signed)
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
