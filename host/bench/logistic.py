"""Logistic training from few bits: both correction terms against what lacks one, and float64.

Every method is given its own best step out of the same powers of two, so that none loses by a step
that suits another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
from rich.console import Console
from rich.table import Table

from ..codes.scaling import Scaling
from ..data.dataset import Dataset
from ..data.file_format import read_dataset
from ..devices.interface import Device
from ..devices.progress import opened
from ..errors import MismatchError
from ..options.choices import Correction, Rounding
from ..options.options import Options
from ..training.job_plan import plan_jobs
from ..training.loop import train, train_float
from ..training.task import Task, prepare

OPTIONS = Options(loss="logistic", epochs=16, schedule="1/sqrt(k)", copies=8)
STEPS = tuple(2.0**exponent for exponent in range(-9, -2))

Result = TypeVar("Result")

MOST_ABOVE_FLOAT = 0.01
"""Share by which the corrected training may end above float64."""


class Method(NamedTuple):
    """A way to train from codes."""

    title: str
    rounding: Rounding
    correction: Correction


METHODS = (
    Method("double, both terms", "double", "full"),
    Method("curvature only", "double", "curvature"),
    Method("no correction", "double", "none"),
    Method("single", "single", "full"),
    Method("nearest", "nearest", "full"),
)


@dataclass(frozen=True)
class Final:
    """Final training losses, one a seed, with the best of `STEPS`: that of the lowest mean."""

    step: float
    losses: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.losses))

    @classmethod
    def best(cls, of_step: Iterable[tuple[float, tuple[float, ...]]]) -> Final:
        """Of step sizes and their losses."""
        return min((cls(*each) for each in of_step), key=lambda final: final.mean)


def logistic(sources: Sequence[str], device: str, bits: int, seeds: int, two_valued: bool) -> None:
    """Print a table, a row a data set.

    Parameters
    ----------
    two_valued : bool
        Whether columns with two values keep their exact codes. Without, they are scaled and
        rounded like all others: only so does rounding matter where all columns are such.

    Raises
    ------
    MismatchError
        If the corrected training ends more than `MOST_ABOVE_FLOAT` above float64.
    """
    options = replace(OPTIONS, bits=bits)
    table = Table(
        title=f"Final logistic training loss, q = {bits}, {options.epochs} epochs, step "
        f"s/sqrt(k) with the best s of 2^-9 to 2^-3, mean of {seeds} seeds, {device}"
    )
    for heading in ("data", "method", "s", "loss", "± seeds", "above float64"):
        table.add_column(heading, justify="left" if heading in ("data", "method") else "right")
    missed = []
    with opened(device, options.config) as engine:
        for source in sources:
            dataset = read_dataset(source, drop_constant=True)
            if not two_valued:
                dataset = replace(dataset, name=f"{dataset.name}, all rounded")
            baseline, found = measure(dataset, engine, options, seeds, two_valued)
            titles = ("float64", *(method.title for method in METHODS))
            for title, final in zip(titles, (baseline, *found), strict=True):
                above = final.mean / baseline.mean - 1
                name = dataset.name if final is baseline else ""
                spread = f"{(max(final.losses) - min(final.losses)) / 2:.5f}"
                step = f"2^{math.log2(final.step):.0f}"
                table.add_row(name, title, step, f"{final.mean:.5f}", spread, f"{above:+.2%}")
            table.add_section()
            if found[0].mean > baseline.mean * (1 + MOST_ABOVE_FLOAT):
                missed.append(dataset.name)
    Console(highlight=False, soft_wrap=True).print(table)
    if missed:
        raise MismatchError(
            f"{' and '.join(missed)}: double sampling with both terms must end within "
            f"{MOST_ABOVE_FLOAT:.0%} of float64"
        )


def measure(
    dataset: Dataset, engine: Device, options: Options, seeds: int, two_valued: bool = True
) -> tuple[Final, tuple[Final, ...]]:
    """The float64 baseline and every one of `METHODS`, each with its best step."""
    scaling = None
    if not two_valued:
        train_part, _ = dataset.split(options.holdout, options.seed)
        scaling = replace(Scaling.fit(train_part.features, options.scale), two_valued=())
    tasks = {
        (rounding, seed): prepare(
            dataset, replace(options, rounding=rounding, seed=seed, step=STEPS[0]), scaling
        )
        for rounding in dict.fromkeys(method.rounding for method in METHODS)
        for seed in range(seeds)
    }

    def final(method: Method, step: float) -> tuple[float, ...]:
        chosen = [
            with_step(tasks[method.rounding, seed], step, method.correction)
            for seed in range(seeds)
        ]
        return tuple(_last(train(task, engine)).losses.train for task in chosen)

    def with_step(task: Task, step: float, correction: Correction = "full") -> Task:
        options = replace(task.options, step=step, correction=correction)
        jobs = plan_jobs(task.copies[0], options, step)
        return replace(task, options=options, jobs=jobs, heldout=task.heldout.head(1))

    methods = tuple(Final.best((step, final(method, step)) for step in STEPS) for method in METHODS)
    plain = [tasks["double", seed] for seed in range(seeds)]
    baseline = Final.best(
        (step, tuple(_last(train_float(with_step(task, step))).train for task in plain))
        for step in STEPS
    )
    return baseline, methods


def _last(results: Iterable[Result]) -> Result:
    *_, last = results
    return last
