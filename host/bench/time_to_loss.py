"""Time to loss: how many cycles fewer bits save on the way to one and the same loss.

One engine, built for 32-bit codes, trains on the same samples at 32 bits and at 8, 4 and 3 with
double sampling, in exact mini-batches. A cycle is a cycle whatever the bits, so the ratio of cycles
is the ratio of times.

What is fair about it:

- The target is 1 % above the lowest final loss of all 32-bit runs. A run is there after the first
  mini-batch from which on its loss never leaves the target again.
- Losses are those of the unrounded samples, after every mini-batch.
- Every number of bits tries the same step sizes, powers of two in units of the unrounded features
  (the engine reads v = 1 as `full_scale`, so its own step is divided by the square of that), and
  counts with the one that is fastest. The best step must not be the smallest or the largest tried.
- Schedule, mini-batch, delay, epochs and the number of copies are the same.

The samples are synthetic, and the result depends on them and on the mini-batch: few bits add noise,
which mini-batches average out, and it costs nothing as long as stability limits the step. Ratios
at 4 and 3 bits: 8.0 and 11.4 with seed 0, 7.9 and 10.2 with seed 1, 7.9 and 10.0 with seed 2. With
mini-batches of 512 and seed 0 they are 7.6 and 9.8; of 256, 7.9 and 10.6 with seed 0, 8.5 and 9.9
with seed 1, and with seed 2 the noise of 3 bits keeps the loss above the target for all 12 epochs.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from zipsgd.hdl.contract.job import Epoch as JobEpoch
from zipsgd.hdl.contract.job import Step

from ..codes.rounding import Ints
from ..codes.scaling import full_scale
from ..codes.weaving import Woven
from ..data.dataset import Dataset, Floats
from ..devices.interface import Device
from ..devices.progress import opened
from ..errors import MismatchError
from ..json_lines import json_line
from ..options.options import Options
from ..training.loop import Task, prepare
from ..training.schedule import scheduled

FULL_BITS = 32
WITHIN = 0.01
"""How far above the best 32-bit run's final loss the target lies."""

FACTORS, DECAY, SHARED = 64, 0.6, 0.9
"""Factors behind the features; factor i has the amplitude i**-DECAY, all have this share of the
variance: a spectrum like that of images, whose first few components hold most of it."""

LABEL_DECAY, NOISE = 0.5, 0.5
"""Factor i enters the label with weight i**-LABEL_DECAY; share of noise in the label's variance."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is trained, and what must come out.

    Parameters
    ----------
    options : Options
        Of every run, but for bits and step.
    samples, features : int
    exponents : range
        Step sizes are 2**-exponent.
    least : dict
        Bits to the least ratio of cycles.
    """

    options: Options
    samples: int
    features: int
    exponents: range
    least: dict[int, float]


SETUP = Setup(
    options=Options(
        lanes=64, banks=8, max_bits=FULL_BITS, delay=2, batch=1024, sync=True, epochs=12, copies=8
    ),
    samples=8192,
    features=784,
    exponents=range(10, 15),
    least={8: 3.5, 4: 7.0, 3: 9.5},
)
"""The width of Fashion-MNIST."""


class MomentLoss:
    """Half the mean squared error on v (n, F) and y (n), from their second moments.

    The same as `Part.loss` but for the last digits, without a pass over the samples.
    """

    def __init__(self, v: Floats, y: Floats) -> None:
        self.moments, self.product = v.T @ v / len(v), v.T @ y / len(v)
        self.square = float(y @ y) / len(v)

    def __call__(self, weights: Floats) -> float:
        quadratic = weights @ self.moments @ weights - 2 * weights @ self.product
        return float(quadratic + self.square) / 2


@dataclass(frozen=True)
class LossRun:
    """One training.

    Parameters
    ----------
    bits, exponent : int
    beats : int
        Of a group.
    cycles : int64 (mini-batches)
        From the start to the end of each.
    losses : float64 (mini-batches)
        After each.
    """

    bits: int
    exponent: int
    beats: int
    cycles: Ints
    losses: Floats

    def reaches(self, target: float) -> int | None:
        """Mini-batches until the loss is at most ``target`` and stays there, or None."""
        above = np.flatnonzero(~(self.losses <= target))  # not a number is above
        count = int(above[-1]) + 2 if above.size else 1
        return count if count <= len(self.losses) else None


