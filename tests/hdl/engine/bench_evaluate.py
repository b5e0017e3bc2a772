"""Sums of losses over groups, each complete in the promised cycle."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from tests.hdl.random_jobs import any_job
from tests.hdl.toolkit import Bench, random_bits, random_signed, test
from zipsgd.hdl.contract.formats import WEIGHT_BITS
from zipsgd.hdl.contract.job import Loss
from zipsgd.hdl.contract.protocol import LOSS_BITS, LOSS_SUM_BITS, sample_layout
from zipsgd.hdl.contract.tables import ENTRIES, fraction_bits
from zipsgd.hdl.engine.evaluate import SUM_LATENCY
from zipsgd.sim import golden

GROUPS = 60


class EvaluateBench(Bench):
    """Groups as close as the slot controller lets them be, or further apart."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config, banks = self.config, self.config.banks
        self.loss = self.port("loss", LOSS_BITS)
        self.z = self.port("z", data.ArrayLayout(signed(config.model_bits), banks))
        self.samples = self.port("samples", data.ArrayLayout(sample_layout(config), banks))
        self.valid, self.clear = self.port("valid"), self.port("clear")
        self.enable = self.port("enable")
        self.total = self.port("total", LOSS_SUM_BITS)
        self.board = self.scoreboard("sum of losses")
        self.sum = 0
        self.due = -1

    @property
    def latency(self) -> int:
        return self.config.banks + SUM_LATENCY

    def watch(self) -> None:
        if self.cycle == self.due:  # no later group is in it
            self.board.expect(self.sum, self.cycle)
            self.board.observe(self.total.get())
        if self.clear.get():
            self.sum = 0
        if self.valid.get():
            self.due = self.cycle + self.latency
        if self.valid.get() and self.enable.get():
            rows = self.samples.get()
            label, valid, weight = (
                np.array([row[name] for row in rows]) for name in ("label", "valid", "weight")
            )
            job = any_job(self.config, loss=Loss(self.loss.get()))
            losses = golden.loss_value(self.config, job, self.z.array(), label, weight)
            self.sum += sum(int(loss) for loss, counts in zip(losses, valid, strict=True) if counts)

    async def send_group(self, gap: float) -> None:
        rng, config = self.rng, self.config
        banks, one = config.banks, 1 << config.model_frac
        places = fraction_bits(config)
        z = random_signed(rng, config.model_bits, banks)
        if self.chance(0.5):  # around an entry of the table
            entry = rng.integers(-ENTRIES, ENTRIES + 1, banks) << places
            limit = 1 << (config.model_bits - 1)
            z = (entry + rng.integers(-1, 2, banks)).clip(-limit, limit - 1)
        labels = random_signed(rng, config.model_bits, banks)
        if self.chance(0.5):
            labels = rng.choice(np.array([-one, one]), banks)
        samples = [
            {
                "label": int(label),
                "valid": self.chance(0.8),
                "weight": random_bits(rng, WEIGHT_BITS),
                "offset": int(random_signed(rng, config.model_bits, ())),
            }
            for label in labels
        ]
        self.z.set(z)
        self.samples.set(samples)
        self.valid.set(1)
        await self.tick()
        self.valid.set(0)
        self.z.scramble(rng)
        self.samples.scramble(rng)
        await self.tick(banks - 1)
        while self.chance(gap):
            await self.tick()


async def run(dut: Any, gap: float) -> None:
    bench = EvaluateBench(dut)
    await bench.reset(bench.loss, bench.z, bench.samples, bench.valid, bench.enable, bench.clear)
    bench.monitor(bench.watch)
    for loss, enable in [(Loss.LEAST_SQUARES, 0), *((loss, 1) for loss in Loss)]:
        bench.loss.set(loss)
        bench.enable.set(enable)
        bench.clear.set(1)
        await bench.tick()
        bench.clear.set(0)
        await bench.tick(2)
        for _ in range(GROUPS):
            await bench.send_group(gap)
        await bench.tick(bench.latency + 1)
    await bench.finish()
    assert bench.board.compared >= len(Loss) * (GROUPS // 4 if gap else 1)


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.95)


@test
async def no_gaps(dut: Any) -> None:
    """A group in ``banks`` cycles."""
    await run(dut, gap=0.0)
