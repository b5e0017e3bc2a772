"""Cycles a sample at one and the same final loss, beside the published engines.

Fewer bits are fewer cycles, so what counts of an engine is the fewest bits with which training
still ends where float64 does. All train on the same synthetic samples
(`host.bench.time_to_loss.synthetic`) with the same mini-batches, epochs and schedule, each with its
own best step. The published engines are given float64 arithmetic and exact mini-batches, which most
of them do not have, and read their samples in their own way. This project's is the golden model,
bit for bit the gateware, with the delay that its cycles are counted with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from rich.table import Table

from ..codes.rounding import Draws, round_codes
from ..codes.scaling import full_scale, largest_code
from ..data.dataset import Dataset, Floats
from ..devices.interface import Device
from ..devices.open import open_device
from ..errors import MismatchError
from ..options.options import Options
from ..training.job_plan import plan_jobs
from ..training.loop import prepare, train
from ..training.planner import candidate
from ..training.schedule import scheduled
from .peers import BATCH, LONG, mlweaving, zipml_pynq, zipml_xeon
from .time_to_loss import MomentLoss, synthetic

WITHIN = 0.01
"""How far above float64's a final loss may lie."""

SAMPLES = 8_192
STEPS = tuple(2.0**-exponent for exponent in range(7, 14))
COPIES = 4
"""Independent roundings, used in turn, where they are random."""

Read = tuple[Floats, Floats]
"""The two sides of a gradient: first * (second . x - label)."""


@dataclass(frozen=True, kw_only=True)
class Width:
    """Engines of one width of beats, and the samples that they are compared on.

    Parameters
    ----------
    options : Options
        Of this project's engine, but for bits and step.
    beat_width, features : int
    """

    options: Options
    beat_width: int
    features: int


_OPTIONS = Options(batch=BATCH, epochs=12, copies=COPIES, schedule="1/sqrt(k)")
WIDTHS = (
    Width(options=_OPTIONS, beat_width=64, features=90),
    Width(options=replace(_OPTIONS, lanes=64, banks=8), beat_width=512, features=784),
)
BITS = (2, 3, 4, 6, 8)
"""Of a code here."""


@dataclass(frozen=True)
class Peer:
    """A published engine.

    Parameters
    ----------
    name : str
    beat_width : int
    bits : tuple of int
        Those it was published with that are tried, ascending.
    cycles : callable
        Features and bits to cycles a sample.
    read : callable
        Features in [-1, 1] (n, F), bits and the number of a copy to what it computes with.
    """

    name: str
    beat_width: int
    bits: tuple[int, ...]
    cycles: Callable[[int, int], float]
    read: Callable[[Floats, int, int], Read]


def nearest(v: Floats, bits: int, copy: int) -> Read:
    """One rounding to nearest."""
    rounded = round_codes(v, bits, "nearest", Draws.of(0)) / largest_code(bits)
    return rounded, rounded


def twice(v: Floats, bits: int, copy: int) -> Read:
    """Two independent stochastic roundings."""
    first, second = (
        round_codes(v, bits, "single", Draws.of(0, 2 * copy + side)) / largest_code(bits)
        for side in range(2)
    )
    return first, second


def first_bits(v: Floats, bits: int, copy: int) -> Read:
    """The first bits of (v + 1) / 2, without rounding; an intercept takes up the half bit that
    every feature loses on the average."""
    cut = np.minimum(np.floor((v + 1) / 2 * 2.0**bits), 2.0**bits - 1) / 2.0**bits * 2 - 1
    return cut, cut


PEERS = (
    Peer("ZipML PYNQ", 64, (2, 4, 8), zipml_pynq, nearest),
    Peer("ZipML Xeon", 512, (2, 4, 8), zipml_xeon, twice),
    Peer("MLWeaving", 512, BITS, lambda d, bits: mlweaving(d, bits, BATCH), first_bits),
)


@dataclass(frozen=True)
class EngineRow:
    """An engine with the fewest bits that bring it to float64's final loss, or with its most."""

    beat_width: int
    features: int
    engine: str
    bits: int
    final_loss: float
    above_float: float
    cycles_a_sample: float

    @property
    def reaches(self) -> bool:
        return self.above_float <= WITHIN


