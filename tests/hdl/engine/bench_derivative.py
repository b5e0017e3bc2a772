"""Derivatives of every loss, at every margin of a dense set, in the promised cycle."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from amaranth.hdl import signed

from tests.hdl.random_jobs import SeenEpoch, any_job
from tests.hdl.toolkit import Bench, random_signed, test
from zipsgd.hdl.contract.formats import VARIANCE_BITS
from zipsgd.hdl.contract.job import Loss, Step
from zipsgd.hdl.contract.protocol import CURVATURE_BITS, LOSS_BITS
from zipsgd.hdl.contract.tables import ENTRIES, fraction_bits
from zipsgd.sim import golden

RANDOM_CYCLES = 300


class DerivativeBench(Bench):
    """A margin and a label in every cycle; expectations of a loss are made by one call."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        word = signed(self.config.model_bits)
        self.loss = self.port("loss", LOSS_BITS)
        self.variance = self.port("variance", VARIANCE_BITS)
        self.z, self.label = self.port("z", word), self.port("label", word)
        self.f = self.port("f", signed(self.config.model_bits + 1))
        self.curvature = self.port("curvature", CURVATURE_BITS)
        self.taken: list[tuple[int, int]] = []
        self.seen: list[tuple[int, int]] = []

    def watch(self) -> None:
        self.taken.append((self.z.get(), self.label.get()))
        self.seen.append((self.f.get(), self.curvature.get()))

    def compare(self) -> None:
        """What was seen since the loss and the variance were set, ``derivative_latency`` later."""
        config = self.config
        step = Step(mantissa=1, shift=config.min_step_shift)
        epoch = SeenEpoch(step=step, fields={"variance": self.variance.get()})
        job = any_job(config, loss=Loss(self.loss.get()))
        z, label = np.array(self.taken[: -config.derivative_latency]).T
        f, curvature = golden.derivative(config, job, epoch, z, label)
        found_f, found_curvature = np.array(self.seen[config.derivative_latency :]).T
        assert found_f.tolist() == f.tolist(), f"F of {job.loss.name}"
        assert found_curvature.tolist() == curvature.tolist(), f"f' of {job.loss.name}"
        self.taken.clear()
        self.seen.clear()


def margins(bench: Bench) -> Iterator[tuple[int, int]]:
    """Around every entry of the table on both sides, its end and 1, then anything."""
    config, rng = bench.config, bench.rng
    one, limit = 1 << config.model_frac, 1 << (config.model_bits - 1)
    places = fraction_bits(config)
    entries = np.arange(ENTRIES + 2) << places
    inside = rng.integers(0, 1 << places, len(entries))
    dense = np.concatenate([entries - 1, entries, entries + 1, entries + inside])
    special = np.array([one - 1, one, one + 1, 2 * one, limit - 1])
    z = np.concatenate([dense, special, -dense, -special, [-limit]])
    z = z[(z >= -limit) & (z < limit)]
    labels = rng.choice(np.array([one, -one, one, -one, 0, limit - 1, -limit]), len(z))
    yield from zip(z.tolist(), labels.tolist(), strict=True)
    for _ in range(RANDOM_CYCLES):
        label = int(random_signed(rng, config.model_bits, ()))
        yield int(random_signed(rng, config.model_bits, ())), label
        residual = int(rng.choice([one, -one])) + int(rng.integers(-1, 2))
        yield int(np.clip(label + residual, -limit, limit - 1)), label


@test
async def every_loss(dut: Any) -> None:
    bench = DerivativeBench(dut)
    most = (1 << VARIANCE_BITS) - 1
    await bench.reset(bench.loss, bench.variance, bench.z, bench.label)
    bench.monitor(bench.watch)
    logistic = [(Loss.LOGISTIC, v) for v in (0, int(bench.rng.integers(most)))]
    for loss, variance in [*itertools.product(Loss, (most,)), *logistic]:
        if loss not in bench.config.losses:
            continue
        bench.loss.set(loss)
        bench.variance.set(variance)
        bench.taken.clear()
        bench.seen.clear()
        for z, label in margins(bench):
            bench.z.set(z)
            bench.label.set(label)
            await bench.tick()
        await bench.tick(bench.config.derivative_latency)
        bench.compare()
