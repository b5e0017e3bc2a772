"""Results for people (a row an epoch) and for programs (a JSON object a line)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import Progress

from ..training.loop import EpochResult, Task

_logger = logging.getLogger(__name__)


class Column(NamedTuple):
    """One column of the table of epochs."""

    heading: str
    width: int
    cell: Callable[[EpochResult], str]


def columns(score_name: str, linked: bool = False) -> tuple[Column, ...]:
    """The table of epochs, 79 characters wide; of a device that is ``linked`` it has retries in the
    place of beats."""
    beats = Column("beats", 9, lambda e: f"{e.counters.beats}")
    retries = Column("retries", 7, lambda e: "-" if e.retries is None else f"{e.retries}")
    return (
        Column("epoch", 5, lambda e: f"{e.number}"),
        Column("train", 8, lambda e: f"{e.losses.train:.5f}"),
        Column("held-out", 8, lambda e: f"{e.losses.heldout:.5f}"),
        Column(score_name, 8, lambda e: _score(e.losses.score)),
        Column("saturated", 9, lambda e: f"{e.saturations}"),
        Column("cycles", 9, lambda e: f"{e.counters.cycles}"),
        retries if linked else beats,
        Column("utilised", 8, lambda e: f"{e.utilisation:.4f}"),
        Column("seconds", 7, lambda e: f"{e.elapsed_s:.2f}"),
    )


def heading_row(table: Sequence[Column]) -> str:
    return " ".join(f"{column.heading:>{column.width}}" for column in table)


def epoch_row(table: Sequence[Column], epoch: EpochResult) -> str:
    return " ".join(f"{column.cell(epoch):>{column.width}}" for column in table)


def epoch_record(epoch: EpochResult, linked: bool = False) -> dict[str, Any]:
    """One line of ``--json``; with the retries of the link if the device is ``linked``."""
    return {
        "epoch": epoch.number,
        "train_loss": epoch.losses.train,
        "heldout_loss": epoch.losses.heldout,
        "cycles": epoch.counters.cycles,
        "beats": epoch.counters.beats,
        "utilisation": epoch.utilisation,
        "saturations": epoch.saturations,
        "elapsed_s": epoch.elapsed_s,
        **({"retries": epoch.retries} if linked else {}),
    }


def summary(
    task: Task, devices: Sequence[str], epochs: Sequence[EpochResult], linked: bool = False
) -> dict[str, Any]:
    """The whole training: totals, final losses, and the options with their defaults filled in."""
    last = epochs[-1]
    cycles = sum(epoch.counters.cycles for epoch in epochs)
    beats = sum(epoch.counters.beats for epoch in epochs)
    return {
        "data": task.name,
        "devices": list(devices),
        "train_samples": len(task.train.y),
        "heldout_samples": len(task.heldout.y),
        "features": len(task.feature_names),
        **asdict(task.options),
        "batch": task.options.batch_groups * task.config.banks,
        "copies": len(task.copies),
        "precision": task.options.precision,
        "step": task.step,
        "train_loss": last.losses.train,
        "heldout_loss": last.losses.heldout,
        "heldout_score": last.losses.score,
        "score": task.score_name,
        "cycles": cycles,
        "beats": beats,
        "utilisation": beats / cycles,
        "saturations": sum(epoch.saturations for epoch in epochs),
        "elapsed_s": last.elapsed_s,
        **({"retries": sum(epoch.retries or 0 for epoch in epochs)} if linked else {}),
    }


def summary_sentence(record: dict[str, Any]) -> str:
    """`summary` for people."""
    return (
        f"{record['data']}: {record['train_samples']} samples of {record['features']} features, "
        f"q = {record['bits']}, {record['rounding']} rounding, {record['loss']} loss, "
        f"step size {record['step']:g} ({record['schedule']}); "
        f"training loss {record['train_loss']:.5f}, "
        f"held-out loss {record['heldout_loss']:.5f}, held-out {record['score']} "
        f"{_score(record['heldout_score'])} on {' and '.join(record['devices'])}"
    )


def warn(task: Task, epochs: Sequence[EpochResult]) -> None:
    """Log what a user should know before trusting the model."""
    last, untrained = epochs[-1], task.train.loss(np.zeros(task.train.v.shape[1]))
    saturations = sum(epoch.saturations for epoch in epochs)
    if last.losses.train > untrained:
        _logger.warning(
            "training diverged: the loss ends at %.5g and a model of zeros has %.5g; "
            "lower --step, or raise --bits or --copies",
            last.losses.train,
            untrained,
        )
    elif saturations:
        _logger.warning("%d values saturated; a lower --step may end lower", saturations)


def plain_console() -> Console:
    """Stdout for lines that are written as they are; above a progress bar if there is one."""
    return Console(markup=False, emoji=False, highlight=False, soft_wrap=True)


def with_progress(
    epochs: Iterable[EpochResult], total: int, bar: Progress
) -> Iterator[EpochResult]:
    """The same epochs, and a bar of jobs."""
    with bar:
        yield from bar.track(epochs, total=total, description="jobs")


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
