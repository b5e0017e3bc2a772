"""Margins, errors and regularisation of every group, in the promised cycles, with saturations."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from tests.hdl.random_jobs import job_of, largest_step_job, product_margin, random_job
from tests.hdl.toolkit import Bench, Ints, Port, random_bits, random_signed, test
from zipsgd.hdl.contract.formats import WEIGHT_BITS, WEIGHT_FRAC
from zipsgd.hdl.contract.protocol import (
    epoch_layout,
    group_layout,
    job_layout,
    pack_epoch,
    pack_job,
    sample_layout,
)
from zipsgd.sim import golden

PASSES, GROUPS = 14, 30


@dataclass(frozen=True)
class Group:
    """A group that the design has taken."""

    z: Ints
    samples: dict[str, Ints]
    margin_saturations: int


class LossBench(Bench):
    """Anything in every cycle of a pass; the random words are read where they are used up."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config, banks = self.config, self.config.banks
        samples = data.ArrayLayout(sample_layout(config), banks)
        self.job = self.port("job", job_layout(config))
        self.epoch = self.port("epoch", epoch_layout(config))
        self.product = self.port("product", data.ArrayLayout(signed(config.dot_bits), banks))
        self.samples, self.i_valid = self.port("samples", samples), self.port("i_valid")
        self.random = self.port("random", data.ArrayLayout(config.field_bits, config.loss_fields))
        self.z = self.port("z", data.ArrayLayout(signed(config.model_bits), banks))
        self.z_samples, self.z_valid = self.port("z_samples", samples), self.port("z_valid")
        self.group = self.port("group", group_layout(config))
        self.o_valid, self.o_due = self.port("o_valid"), self.port("o_due")
        self.draw = self.port("draw")
        self.uses_next = False  # the random words
        self.margin_count = self.port("margin_saturations", range(banks + 1))
        self.error_count = self.port("error_saturations", range(banks + 1))
        self.margins = self.scoreboard("margins")
        self.groups = self.scoreboard("group")
        self.dues = self.scoreboard("due")
        self.counts = self.scoreboard("saturations")
        self.waiting: deque[Group] = deque()
        self.seen = {"margin": 0, "error": 0}
        if config.regularisation:
            self.seen["threshold"] = 0

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self.job, self.epoch, self.product, self.samples, self.i_valid, self.random

    def watch_inputs(self) -> None:
        if not self.i_valid.get():
            return
        rows = self.samples.get()
        samples = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        absent = {"weight": 1 << WEIGHT_FRAC, "offset": 0}
        samples = {name: np.full(len(rows), value) for name, value in absent.items()} | samples
        bits = self.job.get()["bits"]
        z, flags = product_margin(self.config, bits, self.product.array(), samples["offset"])
        self.waiting.append(Group(z, samples, int((flags & (samples["valid"] == 1)).sum())))
        self.margins.expect([z, rows], self.cycle + self.config.margin_latency)
        self.dues.expect(True, self.cycle + self.config.loss_latency - 1)

    def watch_random(self) -> None:
        """Everything is rounded with the random words of ``noise_latency`` cycles before the
        errors."""
        if self.o_due.get():
            self.dues.observe(True)
        uses, self.uses_next = self.uses_next, bool(self.draw.get())
        if not uses:
            return
        config, banks = self.config, self.config.banks
        job = job_of(config, self.job.get() | {"epochs": 1}, [self.epoch.get()])
        (epoch,), noise, group = job.epochs, self.random.array(), self.waiting.popleft()
        valid, weight = group.samples["valid"], group.samples["weight"]
        f, curvature = golden.derivative(config, job, epoch, group.z, group.samples["label"])
        coarse = noise[banks : 2 * banks] if config.coarsening else np.zeros_like(f)
        h, flags = golden.scaled_error(config, job, epoch, f, weight, coarse)
        c, held = golden.coefficient(config, job, epoch, curvature, weight, noise[:banks])
        aligned = (h << config.max_bits - job.bits) * valid
        samples = [
            {"error": error, "coefficient": coefficient}
            for error, coefficient in zip(aligned, c * valid, strict=True)
        ]
        counts = [group.margin_saturations, int(((flags | held) & (valid == 1)).sum())]
        self.seen["margin"] += counts[0]
        self.seen["error"] += counts[1]
        expected: dict[str, Any] = {"samples": samples}
        if config.regularisation:
            expected["decay"] = golden.decay(config, epoch, noise[-2])
            expected["threshold"] = golden.threshold(config, job, epoch, noise[-1])
            self.seen["threshold"] += bool(expected["threshold"])
        self.groups.expect(expected, self.cycle + config.noise_latency)
        self.counts.expect(counts, self.cycle + config.noise_latency)

    def watch_outputs(self) -> None:
        if self.z_valid.get():
            self.margins.observe([self.z.get(), self.z_samples.get()])
        counts = [self.margin_count.get(), self.error_count.get()]
        if self.o_valid.get():
            self.groups.observe(self.group.get())
            self.counts.observe(counts)
        else:
            assert counts == [0, 0], "saturations were counted without errors"

    def drive(self, gap: float) -> None:
        rng, config = self.rng, self.config
        self.i_valid.set(not self.chance(gap))
        self.product.set(random_signed(rng, config.dot_bits, config.banks))
        labels = random_signed(rng, config.model_bits, config.banks)
        offsets = random_signed(rng, config.model_bits, config.banks)
        self.samples.set(
            [
                {"label": int(label), "valid": self.chance(0.8)}
                | (
                    {"weight": random_bits(rng, WEIGHT_BITS), "offset": int(offset)}
                    if config.sample_words
                    else {}
                )
                for label, offset in zip(labels, offsets, strict=True)
            ]
        )
        self.random.scramble(rng)


async def run(dut: Any, gap: float) -> None:
    bench = LossBench(dut)
    await bench.reset(*bench.inputs)
    for watch in (bench.watch_inputs, bench.watch_random, bench.watch_outputs):
        bench.monitor(watch)
    for number in range(PASSES):
        job = random_job(bench.rng, bench.config, most_groups=1)
        bench.epoch.scramble(bench.rng)
        if number % 4 == 0:  # errors saturate
            job = largest_step_job(bench.config, job)
            bench.epoch.set(pack_epoch(bench.config, job, job.epochs[0]))
        bench.job.set(pack_job(bench.config, job))
        await bench.tick(2)
        for _ in range(GROUPS):
            bench.drive(gap)
            await bench.tick()
        bench.i_valid.set(0)
        for _ in range(bench.config.loss_latency):
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
