"""Scaled errors and coefficients of every group, in the promised cycle, with their saturations."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from hdl.config import LOSS_LATENCY
from hdl.protocol import error_layout, job_layout, label_layout, pack_job
from sim import golden
from tests.hdl.jobs import job_of, random_job, steepest_job
from tests.hdl.toolkit import Bench, Ints, Port, random_signed, test

PASSES, GROUPS = 12, 30


class LossBench(Bench):
    """Anything in every cycle of a pass; the random words are read where they are used up."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config, banks = self.config, self.config.banks
        self.job = self.port("job", job_layout(config))
        self.product = self.port("product", data.ArrayLayout(signed(config.dot_bits), banks))
        self.labels = self.port("labels", data.ArrayLayout(label_layout(config), banks))
        self.i_valid = self.port("i_valid")
        self.random = self.port("random", data.ArrayLayout(config.random_bits, banks))
        self.errors = self.port("errors", data.ArrayLayout(error_layout(config), banks))
        self.o_valid, self.o_due = self.port("o_valid"), self.port("o_due")
        self.margin_count = self.port("margin_saturations", range(banks + 1))
        self.error_count = self.port("error_saturations", range(banks + 1))
        self.board = self.scoreboard("errors")
        self.dues = self.scoreboard("due")
        self.counts = self.scoreboard("saturations")
        self.waiting: deque[tuple[Ints, list[bool], list[int]]] = deque()
        self.seen = {"margin": 0, "error": 0, "ceiling": 0}

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self.job, self.product, self.labels, self.i_valid, self.random

    def watch_inputs(self) -> None:
        if not self.i_valid.get():
            return
        config, job = self.config, job_of(self.config, self.job.get())
        labels = self.labels.get()
        valid = np.array([bool(label["valid"]) for label in labels])
        z, margin_flags = golden.margin(config, job, self.product.array())
        values = np.array([label["label"] for label in labels])
        h, error_flags = golden.scaled_error(config, job, z, values)
        counts = [int((margin_flags & valid).sum()), int((error_flags & valid).sum())]
        self.seen["margin"] += counts[0]
        self.seen["error"] += counts[1]
        aligned = np.where(valid, h, 0) << (config.max_bits - job.bits)
        self.waiting.append((aligned, valid.tolist(), counts))
        self.dues.expect(True, self.cycle + LOSS_LATENCY - 1)

    def watch_random(self) -> None:
        """The coefficients round with the random words of the cycle before the errors."""
        if not self.o_due.get():
            return
        self.dues.observe(True)
        config, job = self.config, job_of(self.config, self.job.get())
        aligned, valid, counts = self.waiting.popleft()
        coefficients = golden.coefficient(config, job, self.random.array())
        top = (1 << config.coefficient_bits) - 1
        self.seen["ceiling"] += int((coefficients == top).sum())
        errors = [
            {"error": error, "coefficient": coefficient if is_valid else 0}
            for error, coefficient, is_valid in zip(
                aligned.tolist(), coefficients.tolist(), valid, strict=True
            )
        ]
        self.board.expect(errors, self.cycle + 1)
        self.counts.expect(counts, self.cycle + 1)

    def watch_errors(self) -> None:
        counts = [self.margin_count.get(), self.error_count.get()]
        if self.o_valid.get():
            self.board.observe(self.errors.get())
            self.counts.observe(counts)
        else:
            assert counts == [0, 0], "saturations were counted without errors"

    def drive(self, gap: float) -> None:
        rng, config = self.rng, self.config
        self.i_valid.set(not self.chance(gap))
        self.product.set(random_signed(rng, config.dot_bits, config.banks))
        labels = random_signed(rng, config.model_bits, config.banks)
        self.labels.set([{"label": int(label), "valid": self.chance(0.8)} for label in labels])
        self.random.scramble(rng)


async def run(dut: Any, gap: float) -> None:
    bench = LossBench(dut)
    await bench.reset(*bench.inputs)
    bench.monitor(bench.watch_inputs)
    bench.monitor(bench.watch_random)
    bench.monitor(bench.watch_errors)
    for number in range(PASSES):
        job = random_job(bench.rng, bench.config, most_groups=1)
        if number % 4 == 0:
            job = steepest_job(bench.config, job)
        bench.job.set(pack_job(bench.config, job))
        for _ in range(GROUPS):
            bench.drive(gap)
            await bench.tick()
        bench.i_valid.set(0)
        for _ in range(LOSS_LATENCY):
            bench.random.scramble(bench.rng)
            await bench.tick()
    await bench.finish()
    assert all(bench.seen.values()), f"something was never reached: {bench.seen}"


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.3)


@test
async def no_gaps(dut: Any) -> None:
    """A group a cycle."""
    await run(dut, gap=0.0)
