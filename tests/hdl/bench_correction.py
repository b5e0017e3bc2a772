"""The parity correction, weight decay and the dither, a chunk in every cycle."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from hdl.config import COARSE_BITS, THRESHOLD_BITS
from hdl.protocol import group_layout, row_layout
from sim import golden
from tests.hdl.jobs import any_job
from tests.hdl.toolkit import Bench, Ints, random_bits, random_signed, test, unpack_plane

PASSES, CYCLES = 8, 60


class CorrectionBench(Bench):
    """Anything on every input in every cycle; the random words are read where they are used up."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        self.beat = self.port("beat", config.beat_bits)
        self.odd, self.regularised = self.port("odd"), self.port("regularised", config.lanes)
        self.model_drop = self.port("model_drop", range(COARSE_BITS + 1))
        self.group = self.port("group", group_layout(config))
        self.x = self.port("x", row_layout(config))
        self.random = self.port("random", data.ArrayLayout(config.field_bits, config.lanes))
        width = signed(config.correction_bits)
        self.terms = self.port("terms", data.ArrayLayout(width, config.lanes))
        self.board = self.scoreboard("terms")
        self.shrinkages: deque[Ints] = deque()
        self.products: deque[Ints] = deque()
        self.steady = False

    def watch(self) -> None:
        if self.board.due:
            self.board.observe(self.terms.get())
        config = self.config
        if not self.steady:
            self.shrinkages.clear()
            self.products.clear()
            return
        group, mask = self.group.get(), self.regularised.get()
        coefficients = np.array([sample["coefficient"] for sample in group["samples"]])
        codes = unpack_plane(config, self.beat.get())  # parities, which is all that matters
        job = any_job(config, unsigned=bool(self.odd.get()), regularised=mask.bit_length())
        assert mask & (mask + 1) == 0, "the golden model knows leading features only"
        self.shrinkages.append(golden.shrinkage(job, coefficients, group["decay"], codes))
        if len(self.shrinkages) == config.shrink_latency + 1:
            self.products.append(self.shrinkages.popleft() * self.x.array())
        if len(self.products) == config.correction_latency - config.shrink_latency:
            coarse = self.model_drop.get()
            drop, random_bits = config.gradient_drop + coarse, config.random_bits + coarse
            noise = golden.dither(self.random.array(), drop, random_bits)
            product = self.products.popleft() << config.gradient_frac - config.correction_frac
            due = self.cycle - (config.correction_latency - 1) + config.gradient_latency
            self.board.expect(noise - product, due)

    def drive(self) -> None:
        rng, config = self.rng, self.config
        most = (1 << config.coefficient_bits) - 1
        shared = rng.choice([0, most, -1])

        def coefficient() -> int:
            return random_bits(rng, config.coefficient_bits) if shared < 0 else int(shared)

        samples = [
            {"error": int(random_signed(rng, config.error_bits, ())), "coefficient": coefficient()}
            for _ in range(config.banks)
        ]
        threshold = random_bits(rng, THRESHOLD_BITS + 1)
        decay = int(rng.choice([0, most, random_bits(rng, config.coefficient_bits)]))
        self.group.set({"samples": samples, "decay": decay, "threshold": threshold})
        self.regularised.set((1 << int(rng.integers(config.lanes + 1))) - 1)
        self.odd.set(self.chance(0.5))
        if self.chance(0.2):
            self.beat.set(0)  # every code is even
        else:
            self.beat.scramble(rng)
        self.x.set(random_signed(rng, config.model_bits, config.lanes))
        self.random.scramble(rng)


@test
async def every_cycle(dut: Any) -> None:
    bench = CorrectionBench(dut)
    inputs = (bench.odd, bench.model_drop, bench.beat, bench.group, bench.regularised)
    await bench.reset(*inputs, bench.x, bench.random)
    bench.monitor(bench.watch)
    for _ in range(PASSES):
        bench.model_drop.set(int(bench.rng.integers(COARSE_BITS + 1)))
        await bench.tick(2)
        bench.steady = True
        for _ in range(CYCLES):
            bench.drive()
            await bench.tick()
        bench.steady = False
        await bench.tick(bench.config.gradient_latency + 1)
    assert bench.board.compared >= PASSES * (CYCLES - bench.config.correction_latency)
