"""Cycles a sample: promised and measured ones, and those of the published engines beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace

import typer
from rich.console import Console
from rich.table import Table

from ..devices.open import open_device
from ..devices.sim_engine import SimEngine
from ..errors import MismatchError
from ..json_lines import json_line
from ..options.options import Options
from ..training.loop import prepare, train
from ..training.planner import FULL_RATE, Candidate, candidate, plan
from .equal_loss import equal_loss
from .equal_loss import table as equal_loss_table
from .peers import BATCH, LONG, mlweaving, zipml_pynq, zipml_xeon
from .simulator import synthetic

SAMPLES = 8_192
"""Of a measured epoch."""

WIDTHS = (64, 512)
FEATURES = (8, 64, 90, 784, 2048)
BITS = (2, 4, 8)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An epoch that is measured.

    Parameters
    ----------
    options : Options
        Geometry, bits, delay and mini-batch.
    features : int
        Without the intercept.
    device : str
        ``sim-engine``, or ``fast`` where compiling the simulated engine takes minutes.
    most_cycles : float
        A sample, start and end of the epoch included.
    least_utilisation : float
    """

    options: Options
    features: int
    device: str
    most_cycles: float
    least_utilisation: float


CASES = (
    Case(
        options=Options(lanes=4, banks=16),
        features=90,
        device=SimEngine.name,
        most_cycles=6.5,
        least_utilisation=FULL_RATE,
    ),
    Case(
        options=Options(batch=BATCH, sync=True),
        features=90,
        device=SimEngine.name,
        most_cycles=7.0,
        least_utilisation=0.9,
    ),
    Case(
        options=Options(lanes=64, banks=8),
        features=784,
        device="fast",
        most_cycles=6.7,
        least_utilisation=FULL_RATE,
    ),
    Case(
        options=Options(lanes=32, banks=16),
        features=784,
        device="fast",
        most_cycles=6.7,
        least_utilisation=FULL_RATE,
    ),
)


@dataclass(frozen=True)
class Measured:
    """What became of a case."""

    case: Case
    predicted: Candidate
    cycles: int
    beats: int


def cycles(as_json: bool = False) -> None:
    """Measure, print and check.

    Raises
    ------
    MismatchError
        If an epoch takes other cycles than predicted or misses its target, if an engine whose
        errors come within a group's beats does not run at full rate with delay 2, or if a
        published one comes to float64's loss with as few cycles a sample.
    """
    measured = [measure(case) for case in CASES]
    for one in measured:
        check(one)
    peers = list(beside())
    reached = equal_loss()
    if as_json:
        for one in measured:
            typer.echo(json_line(_measured_record(one)))
        for record in (*peers, *map(asdict, reached)):
            typer.echo(json_line(record))
    else:
        console = Console(highlight=False, soft_wrap=True, width=100)
        console.print(_measured_table(measured))
        console.print(_peers_table(peers))
        console.print(equal_loss_table(reached))
    check_full_rate()


def measure(case: Case) -> Measured:
    """Train one epoch of synthetic data."""
    options = replace(case.options, epochs=1, step=2.0**-12)
    task = prepare(synthetic(SAMPLES, case.features), options)
    with closing(open_device(case.device, options.config)) as engine:
        (epoch,) = train(task, engine)
    predicted = candidate(options, SAMPLES, case.features + 1)
    return Measured(case, predicted, epoch.counters.cycles, epoch.counters.beats)


def check(one: Measured) -> None:
    """Raises `MismatchError` unless the epoch took what was predicted, and not too much."""
    case, name = one.case, f"{one.predicted.name}, {one.case.features} features"
    if one.cycles != one.predicted.cycles:
        raise MismatchError(
            f"{name}: {one.cycles} cycles were measured and {one.predicted.cycles} predicted"
        )
    if one.cycles / SAMPLES > case.most_cycles or one.beats / one.cycles < case.least_utilisation:
        raise MismatchError(
            f"{name}: {one.cycles / SAMPLES:.3f} cycles a sample at a utilisation of "
            f"{one.beats / one.cycles:.4f}; the targets are {case.most_cycles} and "
            f"{case.least_utilisation}"
        )


