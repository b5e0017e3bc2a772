"""Dot products: right, on time, and held until the next group may replace them."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from hdl.config import MIN_BITS
from hdl.protocol import row_layout, token_layout
from sim import golden
from tests.hdl.toolkit import (
    DRAIN_CYCLES,
    Bench,
    Ints,
    codes_of,
    pack_plane,
    planes,
    random_signed,
    test,
    unpack_plane,
)

GROUPS = 40


class DotBench(Bench):
    """Sends groups of random shapes; the monitor puts codes together from the planes it sees."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        self.is_signed = self.port("is_signed")
        self.token = self.port("token", token_layout(config))
        self.beat = self.port("beat", config.beat_bits)
        self.x = self.port("x", row_layout(config))
        self.product = self.port("product", data.ArrayLayout(signed(config.dot_bits), config.banks))
        self.products = self.scoreboard("product")
        self.planes: list[Ints] = []
        self.codes: list[Ints] = []
        self.words: list[Ints] = []
        self.changes: dict[int, list[int] | None] = {}  # what is held from a cycle on, if known
        self.held: list[int] | None = None

    def watch_beats(self) -> None:
        token = self.token.get()
        if not token["live"] or token["label"]:
            return
        if token["first"]:
            self.planes = []
        self.planes.append(unpack_plane(self.config, self.beat.get()))
        if not token["last"]:
            return
        due = self.cycle + self.config.dot_tree_latency + 2
        if token["first_chunk"]:
            self.codes, self.words = [], []
        self.codes.append(codes_of(self.planes, bool(self.is_signed.get())))
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
        rng, config = self.rng, self.config
        bits = int(rng.integers(MIN_BITS, config.max_bits + 1))
        chunks = int(rng.integers(1, config.max_chunks + 1))
        for chunk in range(chunks):
            codes = random_signed(rng, bits, (config.banks, config.lanes))
            words = random_signed(rng, config.model_bits, config.lanes)
            place = {"first_chunk": chunk == 0}
            for index, plane in enumerate(planes(codes, bits)):
                await self.rest(gap)
                ends = {"first": index == 0, "last": index == bits - 1}
                self.token.set({"live": 1, "chunk": chunk, **place, **ends})
                self.beat.set(pack_plane(plane))
                self.x.set(words)
                await self.tick()

    async def rest(self, gap: float) -> None:
        """Cycles that must not matter: label beats, empty slots, or nothing."""
        while self.chance(gap):
            live = self.chance(0.5)
            fields = ("first", "last", "first_chunk", "replay", "group_end")
            noise = {name: self.chance(0.5) for name in fields}
            self.token.set({"live": live, "label": live, **noise})
            self.beat.scramble(self.rng)
            self.x.scramble(self.rng)
            await self.tick()


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
