"""Sums of errors times codes, of every chunk, in the promised cycle."""

from __future__ import annotations

from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from hdl.arith import HANDS
from hdl.config import COARSE_BITS, MIN_BITS
from hdl.protocol import error_layout, token_layout
from sim import golden
from tests.hdl.toolkit import (
    DRAIN_CYCLES,
    Bench,
    Ints,
    codes_of,
    pack_plane,
    planes,
    random_bits,
    random_signed,
    test,
    unpack_plane,
)

GROUPS = 40


class GradientBench(Bench):
    """Replays groups of random shapes; the monitor puts codes together from the planes it sees."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        self.is_signed = self.port("is_signed")
        self.token = self.port("token", token_layout(config))
        self.beat = self.port("beat", config.beat_bits)
        self.errors = self.port("errors", data.ArrayLayout(error_layout(config), config.banks))
        self.model_drop = self.port("model_drop", range(COARSE_BITS + 1))
        self.random = self.port("random", data.ArrayLayout(config.field_bits, config.lanes))
        self.sums = self.port("sums", data.ArrayLayout(signed(config.dithered_bits), config.lanes))
        self.codes: dict[int, Ints] = {}  # sums of codes by the cycle in which the dither joins
        self.board = self.scoreboard("sums")
        self.planes: list[Ints] = []

    def watch_beats(self) -> None:
        token = self.token.get()
        if not token["replay"] or token["label"]:
            return
        if token["first"]:
            self.planes = []
        self.planes.append(unpack_plane(self.config, self.beat.get()))
        if token["last"]:
            errors = np.array([error["error"] for error in self.errors.get()])
            sums = golden.code_sum(errors, codes_of(self.planes, bool(self.is_signed.get())))
            self.codes[self.cycle + self.config.gradient_latency - 1] = sums

    def watch_dither(self) -> None:
        config, coarse = self.config, self.model_drop.get()
        sums = self.codes.pop(self.cycle, None)
        if sums is not None:
            drop, random_bits = config.gradient_drop + coarse, config.random_bits + coarse
            noise = golden.dither(self.random.array(), drop, random_bits)
            aligned = sums << config.gradient_frac - config.code_sum_frac
            self.board.expect(aligned + noise, self.cycle + 1)

    async def scramble_random(self) -> None:
        while True:
            self.random.scramble(self.rng)
            await self.tick()

    def watch_sums(self) -> None:
        if self.board.due:
            self.board.observe(self.sums.get())

    async def send_group(self, gap: float) -> None:
        rng, config = self.rng, self.config
        bits = int(rng.integers(MIN_BITS, config.max_bits + 1))
        chunks = int(rng.integers(1, config.max_chunks + 1))
        errors = random_signed(rng, config.error_bits, config.banks) << (config.max_bits - bits)
        coefficients = [random_bits(rng, config.coefficient_bits) for _ in errors]
        self.errors.set(
            [
                {"error": int(error), "coefficient": coefficient}
                for error, coefficient in zip(errors, coefficients, strict=True)
            ]
        )
        for chunk in range(chunks):
            codes = random_signed(rng, bits, (config.banks, config.lanes))
            for index, plane in enumerate(planes(codes, bits)):
                await self.rest(gap)
                ends = {"first": index == 0, "last": index == bits - 1}
                self.token.set({"replay": 1, "chunk": chunk, **ends})
                self.beat.set(pack_plane(plane))
                await self.tick()

    async def rest(self, gap: float) -> None:
        """Cycles that must not matter: label beats, slots that replay nothing, or nothing."""
        while self.chance(gap):
            replay = self.chance(0.5)
            noise = {name: self.chance(0.5) for name in ("first", "last", "live", "commit")}
            self.token.set({"replay": replay, "label": replay, **noise})
            self.beat.scramble(self.rng)
            await self.tick()


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