@dataclass(frozen=True)
class FastestRun:
    """The fastest run of one number of bits."""

    bits: int
    step: float
    batches: int
    cycles: int
    ratio: float
    ideal: float
    """Ratio of the beats of a group: what it would be with as many samples."""
    final_loss: float


def time_to_loss(
    setup: Setup = SETUP, device: str = "fast", as_json: bool = False
) -> list[FastestRun]:
    """Train, print, and check the targets.

    Raises
    ------
    MismatchError
        If a number of bits misses its ratio, or the best step is at an end of those tried.
    """
    dataset = synthetic(setup.samples, setup.features, setup.options.seed)
    runs: dict[int, list[LossRun]] = {}
    with opened(device, setup.options.config) as engine:
        for bits in (FULL_BITS, *setup.least):
            # Each run replaces the step; any that the engine takes will do here.
            step = 2.0 ** -setup.exponents[-1]
            task = prepare(dataset, replace(setup.options, bits=bits, step=step))
            loss = MomentLoss(task.train.v, task.train.y)
            runs[bits] = [_run(task, exponent, engine, loss) for exponent in setup.exponents]
    reference = min(runs[FULL_BITS], key=lambda run: run.losses[-1])
    target = (1 + WITHIN) * float(reference.losses[-1])
    results = _results(setup, runs, target)
    facts = describe(dataset, loss)
    if as_json:
        record = {**facts, "target_loss": target, "results": [asdict(one) for one in results]}
        typer.echo(json_line(record))
    else:
        Console(highlight=False, soft_wrap=True).print(_table(setup, facts, target, results))
    for one in results:
        least = setup.least.get(one.bits, 0)
        if one.ratio < least:
            raise MismatchError(
                f"{one.bits} bits take {one.ratio:.2f} times fewer cycles than {FULL_BITS} bits; "
                f"the target is {least}"
            )
    return results


def synthetic(samples: int, features: int, seed: int = 0) -> Dataset:
    """Skewed, correlated columns from a few factors, and a noisy linear label of the factors.

    Column j is exp(u g), u uniform in [0, 1] and g normal: up to a lognormal with a skewness of 6.
    """
    rng = np.random.default_rng(seed)
    rank = np.arange(1.0, FACTORS + 1)
    factors = rng.normal(size=(samples, FACTORS))
    loads = rng.normal(size=(FACTORS, features)) * (rank**-DECAY)[:, None]
    loads *= math.sqrt(SHARED) / np.sqrt(np.square(loads).sum(axis=0))
    own = math.sqrt(1 - SHARED) * rng.normal(size=(samples, features))
    columns = np.exp(rng.uniform(size=features) * (factors @ loads + own))
    signal = factors @ (rng.normal(size=FACTORS) * rank**-LABEL_DECAY)
    noise = rng.normal(size=samples)
    labels = math.sqrt(1 - NOISE) * signal / signal.std() + math.sqrt(NOISE) * noise
    names = tuple(map(str, range(features)))
    return Dataset("synthetic", columns, labels, names, Dataset("test", columns, labels, names))


def describe(dataset: Dataset, loss: MomentLoss) -> dict[str, float | str]:
    """Facts of the set, and of its loss once scaled."""
    spectrum = np.linalg.eigvalsh(loss.moments)
    centred = (dataset.features - dataset.features.mean(axis=0)) / dataset.features.std(axis=0)
    best: Floats = np.linalg.solve(loss.moments, loss.product).astype(np.float64)
    return {
        "data": "synthetic",
        "samples": dataset.features.shape[0],
        "features": dataset.features.shape[1],
        "median_skewness": float(np.median((centred**3).mean(axis=0))),
        "condition_number": float(spectrum[-1] / spectrum[0]),
        "first_component": float(spectrum[-1] / spectrum.sum()),
        "zero_loss": loss.square / 2,
        "least_loss": loss(best),
    }


