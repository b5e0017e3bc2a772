"""Statistics of the columns of a table that is read in pieces.

The rows are taken in blocks of a fixed size, so the results do not depend on the pieces: equal
rows in equal order give equal bits, in memory or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.dataset import Floats

BLOCK_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Moments:
    """Of d columns over ``count`` rows.

    Parameters
    ----------
    count : int
    mean, deviation : float64 (d)
        The deviation is that of the population.
    low, high : float64 (d)
    at_low, at_high : int64 (d)
        Rows that hold the smallest and the largest value; in a column with two values they sum up
        to ``count``.
    """

    count: int
    mean: Floats
    deviation: Floats
    low: Floats
    high: Floats
    at_low: NDArray[np.int64]
    at_high: NDArray[np.int64]

    @classmethod
    def of(cls, pieces: Iterable[Floats]) -> Moments:
        """Of the rows of all ``pieces`` (m, d), which are together one row at least."""
        total: Moments | None = None
        for block in blocks(pieces):
            part = cls._of_block(block)
            total = part if total is None else total._with(part)
        if total is None:
            raise ValueError("there is no row to take statistics of")
        return total

    @classmethod
    def _of_block(cls, rows: Floats) -> Moments:
        low, high, mean = rows.min(axis=0), rows.max(axis=0), rows.mean(axis=0)
        return cls(
            count=len(rows),
            mean=mean,
            deviation=np.sqrt(np.square(rows - mean).mean(axis=0)),
            low=low,
            high=high,
            at_low=np.count_nonzero(rows == low, axis=0),
            at_high=np.count_nonzero(rows == high, axis=0),
        )

    def _with(self, other: Moments) -> Moments:
        """Of the rows of both (Chan, Golub, LeVeque, 1979)."""
        count = self.count + other.count
        share = other.count / count
        apart = other.mean - self.mean
        variance = (1 - share) * self.deviation**2 + share * other.deviation**2
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)

        def at(value: Floats) -> NDArray[np.int64]:
            """Rows that hold ``value``, an end of the range of one of the two."""
            found = np.zeros(len(value), dtype=np.int64)
            for part in (self, other):
                found += np.where(part.low == value, part.at_low, 0)
                found += np.where((part.high == value) & (part.low != value), part.at_high, 0)
            return found

        return Moments(
            count=count,
            mean=self.mean + share * apart,
            deviation=np.sqrt(variance + share * (1 - share) * apart**2),
            low=low,
            high=high,
            at_low=at(low),
            at_high=at(high),
        )


def blocks(pieces: Iterable[Floats]) -> Iterable[Floats]:
    """The same rows, ``BLOCK_ROWS`` at a time but for the last."""
    rest: list[Floats] = []
    waiting = 0
    for piece in pieces:
        start = 0
        while waiting + len(piece) - start >= BLOCK_ROWS:
            stop = start + BLOCK_ROWS - waiting
            yield np.concatenate([*rest, piece[start:stop]])
            rest, waiting, start = [], 0, stop
        rest.append(piece[start:].copy())
        waiting += len(piece) - start
    if waiting:
        yield np.concatenate(rest)
