"""A training on a device from a file to its model, and where the time goes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from zipsgd.sim.whole_device import LINE_CLOCK_HZ

from ..codes.rounding import Ints
from ..data.file_format import read_dataset
from ..devices.interface import SIMULATED
from ..devices.linked_device import LOADING, READING, UPLOADING, LinkedDevice
from ..devices.software import FastDevice
from ..errors import MismatchError
from ..json_lines import json_line
from ..options.options import Options
from ..training.loop import Task, prepare
from .host import svm_text
from .link import BAUD, opened, options_for
from .simulator import synthetic

SAMPLES, FEATURES, EPOCHS = 1_250, 90, 20
"""A fifth of the samples is held out."""

OPTIONS = Options(epochs=EPOCHS, copies=1, step=2.0**-8, epochs_per_job=EPOCHS)
WARM_UP = 100
"""Samples that go through the host first: loading its compiled code is not measured."""


@dataclass(frozen=True)
class Phase:
    """A part of the training: ``parse`` (text to features), ``round`` (split, scale, round and
    weave), ``upload`` (samples and first model), ``train`` or ``read back`` (the model).

    Parameters
    ----------
    name : str
    seconds : float
        On the host, or by the device's clock.
    """

    name: str
    seconds: float


@dataclass(frozen=True)
class PhasedRun:
    """A training.

    Parameters
    ----------
    parts : tuple of Part
        In order.
    total_s : float
        Measured around all of them: on the host, and then by the device's clock.
    retries : int
        Requests that were sent again.
    """

    parts: tuple[Phase, ...]
    total_s: float
    retries: int


def end_to_end(name: str, as_json: bool = False) -> None:
    """Measure and print.

    Raises
    ------
    MismatchError
        If the model is not that of the golden model.
    """
    with opened(name, OPTIONS.config, baud=BAUD) as device:
        run = measure(device)
    if as_json:
        for part in run.parts:
            share = part.seconds / run.total_s
            typer.echo(json_line({"device": name, **asdict(part), "share": share}))
        whole = {"name": "total", "seconds": run.total_s, "retries": run.retries}
        typer.echo(json_line({"device": name, **whole}))
    else:
        Console(highlight=False, soft_wrap=True).print(_table(name, run))


def measure(device: LinkedDevice) -> PhasedRun:
    """Write a file, train from it, and compare the model with that of `FastDevice`."""
    options = options_for(device, OPTIONS)
    data = synthetic(SAMPLES, FEATURES)
    with tempfile.TemporaryDirectory() as folder:
        path, head = Path(folder) / "data.svm", Path(folder) / "head.svm"
        path.write_bytes(svm_text(data.features, data.labels))
        head.write_bytes(svm_text(data.features[:WARM_UP], data.labels[:WARM_UP]))
        prepare(read_dataset(str(head)), options)
        begin = time.perf_counter()
        read = read_dataset(str(path))
        parsed = time.perf_counter()
        task = prepare(read, options)
        rounded = time.perf_counter()
    link = device.link
    clock, retries = link.transport.clock, link.traffic.retries
    zeros = np.zeros(task.copies[0].chunks * device.config.lanes, dtype=np.int64)
    link.watch.restart()
    start = clock.now()
    device.load_model(zeros)
    for job in task.jobs:
        device.run(job, *task.copies)
    words = device.read_model(task.copies[0].chunks)
    device_s = clock.now() - start
    check_model(device, task, words)
    spent = dict(link.watch.seconds)
    upload_s = spent.pop(LOADING, 0.0) + spent.pop(UPLOADING, 0.0)
    read_s = spent.pop(READING, 0.0)
    return PhasedRun(
        (
            Phase("parse", parsed - begin),
            Phase("round", rounded - parsed),
            Phase("upload", upload_s),
            Phase("train", sum(spent.values())),
            Phase("read back", read_s),
        ),
        rounded - begin + device_s,
        link.traffic.retries - retries,
    )


def check_model(device: LinkedDevice, task: Task, words: Ints) -> None:
    """Raises `MismatchError` unless ``words`` are those of the same training on the golden model,
    compiled: the time of a wrong result is none."""
    golden = FastDevice(task.config)
    golden.load_model(np.zeros_like(words))
    for job in task.jobs:
        golden.run(job, *task.copies)
    wrong = int(np.count_nonzero(golden.read_model(task.copies[0].chunks) != words))
    if wrong:
        raise MismatchError(
            f"{device.link.transport.name}: {wrong} of {words.size} model words are not those of "
            "the golden model, so the time says nothing; run zipsgd selftest on the device"
        )


def _table(name: str, run: PhasedRun) -> Table:
    whose = ""
    if name == SIMULATED:
        whose = f" ({LINE_CLOCK_HZ / 1e6:g} MHz and {BAUD / 1e6:g} Mbaud, in simulated time)"
    table = Table(
        title=f"{name}{whose}: {SAMPLES:,} samples of {FEATURES} features as "
        f"text, {EPOCHS} epochs; {run.retries} frames were sent again"
    )
    for heading in ("part", "seconds", "share"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for part in (*run.parts, Phase("total", run.total_s)):
        share = part.seconds / run.total_s
        table.add_row(part.name, f"{part.seconds:.4f}", f"{share:.1%}")
    return table
