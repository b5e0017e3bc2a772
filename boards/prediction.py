"""What a board should do, from the cycle model and its clock: predicted, not measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Epoch, Job, Step
from zipsgd.sim.cycles import predict_cycles

from .description import Board

FEATURES, BITS = 90, 4
"""Of the data set: one of YearPredictionMSD's size, at the usual precision."""

SKLEARN_UPDATES_PER_S = 540e6
"""Features a second of scikit-learn's SGDRegressor in float64, measured on one core (README)."""

LINE_BITS = 10
"""Of a byte on a UART."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Of a board.

    Parameters
    ----------
    samples : int
        Largest data set: of one rounding, without weights.
    cycles_a_sample : float
        Of the engine on a stream that never waits, with its best delay.
    samples_per_s : float
        Of training from the board's memory; refreshes of an SDRAM are left out.
    bound_per_s : float
        What the memory's peak rate allows.
    upload_s : float
        For the largest data set to pass the UART.
    """

    samples: int
    cycles_a_sample: float
    samples_per_s: float
    bound_per_s: float
    upload_s: float

    @property
    def beside_sklearn(self) -> float:
        """Samples of it for one of scikit-learn's."""
        return self.samples_per_s * FEATURES / SKLEARN_UPDATES_PER_S


def predict(board: Board) -> Prediction:
    """What to expect of training with `FEATURES` features and an intercept at `BITS` bits."""
    config, clock_hz = board.engine, board.clock_hz
    beats = predicted_job(config, 1, 1).group_beats(config)
    groups = _groups(board, beats)
    cycles = _cycles(config, groups)
    sample_bits = beats * config.beat_bits / config.banks
    bound = clock_hz * board.samples.bits_a_cycle(config) / sample_bits
    return Prediction(
        samples=groups * config.banks,
        cycles_a_sample=cycles,
        samples_per_s=min(clock_hz / cycles, bound),
        bound_per_s=bound,
        upload_s=groups * beats * config.beat_bytes * LINE_BITS / board.baud,
    )


def _groups(board: Board, beats: int) -> int:
    """Most groups of ``beats`` beats that the memory holds and a job can count."""
    config = board.engine
    groups = board.samples.bytes // (beats * config.beat_bytes)
    return min(groups, (1 << config.count_bits) - 1)


def _cycles(config: EngineConfig, groups: int) -> float:
    """Cycles a sample, with the delay that takes the fewest."""
    best = math.inf
    for delay in range(1, config.max_delay + 1):
        job = predicted_job(config, groups, delay)
        try:
            job.check(config)
        except ValueError:  # the replay buffer ends here
            break
        best = min(best, predict_cycles(config, job) / (groups * config.banks))
    return best


def predicted_job(config: EngineConfig, groups: int, delay: int) -> Job:
    """An epoch of the data set that is predicted."""
    return Job(
        epochs=(Epoch(step=Step.nearest(2.0**-8, config)),),
        bits=BITS,
        chunks=math.ceil((FEATURES + 1) / config.lanes),
        groups=groups,
        batch_groups=1,
        delay=delay,
        sync=False,
        corrected=True,
        seed=0,
    )
