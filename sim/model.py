"""What every engine, in software or gateware, asks of the model that it is given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Job

Ints = NDArray[np.int64]


def model_words(config: EngineConfig, words: Ints) -> Ints:
    """A copy of a model's words (F) as int64.

    Raises
    ------
    ValueError
        If they are not whole chunks of them, or one does not fit ``model_bits``.
    """
    words = np.array(words, dtype=np.int64)
    if words.ndim != 1 or not words.size or words.size % config.lanes:
        raise ValueError(
            f"a model of shape {words.shape} is not one row of whole chunks of "
            f"{config.lanes} words; pad it with zeros"
        )
    limit = 1 << (config.model_bits - 1)
    if not -limit <= words.min() <= words.max() < limit:
        raise ValueError(
            f"model words from {words.min()} to {words.max()} do not fit "
            f"{config.model_bits} bits; saturate them"
        )
    return words


def check_model(config: EngineConfig, job: Job, words: int) -> None:
    """Raise `ValueError` with a sentence unless a model of so many words is one of the job's
    samples."""
    if words != job.chunks * config.lanes:
        raise ValueError(
            f"the model has {words} words and the job's samples {job.chunks} chunks of "
            f"{config.lanes} features; load a model of as many words first"
        )
