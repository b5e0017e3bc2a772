"""How close ``--step auto`` comes to the best power of two, found by trying them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import typer
from rich.console import Console
from rich.table import Table

from ..data.dataset import Dataset
from ..data.file_format import read_dataset
from ..devices.interface import Device
from ..devices.progress import opened
from ..errors import InputError, MismatchError
from ..json_lines import json_line
from ..options.options import Options
from ..training.loop import prepare, train

AROUND = 2
"""Powers of two that are tried on each side of the best so far and of the automatic one."""

MOST_ABOVE_BEST = 0.01


@dataclass(frozen=True)
class Sweep:
    """What training on one data set ended with.

    Parameters
    ----------
    data : str
    auto_step, auto_loss : float
        The automatic step size and the final training loss with it.
    best_step, best_loss : float
        Of the powers of two.
    losses : dict
        Final training loss of every step size that was tried; infinite if it is out of range.
    """

    data: str
    auto_step: float
    auto_loss: float
    best_step: float
    best_loss: float
    losses: dict[float, float]

    @property
    def above(self) -> float:
        """Share by which the automatic step's loss is above the best; a hinge loss may be 0."""
        if not self.best_loss:
            return math.inf if self.auto_loss else 0.0
        return self.auto_loss / self.best_loss - 1


def step(sources: Sequence[str], device: str, options: Options, as_json: bool) -> None:
    """Sweep every source and print what was found.

    Raises
    ------
    InputError
        If the options name a step size.
    MismatchError
        If an automatic step ends more than `MOST_ABOVE_BEST` above the best.
    """
    if options.step is not None:
        raise InputError(f"--step is {options.step:g}, and this bench tries all; leave it out")
    found = []
    with opened(device, options.config) as engine:
        for source in sources:
            found.append(sweep(read_dataset(source, drop_constant=True), engine, options))
            if as_json:
                facts = asdict(found[-1]) | {"above_best": found[-1].above}
                typer.echo(json_line(facts))
    if not as_json:
        Console(highlight=False, soft_wrap=True).print(_table(found, options))
    missed = [each.data for each in found if not each.above <= MOST_ABOVE_BEST]
    if missed:
        raise MismatchError(
            f"{' and '.join(missed)}: the automatic step must end within {MOST_ABOVE_BEST:.0%} of "
            "the best power of two; pass --step with the best one"
        )


def sweep(dataset: Dataset, engine: Device, options: Options) -> Sweep:
    """Train with the automatic step size, and with powers of two until the best has `AROUND`
    worse ones on each side."""
    auto = prepare(dataset, options).step
    losses: dict[float, float] = {}

    def loss(exponent: int) -> float:
        size = math.ldexp(1.0, exponent)
        if size not in losses:
            losses[size] = _final_loss(dataset, engine, replace(options, step=size))
        return losses[size]

    best = start = round(math.log2(auto))
    while True:
        around = range(min(best, start) - AROUND, max(best, start) + AROUND + 1)
        least = min(around, key=loss)
        if least == best:
            break
        best = least
    return Sweep(
        data=dataset.name,
        auto_step=auto,
        auto_loss=loss(start)
        if auto == math.ldexp(1.0, start)
        else _final_loss(dataset, engine, options),
        best_step=math.ldexp(1.0, best),
        best_loss=loss(best),
        losses=dict(sorted(losses.items())),
    )


def _final_loss(dataset: Dataset, engine: Device, options: Options) -> float:
    """Infinite if the engine cannot take the step size."""
    try:
        task = prepare(dataset, options)
    except InputError:
        return math.inf
    *_, last = train(task, engine)
    return last.losses.train


def _table(found: Sequence[Sweep], options: Options) -> Table:
    batch = options.batch_groups * options.banks
    table = Table(
        title=f"Final training loss, q = {options.bits}, {options.epochs} epochs "
        f"({options.schedule}), mini-batch {batch}, delay {options.delay}"
    )
    for heading in ("data", "auto step", "loss", "best step", "loss", "above the best"):
        table.add_column(heading, justify="left" if heading == "data" else "right")
    for each in found:
        table.add_row(
            each.data,
            *(f"2^{math.log2(each.auto_step):g}", f"{each.auto_loss:.5f}"),
            *(f"2^{math.log2(each.best_step):g}", f"{each.best_loss:.5f}"),
            f"{100 * each.above:+.2f} %",
        )
    return table
