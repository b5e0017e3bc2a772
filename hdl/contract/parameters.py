"""Parameters of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Self


class Loss(IntEnum):
    """A loss of the margin z and the label Y; f is its derivative by z."""

    LEAST_SQUARES = 0
    """(z - Y)**2 / 2."""
    LOGISTIC = 1
    """log(1 + exp(-Y z)), Y = -1 or +1."""
    HINGE = 2
    """max(0, 1 - Y z), Y = -1 or +1."""
    SQUARED_HINGE = 3
    """max(0, 1 - Y z)**2 / 2, Y = -1 or +1."""
    HUBER = 4
    """(z - Y)**2 / 2 up to a residual of 1, its tangent beyond."""


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """What one engine is built with; `hdl.contract.config.EngineConfig` checks it and derives the
    rest.

    Parameters
    ----------
    lanes : int
        Features in a beat; a power of two, at least 2.
    banks : int
        Samples in a beat, which is the group size; a power of two.
    max_bits : int
        Largest q that a job may name.
    max_chunks : int
        Depth of the model memories: a sample has at most ``max_chunks * lanes`` features.
    max_delay : int
        Largest delay D that a job may name.
    replay_beats : int
        Depth of the replay buffer; a job needs ``D * chunks * q`` beats of it.
    model_bits, model_frac : int
        Format of model words, margins and labels.
    error_bits, error_frac : int
        Format of the scaled error h.
    coefficient_bits, coefficient_frac : int
        Format of the correction's coefficient (unsigned).
    mantissa_bits : int
        Width of the step size's mantissa (unsigned).
    random_bits : int
        Random bits that one stochastic rounding consumes.
    adder_levels : int
        Levels of an adder tree between registers: 1 for the highest clock rate, 2 for fewer
        registers and cycles in a wide engine.
    fanout_stages : int
        Registers on the way from what many lanes and banks read to them, for the clock rate: 1
        takes three cycles more of a dot product and one of an update, 2 five and one; curved losses
        take another.
    read_latency : int
        Cycles from a memory's address to its data: 2 with the output register that block RAM needs
        at high clock rates, 1 without.
    count_bits : int
        Width of a job's numbers of groups, and of the counters of saturations; its cycles and beats
        are counted in twice as many bits.
    losses : tuple of Loss
        Losses that a job may name.
    evaluate : bool
        Whether a job may ask for the sum of losses.
    sample_words : bool
        Whether a job may send a weight and a margin offset with every sample.
    regularisation : bool
        Whether a job may ask for l2 and l1.
    coarsening : bool
        Whether a job may lower the precision of model words and scaled errors.

    The last five leave parts out of a small FPGA; what is left may take fewer cycles. Host and
    engine refuse a job that asks for what is not there.
    """

    lanes: int = 16
    banks: int = 4
    max_bits: int = 8
    max_chunks: int = 64
    max_delay: int = 8
    replay_beats: int = 2048
    model_bits: int = 24
    model_frac: int = 16
    error_bits: int = 24
    error_frac: int = 20
    coefficient_bits: int = 14
    coefficient_frac: int = 18
    mantissa_bits: int = 13
    random_bits: int = 12
    adder_levels: int = 1
    fanout_stages: int = 0
    read_latency: int = 2
    count_bits: int = 32
    losses: tuple[Loss, ...] = tuple(Loss)
    evaluate: bool = True
    sample_words: bool = True
    regularisation: bool = True
    coarsening: bool = True

    # As numbers, which is how an engine says what it is.

    def numbers(self) -> dict[str, int]:
        """Every parameter as an integer: bit n of ``losses`` is for loss n."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["losses"] = sum(1 << loss for loss in self.losses)
        return {name: int(value) for name, value in values.items()}

    @classmethod
    def from_numbers(cls, numbers: Mapping[str, int]) -> Self:
        """The inverse of `numbers`; raises `ValueError` as the class does."""
        defaults = {field.name: field.default for field in fields(cls)}
        values: dict[str, Any] = {
            name: bool(numbers[name]) if isinstance(default, bool) else int(numbers[name])
            for name, default in defaults.items()
        }
        values["losses"] = tuple(loss for loss in Loss if values["losses"] >> loss & 1)
        return cls(**values)
