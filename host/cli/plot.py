"""A picture of a training: loss per epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError
from ..options.losses import LOSSES
from ..training.loop import EpochResult, Task

FORMATS = (".png", ".svg")


def check_plot(path: Path) -> None:
    """Raises `InputError` if there is no such kind of picture."""
    if path.suffix not in FORMATS:
        raise InputError(f"{path} must end in {' or '.join(FORMATS)}, which says what to draw")


def plot(task: Task, epochs: Sequence[EpochResult], path: Path, stream: BinaryIO) -> None:
    """Draw the losses on the training and the held-out part; the same bytes in every run.

    Parameters
    ----------
    path : Path
        Its suffix is the format.
    stream : BinaryIO
        What is written to.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    options = task.options
    kind = path.suffix.removeprefix(".")
    with matplotlib.rc_context({"svg.hashsalt": "zipsgd"}):
        figure = Figure(figsize=(6, 4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        numbers = [epoch.number for epoch in epochs]
        axes.plot(numbers, [epoch.losses.train for epoch in epochs], "o-", ms=3, label="training")
        axes.plot(
            numbers, [epoch.losses.heldout for epoch in epochs], "s--", ms=3, label="held-out"
        )
        axes.set_title(f"{task.name}: {options.bits} bits, {options.rounding} rounding")
        axes.set_xlabel("epoch")
        axes.set_ylabel(LOSSES[options.loss].title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(stream, format=kind, dpi=120, metadata=metadata)
