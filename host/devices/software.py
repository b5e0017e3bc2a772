"""Devices in software: the golden model, and the same compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Job
from zipsgd.sim.golden import Counters, Golden

from ..codes.rounding import Ints
from ..codes.weaving import Woven
from .interface import check_fits, fast_samples, samples_of

if TYPE_CHECKING:
    from zipsgd.sim.fast import Fast


class GoldenDevice:
    """The software reference, `sim.golden`; its cycles are those of the cycle model."""

    name = "golden"
    retries = None

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._golden: Golden | Fast = Golden(config)

    def load_model(self, words: Ints) -> None:
        self._golden.load(words)

    def run(self, job: Job, *copies: Woven) -> Counters:
        check_fits(self.config, job, copies)
        return self._golden.run(job, *(samples_of(woven, self.config) for woven in copies))

    def read_model(self, chunks: int) -> Ints:
        return self._golden.x[: chunks * self.config.lanes].copy()

    def margins(self) -> Ints:
        return self._golden.margins

    def close(self) -> None:
        pass


class FastDevice(GoldenDevice):
    """The golden model, compiled: `sim.fast`, the same bits and cycles."""

    name = "fast"

    def __init__(self, config: EngineConfig) -> None:
        from zipsgd.sim.fast import Fast

        self.config = config
        self._golden = Fast(config)

    def run(self, job: Job, *copies: Woven) -> Counters:
        check_fits(self.config, job, copies)
        return self._golden.run(job, *(fast_samples(woven, self.config) for woven in copies))