def full_rate() -> Iterator[Candidate]:
    """Every geometry, width and number of bits here whose errors come within a group's beats."""
    for width in WIDTHS:
        for features in FEATURES:
            for bits in BITS:
                for one in plan(Options(bits=bits), width, LONG, features).candidates:
                    with_two = candidate(replace(one.options, delay=2), LONG, features + 1)
                    if with_two.group_beats >= with_two.config.dot_latency:
                        yield with_two


def check_full_rate() -> None:
    """Raises `MismatchError` if one of `full_rate` has gaps."""
    for one in full_rate():
        if one.utilisation < FULL_RATE:
            raise MismatchError(
                f"{one.name}, {one.features - 1} features, {one.job.bits} bits: a utilisation of "
                f"{one.utilisation:.4f} with delay 2; the target is {FULL_RATE}"
            )


def beside() -> Iterator[dict[str, int | float | str]]:
    """A row for every width, number of features and bits: this engine and those of its width."""
    for width in WIDTHS:
        for features in FEATURES:
            for bits in BITS:
                found = plan(Options(bits=bits), width, LONG, features)
                fewest = min(found.candidates, key=lambda one: one.cycles)
                row: dict[str, int | float | str] = {
                    "beat_width": width,
                    "features": features,
                    "bits": bits,
                    "geometry": found.chosen.name,
                    "cycles_a_sample": found.chosen.cycles_a_sample,
                    "fewest_geometry": fewest.name,
                    "fewest_cycles_a_sample": fewest.cycles_a_sample,
                }
                if width == 64:
                    row["zipml_pynq"] = zipml_pynq(features, bits)
                else:
                    row["zipml_xeon"] = zipml_xeon(features, bits)
                    row["mlweaving"] = mlweaving(features, bits, BATCH)
                yield row


def _measured_record(one: Measured) -> dict[str, int | float | str | bool | None]:
    options = one.case.options
    return {
        "lanes": options.lanes,
        "banks": options.banks,
        "features": one.case.features,
        "bits": options.bits,
        "delay": options.delay,
        "batch": options.batch,
        "sync": options.sync,
        "device": one.case.device,
        "cycles": one.cycles,
        "predicted_cycles": one.predicted.cycles,
        "cycles_a_sample": one.cycles / SAMPLES,
        "utilisation": one.beats / one.cycles,
    }


def _measured_table(measured: Sequence[Measured]) -> Table:
    table = Table(title=f"an epoch of {SAMPLES:,} samples, start and end included")
    for heading in (
        *("engine", "features", "q", "mini-batch", "device", "cycles = model"),
        *("a sample", "at most", "utilised", "at least"),
    ):
        table.add_column(heading, justify="right")
    for one in measured:
        case = one.case
        table.add_row(
            *(one.predicted.name, str(case.features), str(case.options.bits)),
            "a group" if case.options.batch is None else f"{case.options.batch} exact",
            *(case.device, f"{one.cycles:,}"),
            *(f"{one.cycles / SAMPLES:.3f}", f"{case.most_cycles}"),
            *(f"{one.beats / one.cycles:.4f}", f"{case.least_utilisation}"),
        )
    return table


def _peers_table(rows: Sequence[dict[str, int | float | str]]) -> Table:
    table = Table(
        title=f"cycles a sample, {LONG:,} samples, beside the published engines of the same width",
        caption=f"the planner's choice and the fewest; MLWeaving with mini-batches of {BATCH}",
    )
    columns = {
        "beat_width": "W",
        "features": "features",
        "bits": "q",
        "cycles_a_sample": "chosen",
        "geometry": "",
        "fewest_cycles_a_sample": "fewest",
        "fewest_geometry": "",
        "zipml_pynq": "ZipML PYNQ",
        "zipml_xeon": "ZipML Xeon",
        "mlweaving": "MLWeaving",
    }
    for heading in columns.values():
        table.add_column(heading, justify="right")
    for row in rows:
        values = (row.get(name, "") for name in columns)
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in values))
    return table