def _run(task: Task, exponent: int, engine: Device, loss: MomentLoss) -> LossRun:
    """Train a mini-batch a job, to know the loss after each."""
    options, config = task.options, task.config
    size = options.batch_groups
    engine.load_model(np.zeros(task.copies[0].chunks * config.lanes, dtype=np.int64))
    cycles: list[int] = []
    losses: list[float] = []
    for index, job in enumerate(task.jobs):
        woven = task.copies[index % len(task.copies)]
        step = (
            scheduled(2.0**-exponent, options.schedule, index + 1) / full_scale(options.bits) ** 2
        )
        epoch = JobEpoch(step=Step.nearest(step, config))
        for first in range(0, job.groups, size):
            part = replace(
                job,
                epochs=(epoch,),
                groups=min(size, job.groups - first),
                seed=(job.seed + first) % 2**32,
            )
            groups = _groups(woven, first, part.groups, config.banks)
            cycles.append(engine.run(part, groups).cycles)
            losses.append(loss(task.model(engine.read_model(woven.chunks)).weights))
    beats = task.jobs[0].group_beats(config)
    return LossRun(options.bits, exponent, beats, np.cumsum(cycles), np.array(losses))


def _groups(woven: Woven, first: int, groups: int, banks: int) -> Woven:
    """So many groups, from number ``first`` on."""
    size = len(woven.beats) // woven.groups
    return replace(
        woven,
        beats=woven.beats[first * size : (first + groups) * size],
        groups=groups,
        samples=min(woven.samples - first * banks, groups * banks),
    )


def _results(setup: Setup, runs: dict[int, list[LossRun]], target: float) -> list[FastestRun]:
    """The fastest run of each number of bits, the baseline's first."""
    fastest: dict[int, tuple[int, LossRun, int]] = {}
    for bits, tried in runs.items():
        there = [
            (int(run.cycles[count - 1]), run, count)
            for run in tried
            if (count := run.reaches(target)) is not None
        ]
        if not there:
            raise MismatchError(f"no step size brings {bits} bits to a loss of {target:.6f}")
        fastest[bits] = min(there, key=lambda one: one[0])
        if fastest[bits][1].exponent in (setup.exponents[0], setup.exponents[-1]):
            raise MismatchError(
                f"the best step at {bits} bits, 2**-{fastest[bits][1].exponent}, is at an end of "
                "those that were tried; try more"
            )
    baseline = fastest[FULL_BITS][0]
    beats = {bits: tried[0].beats for bits, tried in runs.items()}
    return [
        FastestRun(
            bits=bits,
            step=2.0**-run.exponent,
            batches=count,
            cycles=cycles,
            ratio=baseline / cycles,
            ideal=beats[FULL_BITS] / beats[bits],
            final_loss=float(run.losses[-1]),
        )
        for bits, (cycles, run, count) in fastest.items()
    ]


def _table(
    setup: Setup, facts: dict[str, float | str], target: float, results: list[FastestRun]
) -> Table:
    options = setup.options
    table = Table(
        title=f"synthetic data, {setup.samples:,} samples of {setup.features} features, "
        f"{options.lanes} lanes x {options.banks} banks built for {FULL_BITS} bits, "
        f"mini-batches of {options.batch}",
        caption=f"condition number {facts['condition_number']:.0f}, median skewness "
        f"{facts['median_skewness']:.1f}, least loss {facts['least_loss']:.5f}, "
        f"of a model of zeros {facts['zero_loss']:.5f}; target {target:.5f}",
    )
    headings = ("bits", "best step", "batches", "cycles", "ratio", "target", "ideal", "final")
    for heading in headings:
        table.add_column(heading, justify="right")
    for one in results:
        least = setup.least.get(one.bits)
        table.add_row(
            *(str(one.bits), f"2^{math.log2(one.step):.0f}", str(one.batches), f"{one.cycles:,}"),
            *(f"{one.ratio:.2f}", f">= {least}" if least else "", f"{one.ideal:.2f}"),
            f"{one.final_loss:.5f}",
        )
    return table
