"""Speed of the way from a file to a trained model, stage by stage, beside scikit-learn.

CPU time of one core, the best of a few runs; compiled code is loaded before.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_svmlight_file
from sklearn.linear_model import SGDRegressor
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler

from zipsgd.hdl.contract.config import EngineConfig

from ..codes.fused import round_and_weave
from ..codes.moments import Moments
from ..codes.packed import PackOptions, open_packed, pack
from ..codes.rounding import Draws, quantise_labels, round_codes
from ..codes.scaling import LabelScaling, Scaling, with_intercept
from ..data.dataset import Dataset, Floats
from ..data.file_format import read_dataset
from ..data.libsvm import parse
from ..devices.software import FastDevice
from ..errors import MismatchError
from ..json_lines import json_line
from ..options.options import Options
from ..training.loop import prepare

SAMPLES, FEATURES, BITS = 20_000, 90, 4
RUNS = 3

EPOCHS, STEP = 5, 2.0**-8

LEAST_PER_S = {"round and weave": 100e6, "train (fast)": 100e6}
"""Feature values and feature updates a second, ``double``."""


@dataclass(frozen=True)
class Stage:
    """CPU time of one stage.

    Parameters
    ----------
    name : str
    amount, unit
        What went through it: bytes, feature values, or updates (samples x features x epochs).
    ours_s, sklearn_s : float, float or None
        Seconds; None where scikit-learn has no such stage.
    """

    name: str
    amount: int
    unit: str
    ours_s: float
    sklearn_s: float | None

    @property
    def rate(self) -> float:
        """Millions a second."""
        return self.amount / self.ours_s / 1e6


def host(as_json: bool = False) -> None:
    """Measure and print every stage.

    Raises
    ------
    MismatchError
        If a stage of `LEAST_PER_S` misses its target, or parsing takes longer than scikit-learn.
    """
    stages = measure()
    if as_json:
        for stage in stages:
            typer.echo(json_line({**asdict(stage), "million_per_s": stage.rate}))
    else:
        Console(highlight=False, soft_wrap=True).print(_table(stages))
    by_name = {stage.name: stage for stage in stages}
    for name, least in LEAST_PER_S.items():
        stage = by_name[name]
        if stage.amount / stage.ours_s < least:
            raise MismatchError(
                f"{name}: {stage.rate:.0f} million {stage.unit} a second, below "
                f"{least / 1e6:.0f}; close other programs and measure again"
            )
    parsing = by_name["parse"]
    if parsing.sklearn_s is not None and parsing.ours_s > parsing.sklearn_s:
        raise MismatchError(
            f"LIBSVM text took {parsing.ours_s:.2f} s and scikit-learn {parsing.sklearn_s:.2f} s"
        )


def measure() -> list[Stage]:
    """The stages in order, on synthetic data of `FEATURES` features."""
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=(SAMPLES, FEATURES)), 6)
    labels = x @ rng.normal(size=FEATURES)
    data = Dataset("synthetic", x, labels, tuple(map(str, range(FEATURES))))
    config, options, draws = EngineConfig(), PackOptions(bits=BITS), Draws.of(0)
    text = svm_text(x, labels)
    scaling, label_scaling = Scaling.fit(x), LabelScaling.fit(labels, classification=False)
    v = with_intercept(scaling.apply(x, BITS))
    words = quantise_labels(label_scaling.apply(labels), config)

    def scale() -> None:
        Scaling.of_moments(Moments.of([x])).apply(x, BITS)

    def fused() -> None:
        round_and_weave(v, words, BITS, "double", draws, config)

    task = prepare(data, Options(bits=BITS, epochs=EPOCHS, copies=1, step=STEP))
    device = FastDevice(task.config)

    def train() -> None:
        device.load_model(np.zeros(task.copies[0].chunks * task.config.lanes, dtype=np.int64))
        for job in task.jobs:
            device.run(job, task.copies[0])

    def sklearn_train() -> None:
        """The same updates in float64, one sample at a time."""
        SGDRegressor(
            alpha=0,
            fit_intercept=False,
            max_iter=EPOCHS,
            tol=None,
            shuffle=False,
            learning_rate="constant",
            eta0=STEP,
        ).fit(task.train.v, task.train.y)

    train()  # compiles

    with tempfile.TemporaryDirectory() as folder:
        source, packed = Path(folder) / "a.svm", Path(folder) / "a.zsgd"
        source.write_bytes(text)

        def write() -> None:
            with packed.open("wb") as stream:
                pack(data, stream, options)

        values = v.size
        reference = _best(lambda: load_svmlight_file(str(source)))
        dense = _best(lambda: load_svmlight_file(str(source))[0].toarray())
        stages = [
            Stage("parse", len(text), "bytes", _best(lambda: parse(text)), reference),
            Stage("read", len(text), "bytes", _best(lambda: read_dataset(str(source))), dense),
            Stage("scale", x.size, "values", _best(scale), _best(lambda: _scalers(x))),
            Stage(
                "round",
                values,
                "values",
                _best(lambda: round_codes(v, BITS, "double", draws)),
                None,
            ),
            Stage("round and weave", values, "values", _best(fused), None),
            Stage("pack", values, "values", _best(write), None),
            Stage(
                "open packed",
                packed.stat().st_size,
                "bytes",
                _best(lambda: open_packed(packed)),
                None,
            ),
            Stage(
                "train (fast)",
                task.train.v.size * EPOCHS,
                "updates",
                _best(train),
                _best(sklearn_train),
            ),
        ]
    return stages


def _scalers(x: Floats) -> None:
    """The nearest that scikit-learn has: statistics and one transformation."""
    StandardScaler().fit_transform(x)
    MinMaxScaler().fit(x)
    MaxAbsScaler().fit(x)


def svm_text(x: Floats, labels: Floats) -> bytes:
    """LIBSVM text of features (n, d) and labels (n)."""
    rows = zip(x.tolist(), labels.tolist(), strict=True)
    return "".join(
        f"{label:.6g} " + " ".join(f"{j}:{value:.6g}" for j, value in enumerate(row, 1)) + "\n"
        for row, label in rows
    ).encode()


def _best(work: Callable[[], object]) -> float:
    """Least CPU seconds of this process, all its threads together."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return max(min(times), 1e-6)


def _table(stages: list[Stage]) -> Table:
    table = Table(
        title=f"{SAMPLES:,} samples of {FEATURES} features, q = {BITS} double, CPU time of one core"
    )
    for heading in ("stage", "million a second", "seconds", "scikit-learn, seconds"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage in stages:
        other = "" if stage.sklearn_s is None else f"{stage.sklearn_s:.3f}"
        table.add_row(stage.name, f"{stage.rate:.1f} {stage.unit}", f"{stage.ours_s:.3f}", other)
    return table