def equal_loss(widths: tuple[Width, ...] = WIDTHS, samples: int = SAMPLES) -> list[EngineRow]:
    """Train; a row an engine, this project's first of its width.

    Raises
    ------
    MismatchError
        If this project's engine does not get there, or another does with as few cycles.
    """
    rows = [row for width in widths for row in _rows(width, samples)]
    for width in widths:
        ours, *others = (row for row in rows if row.beat_width == width.beat_width)
        if not ours.reaches:
            raise MismatchError(
                f"{ours.bits} bits end {ours.above_float:.1%} above float64 with {ours.features} "
                f"features; the target is {WITHIN:.0%}"
            )
        for other in others:
            if other.reaches and other.cycles_a_sample <= ours.cycles_a_sample:
                raise MismatchError(
                    f"{other.engine} takes {other.cycles_a_sample:.2f} cycles a sample of "
                    f"{other.features} features to float64's final loss, this engine "
                    f"{ours.cycles_a_sample:.2f}"
                )
    return rows


def table(rows: list[EngineRow]) -> Table:
    made = Table(
        title=f"cycles a sample at float64's final loss, within {WITHIN:.0%}: each engine with the "
        "fewest bits that reach it",
        caption=f"synthetic samples, mini-batches of {BATCH}, {_OPTIONS.epochs} epochs; the others "
        "with float64 arithmetic",
    )
    for heading in ("W", "features", "engine", "q", "final loss", "above float64", "cycles"):
        made.add_column(heading, justify="left" if heading == "engine" else "right")
    for row in rows:
        made.add_row(
            *(str(row.beat_width), str(row.features), row.engine, str(row.bits)),
            *(f"{row.final_loss:.5f}", f"{row.above_float:+.2%}", f"{row.cycles_a_sample:.2f}"),
        )
    return made


def _rows(width: Width, samples: int) -> Iterator[EngineRow]:
    dataset = synthetic(samples, width.features)
    part = prepare(dataset, replace(width.options, bits=BITS[-1], step=STEPS[0])).train
    sgd = _FloatSgd(part.v, part.y, width.options)
    exact = sgd.final_loss([(part.v, part.v)])

    def row(
        name: str,
        bits: tuple[int, ...],
        final_loss: Callable[[int], float],
        cycles: Callable[[int], float],
    ) -> EngineRow:
        """Tries ``bits`` until the loss is that of float64."""
        for tried in bits:
            reached = final_loss(tried)
            if reached <= (1 + WITHIN) * exact:
                break
        above = reached / exact - 1
        return EngineRow(
            width.beat_width, width.features, name, tried, reached, above, cycles(tried)
        )

    with closing(open_device("fast", width.options.config)) as engine:
        yield row(
            "this",
            BITS,
            partial(_final_loss, dataset, width.options, engine),
            partial(_cycles, width),
        )
    for peer in PEERS:
        if peer.beat_width == width.beat_width:
            yield row(
                peer.name,
                peer.bits,
                partial(_peers_final_loss, peer, sgd),
                partial(peer.cycles, width.features),
            )


class _FloatSgd:
    """Textbook mini-batch SGD in float64, on features as an engine reads them.

    Parameters
    ----------
    v : float64 (n, F)
    y : float64 (n)
    options : Options
        Mini-batch, epochs and schedule.
    """

    def __init__(self, v: Floats, y: Floats, options: Options) -> None:
        self.v, self.y, self.options = v, y, options
        self.loss = MomentLoss(v, y)

    def final_loss(self, copies: list[Read]) -> float:
        """On the unrounded features, with the best of `STEPS`; copies are used in turn."""
        with np.errstate(over="ignore", invalid="ignore"):  # too large a step
            losses = [self.loss(self.train(copies, step)) for step in STEPS]
        return min(loss for loss in losses if np.isfinite(loss))

    def train(self, copies: list[Read], step: float) -> Floats:
        """The model (F)."""
        weights = np.zeros(self.v.shape[1])
        for epoch in range(self.options.epochs):
            first, second = copies[epoch % len(copies)]
            size = scheduled(step, self.options.schedule, epoch + 1)
            for start in range(0, len(self.y), BATCH):
                rows = slice(start, start + BATCH)
                error = second[rows] @ weights - self.y[rows]
                weights = weights - size * (error @ first[rows])
        return weights


def _peers_final_loss(peer: Peer, sgd: _FloatSgd, bits: int) -> float:
    return sgd.final_loss([peer.read(sgd.v, bits, copy) for copy in range(COPIES)])


def _final_loss(dataset: Dataset, options: Options, engine: Device, bits: int) -> float:
    """This project's, with the best of `STEPS`, which count in units of the unrounded features."""
    task = prepare(dataset, replace(options, bits=bits, step=STEPS[-1]))
    losses = []
    for step in STEPS:
        jobs = plan_jobs(task.copies[0], task.options, step / full_scale(bits) ** 2)
        *_, last = train(replace(task, jobs=jobs), engine)
        losses.append(last.losses.train)
    return min(losses)


def _cycles(width: Width, bits: int) -> float:
    options = replace(width.options, bits=bits)
    return candidate(options, LONG, width.features + 1).cycles_a_sample
