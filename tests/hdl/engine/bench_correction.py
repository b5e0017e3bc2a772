"""The parity correction and weight decay, a chunk in every cycle."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from tests.hdl.random_jobs import any_job
from tests.hdl.toolkit import Bench, Ints, random_bits, random_signed, test, unpack_plane
from zipsgd.hdl.contract.formats import THRESHOLD_BITS
from zipsgd.hdl.contract.protocol import group_layout, row_layout
from zipsgd.hdl.lib.arith import HANDS
from zipsgd.sim import golden

PASSES, CYCLES = 8, 60


class CorrectionBench(Bench):
    """Anything on every input in every cycle but what stands still."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        self.beat = self.port("beat", config.beat_bits)
        self.odd, self.regularised = self.port("odd"), self.port("regularised", config.lanes)
        self.group = self.port("group", group_layout(config))
        self.x = self.port("x", row_layout(config))
        width = signed(config.correction_bits)
        self.terms = self.port("terms", data.ArrayLayout(width, config.lanes))
        self.board = self.scoreboard("terms")
        self.shrinkages: deque[Ints] = deque()
        self.steady = False

    def watch(self) -> None:
        if self.board.due:
            self.board.observe(self.terms.get())
        config = self.config
        if not self.steady:
            self.shrinkages.clear()
            return
        group, mask = self.group.get(), self.regularised.get()
        coefficients = np.array([sample["coefficient"] for sample in group["samples"]])
        codes = unpack_plane(config, self.beat.get())  # parities, which is all that matters
        job = any_job(config, unsigned=bool(self.odd.get()), regularised=mask.bit_length())
        assert mask & (mask + 1) == 0, "the golden model knows leading features only"
        self.shrinkages.append(golden.shrinkage(job, coefficients, group["decay"], codes))
        if len(self.shrinkages) == config.shrink_latency + 1:
            due = self.cycle - config.shrink_latency + config.gradient_latency
            self.board.expect(self.shrinkages.popleft() * self.x.array(), due)

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
        if self.chance(0.2):
            self.beat.set(0)  # every code is even
        else:
            self.beat.scramble(rng)
        self.x.set(random_signed(rng, config.model_bits, config.lanes))


@test
async def every_cycle(dut: Any) -> None:
    bench = CorrectionBench(dut)
    inputs = (bench.odd, bench.beat, bench.group, bench.regularised)
    await bench.reset(*inputs, bench.x)
    bench.monitor(bench.watch)
    for _ in range(PASSES):
        bench.odd.set(bench.chance(0.5))
        await bench.tick(HANDS)
        bench.steady = True
        for _ in range(CYCLES):
            bench.drive()
            await bench.tick()
        bench.steady = False
        await bench.tick(bench.config.gradient_latency + 1)
    assert bench.board.compared >= PASSES * (CYCLES - bench.config.correction_latency)
