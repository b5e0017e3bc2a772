"""Model words of every chunk, moved, saturated and counted in the promised cycles."""

from __future__ import annotations

from collections import deque
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from hdl.config import MIN_BITS
from hdl.protocol import error_layout, row_layout, token_layout
from sim import golden
from tests.hdl.jobs import any_job
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

GROUPS = 30


class LeanUpdateBench(Bench):
    """Replays groups of random shapes; the monitor puts codes together from the planes it sees."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config, row = self.config, row_layout(self.config)
        self.is_signed, self.odd = self.port("is_signed"), self.port("odd")
        self.token = self.port("token", token_layout(config))
        self.beat = self.port("beat", config.beat_bits)
        self.samples = self.port("samples", data.ArrayLayout(error_layout(config), config.banks))
        self.x, self.acc, self.row = (self.port(name, row) for name in ("x", "acc", "row"))
        self.random = self.port("random", data.ArrayLayout(config.field_bits, config.lanes))
        self.moving, self.shift = self.port("moving"), self.port("shift")
        self.word = self.port("word", signed(config.model_bits))
        self.saturations = self.port("saturations", range(config.lanes + 1))
        self.rows, self.counts = self.scoreboard("row"), self.scoreboard("saturations")
        self.planes: list[Ints] = []
        self.present: Ints = np.zeros(config.lanes, dtype=np.int64)  # x of the token's chunk
        self.shown: deque[Ints] = deque([self.present] * config.x_wait, maxlen=config.x_wait)
        self.gradients: dict[int, Ints] = {}  # by the cycle in which acc and noise join
        self.saturated = 0

    @property
    def inputs(self) -> tuple[Any, ...]:
        flags = (self.is_signed, self.odd, self.moving, self.shift, self.word)
        return (*flags, self.token, self.beat, self.samples, self.x, self.acc, self.random)

    def watch_beats(self) -> None:
        config, token = self.config, self.token.get()
        self.shown.append(self.present)
        if not token["replay"] or token["label"]:
            return
        if token["first"]:
            self.planes = []
        self.planes.append(unpack_plane(config, self.beat.get()))
        if not token["last"]:
            return
        samples = self.samples.get()
        h = np.array([sample["error"] for sample in samples])
        c = np.array([sample["coefficient"] for sample in samples])
        codes = codes_of(self.planes, bool(self.is_signed.get()))
        shrinkage = golden.shrinkage(
            any_job(config, unsigned=bool(self.odd.get())), c, np.zeros((), np.int64), codes
        )
        code_sum = golden.code_sum(h, codes) << config.gradient_frac - config.code_sum_frac
        correction = shrinkage * self.present << config.gradient_frac - config.correction_frac
        self.gradients[self.cycle + config.gradient_latency - 1] = code_sum - correction

    def watch_words(self) -> None:
        config, gradient = self.config, self.gradients.pop(self.cycle, None)
        if gradient is not None:
            zero = np.zeros((), np.int64)
            row, saturated = golden.update(
                config, any_job(config), self.acc.array(), gradient, zero, self.random.array()
            )
            due = self.cycle + 1 + config.row_latency
            self.rows.expect(row, due)
            self.counts.expect(int(saturated.sum()), due + 1)
            self.saturated += int(saturated.sum())
        if self.rows.due:
            self.rows.observe(self.row.get())
        if self.counts.due:
            self.counts.observe(self.saturations.get())
        else:
            assert not self.saturations.get(), "saturations were counted without a chunk"

    async def scramble(self) -> None:
        """What changes in every cycle, and model words that follow their chunk."""
        while True:
            self.random.scramble(self.rng)
            limit = 1 << self.config.model_bits - 1
            acc = random_signed(self.rng, self.config.model_bits, self.config.lanes)
            self.acc.set(np.clip(acc * int(self.rng.choice([1, 2])), -limit, limit - 1))
            self.x.set(self.shown[0])
            await self.tick()

    async def send_group(self, gap: float) -> None:
        rng, config = self.rng, self.config
        bits = int(rng.integers(MIN_BITS, config.max_bits + 1))
        errors = random_signed(rng, config.error_bits, config.banks) << (config.max_bits - bits)
        scale = int(rng.integers(config.error_bits))
        self.samples.set(
            [
                {
                    "error": int(error) >> scale,
                    "coefficient": random_bits(rng, config.coefficient_bits),
                }
                for error in errors
            ]
        )
        for chunk in range(int(rng.integers(1, config.max_chunks + 1))):
            self.present = random_signed(rng, config.model_bits, config.lanes)
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
    bench = LeanUpdateBench(dut)
    await bench.reset(*bench.inputs)
    bench.monitor(bench.watch_beats)
    bench.monitor(bench.watch_words)
    cocotb.start_soon(bench.scramble())
    for is_signed in (True, False):
        bench.is_signed.set(is_signed)
        bench.odd.set(not is_signed)
        await bench.tick(2)
        for _ in range(GROUPS):
            await bench.send_group(gap)
        bench.token.set(0)
        await bench.tick(DRAIN_CYCLES)
    await bench.finish()
    assert bench.saturated, "no model word saturated: the test is too weak"


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.3)


@test
async def no_gaps(dut: Any) -> None:
    """A beat a cycle."""
    await run(dut, gap=0.0)


@test
async def words_are_lent_a_row(dut: Any) -> None:
    """While the model is moved the row holds what was shifted in, whatever else comes."""
    bench = LeanUpdateBench(dut)
    await bench.reset(*bench.inputs)
    cocotb.start_soon(bench.scramble())
    bench.moving.set(1)
    words = random_signed(bench.rng, bench.config.model_bits, 3 * bench.config.lanes).tolist()
    for word in words:
        bench.shift.set(1)
        bench.word.set(word)
        await bench.tick()
        bench.shift.set(0)
        bench.word.scramble(bench.rng)
        await bench.tick(int(bench.rng.integers(3)))
    await bench.tick()
    assert bench.row.get() == words[-bench.config.lanes :]
