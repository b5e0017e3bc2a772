"""Scaled errors and coefficients of a sample in every cycle, rounded with the promised bits."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
from amaranth.hdl import signed

from tests.hdl.random_jobs import job_of, largest_step_job, random_job
from tests.hdl.toolkit import Bench, Ints, random_signed, test
from zipsgd.hdl.contract.config import ERROR_LATENCY, EngineConfig
from zipsgd.hdl.contract.formats import (
    CURVATURE_FRAC,
    NOISE_BITS,
    STEP_DROPS,
    WEIGHT_BITS,
    WEIGHT_FRAC,
)
from zipsgd.hdl.contract.job import Epoch, Step
from zipsgd.hdl.contract.protocol import (
    CURVATURE_BITS,
    epoch_layout,
    error_layout,
    job_layout,
    pack_epoch,
    pack_job,
)
from zipsgd.sim import golden

PASSES, CYCLES = 14, 60
NOISE_LATENCY = 3


class ScaledErrorBench(Bench):
    """Anything in every cycle of a pass; each input is remembered for the output it is part of."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        self.job = self.port("job", job_layout(config))
        self.epoch = self.port("epoch", epoch_layout(config))
        self.inputs = {
            "weight": self.port("weight", WEIGHT_BITS),
            "f": self.port("f", signed(config.model_bits + 1)),
            "curvature": self.port("curvature", CURVATURE_BITS),
            "valid": self.port("valid"),
            "error_noise": self.port("error_noise", config.field_bits),
            "coefficient_noise": self.port("coefficient_noise", config.field_bits),
        }
        self.o = self.port("o", error_layout(config))
        self.saturated = self.port("saturated")
        self.board = self.scoreboard("scaled error")
        self.span = config.derivative_latency + ERROR_LATENCY
        """Cycles from a sample's weight to its error."""
        self.history: deque[dict[str, int]] = deque(maxlen=self.span)
        self.seen = {"saturated": 0, "ceiling": 0, "coarse": 0, "lowest": 0}
        if config.sample_words:
            self.seen["held"] = 0
        self.lowest: int | None = None
        """A derivative whose error is rounded up to the lowest that fits; None for any."""

    def watch(self) -> None:
        if len(self.history) == self.span:
            self.board.expect(self.expected(), self.cycle)
            self.board.observe([self.o.get(), self.saturated.get()])
        self.history.append({name: port.get() for name, port in self.inputs.items()})

    def expected(self) -> list[Any]:
        config, with_f = self.config, self.history[-ERROR_LATENCY]
        job = job_of(config, self.job.get() | {"epochs": 1}, [self.epoch.get()])
        (epoch,) = job.epochs
        if not with_f["valid"]:
            return [{"error": 0, "coefficient": 0}, 0]
        weight = np.array(self.history[-self.span]["weight"])
        error_noise = np.array(self.history[-NOISE_LATENCY]["error_noise"])
        noise = np.array(self.history[-NOISE_LATENCY]["coefficient_noise"])
        f, curvature = np.array(with_f["f"]), np.array(with_f["curvature"])
        h, saturated = golden.scaled_error(config, job, epoch, f, weight, error_noise)
        c, held = golden.coefficient(config, job, epoch, curvature, weight, noise)
        self.seen["saturated"] += int(saturated)
        if config.sample_words:
            self.seen["held"] += int(held)
        self.seen["lowest"] += int(h) == -1 << config.error_bits - 1 and not saturated
        self.seen["ceiling"] += int(c) == (1 << config.coefficient_bits) - 1
        self.seen["coarse"] += bool(job.error_drop)
        return [{"error": h << config.max_bits - job.bits, "coefficient": c}, int(saturated | held)]

    def drive(self) -> None:
        rng, config = self.rng, self.config
        for port in self.inputs.values():
            port.scramble(rng)
        self.inputs["f"].set(int(random_signed(rng, config.model_bits + 1, ())))
        if self.lowest is not None:
            self.inputs["f"].set(self.lowest)
            self.inputs["weight"].set(1 << WEIGHT_FRAC)
        flat = 1 << CURVATURE_FRAC
        self.inputs["curvature"].set(int(rng.choice(np.array([0, flat, rng.integers(flat + 1)]))))


def lowest_error(rng: np.random.Generator, config: EngineConfig) -> tuple[Step, int]:
    """A step, and a derivative with which the error's exact product is too low by up to half of its
    last place."""
    mantissas: Ints = np.arange(1, 1 << config.mantissa_bits)
    found = []
    for drop in range(1, STEP_DROPS):
        limit, half = -1 << config.error_bits - 1 + drop, 1 << drop - 1
        if -limit >> config.mantissa_bits + config.model_bits:
            break  # no product is so low
        f = (limit - 1) // mantissas
        fits = (mantissas * f >= limit - half) & (f >= -1 << config.model_bits)
        found += [(drop, *pair) for pair in zip(mantissas[fits], f[fits], strict=True)]
    drop, mantissa, lowest = (int(value) for value in rng.choice(np.array(found)))
    return Step(mantissa=mantissa, shift=config.min_step_shift + drop), lowest


@test
async def every_cycle(dut: Any) -> None:
    bench = ScaledErrorBench(dut)
    config, rng = bench.config, bench.rng
    await bench.reset(bench.job, bench.epoch, *bench.inputs.values())
    bench.monitor(bench.watch)
    for number in range(PASSES):
        bench.history.clear()
        job = random_job(rng, config, most_groups=1)
        bench.epoch.scramble(rng)
        if number % 4 == 0:  # errors saturate
            job = largest_step_job(config, job)
            bench.epoch.set(pack_epoch(config, job, job.epochs[0]))
        elif number % 4 == 1:  # and are rounded
            job = replace(job, error_drop=int(rng.integers(1, NOISE_BITS + 1)))
        bench.lowest = None
        if number % 4 == 2:
            step, bench.lowest = lowest_error(rng, config)
            job = replace(job, epochs=(Epoch(step=step),), corrected=False, error_drop=0)
            bench.epoch.set(pack_epoch(config, job, job.epochs[0]))
        bench.job.set(pack_job(config, job))
        for _ in range(CYCLES):
            bench.drive()
            await bench.tick()
    assert bench.board.compared >= PASSES * (CYCLES - bench.span)
    assert all(bench.seen.values()), f"something was never reached: {bench.seen}"
