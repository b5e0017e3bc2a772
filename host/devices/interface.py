"""Interface of everything that can run a job, and what a job asks of its data sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Protocol

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Job
from zipsgd.sim.errors import CompileError, SimulationError, ToolNotFoundError
from zipsgd.sim.golden import Counters, Samples

from ..codes.rounding import Ints
from ..codes.weaving import Woven, unweave
from ..errors import BuildError, DeviceError, ToolMissingError


class Device(Protocol):
    """An engine with a model in it.

    Attributes
    ----------
    name : str
        What `open_device` calls it.
    config : EngineConfig
    """

    name: str
    config: EngineConfig

    @property
    def retries(self) -> int | None:
        """Requests that its link has sent again so far; none without a link."""

    def load_model(self, words: Ints) -> None:
        """Set the model: int64 (chunks * lanes).

        Raises
        ------
        ValueError
            If they are no model of this engine, see `sim.model.model_words`.
        """

    def run(self, job: Job, *copies: Woven) -> Counters:
        """All epochs of a job; epoch e is a pass over ``copies[e % len(copies)]``.

        Raises
        ------
        ValueError
            If a data set is not woven for the job, see `check_fits`, or the model is one of other
            samples.
        """

    def read_model(self, chunks: int) -> Ints:
        """The model: int64 (chunks * lanes)."""

    def margins(self) -> Ints:
        """Margins of the last job, which must have been one that predicts: int64 (groups, banks),
        ``model_frac`` fractional bits."""

    def close(self) -> None:
        """Release the device; it cannot be used afterwards."""


def samples_of(woven: Woven, config: EngineConfig) -> Samples:
    """What the golden model takes instead of the stream."""
    return Samples(**vars(unweave(woven, config)))


def fast_samples(woven: Woven, config: EngineConfig) -> Samples:
    """The same for the compiled one, at memory speed."""
    from ..codes.fused import unweave as fast_unweave

    return Samples(**vars(fast_unweave(woven, config)))


def check_fits(config: EngineConfig, job: Job, copies: tuple[Woven, ...]) -> None:
    """Raises `ValueError` unless the streams of ``copies`` are those that ``config`` reads and
    ``job`` describes, with weights that its steps can be multiplied by.

    An engine cannot tell: it would take labels for weights, or one code for another.
    """
    for woven in copies:
        difference = woven.geometry.difference(config)
        if difference is not None:
            raise ValueError(
                f"the data set is woven for {difference}; weave it for this engine, or open a "
                "device with the other one"
            )
    names = ("bits", "chunks", "groups", "unsigned", "weighted", "offset")
    for woven, name in product(copies, names):
        asked, there = getattr(job, name), getattr(woven, name)
        if asked != there:
            raise ValueError(
                f"the job says {name} = {asked} and its data set is woven with {name} = {there}; "
                "describe the data set as it is woven, or weave it for the job"
            )
    for woven in copies:
        job.check_weights(config, woven.most_weight)


SIMULATED = "sim"
"""The only device behind a link whose memory is within reach."""


@contextmanager
def host_errors() -> Iterator[None]:
    """`sim` knows no exit codes: its errors become the host's."""
    try:
        yield
    except ToolNotFoundError as fault:
        raise ToolMissingError(str(fault)) from fault
    except CompileError as fault:
        raise BuildError(str(fault)) from fault
    except SimulationError as fault:
        raise DeviceError(str(fault)) from fault
