"""Model words of every chunk, moved, saturated and counted in the promised cycles."""

from __future__ import annotations

from collections import deque
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from tests.hdl.planes import PlaneBench, random_errors
from tests.hdl.random_jobs import any_job
from tests.hdl.toolkit import DRAIN_CYCLES, Ints, random_signed, test
from zipsgd.hdl.contract.protocol import error_layout, row_layout
from zipsgd.sim import golden

GROUPS = 20


class LeanUpdateBench(PlaneBench):
    """Errors stand still while their group is replayed; x follows its chunk."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut, "replay")
        config, row = self.config, row_layout(self.config)
        self.odd = self.port("odd")
        self.samples = self.port("samples", data.ArrayLayout(error_layout(config), config.banks))
        self.x, self.acc, self.row = (self.port(name, row) for name in ("x", "acc", "row"))
        self.random = self.port("random", data.ArrayLayout(config.field_bits, config.lanes))
        self.moving, self.shift = self.port("moving"), self.port("shift")
        self.word = self.port("word", signed(config.model_bits))
        self.saturations = self.port("saturations", range(config.lanes + 1))
        self.rows, self.counts = self.scoreboard("row"), self.scoreboard("saturations")
        self.present: Ints = np.zeros(config.lanes, dtype=np.int64)  # x of the token's chunk
        self.shown: deque[Ints] = deque([self.present] * config.x_wait, maxlen=config.x_wait)
        self.gradients: dict[int, Ints] = {}  # by the cycle in which acc and noise join
        self.saturated = 0

    @property
    def inputs(self) -> tuple[Any, ...]:
        flags = (self.is_signed, self.odd, self.moving, self.shift, self.word)
        return (*flags, self.token, self.beat, self.samples, self.x, self.acc, self.random)

    def watch_beats(self) -> None:
        config, codes = self.config, self.seen_codes(self.token.get())
        self.shown.append(self.present)
        if codes is None:
            return
        samples = self.samples.get()
        h = np.array([sample["error"] for sample in samples])
        c = np.array([sample["coefficient"] for sample in samples])
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
        bits, chunks = self.random_shape()
        drop = int(self.rng.integers(self.config.error_bits))
        self.samples.set(random_errors(self.rng, self.config, bits, drop))
        for chunk in range(chunks):
            self.present = random_signed(self.rng, self.config.model_bits, self.config.lanes)
            await self.send_chunk(bits, chunk, gap)


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
