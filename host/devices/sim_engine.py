"""Device in simulation: the engine alone."""

from __future__ import annotations

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Job
from zipsgd.sim.golden import Counters
from zipsgd.sim.model import check_model

from ..codes.rounding import Ints
from ..codes.weaving import Woven
from .interface import check_fits, host_errors


class SimEngine:
    """The engine's Verilog alone, compiled by Verilator and called in process, on a stream that
    never waits: its cycles are those of the cycle model.

    Raises
    ------
    ToolMissingError, BuildError
        If the engine has to be compiled and cannot be.
    DeviceError
        If the engine stops making progress.
    """

    name = "sim-engine"
    retries = None

    def __init__(self, config: EngineConfig) -> None:
        from zipsgd.sim.verilated import VerilatedEngine

        self.config = config
        self._words = 0  # of the model
        with host_errors():
            self._engine = VerilatedEngine(config)

    def load_model(self, words: Ints) -> None:
        with host_errors():
            self._engine.load(words)
        self._words = len(words)

    def run(self, job: Job, *copies: Woven) -> Counters:
        check_fits(self.config, job, copies)
        check_model(self.config, job, self._words)
        with host_errors():
            return self._engine.run(job, *(woven.beats for woven in copies))

    def read_model(self, chunks: int) -> Ints:
        with host_errors():
            return self._engine.dump(chunks)

    def margins(self) -> Ints:
        return self._engine.margins

    def close(self) -> None:
        self._engine.close()
