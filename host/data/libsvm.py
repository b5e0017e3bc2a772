"""LIBSVM text to a sparse matrix, compiled.

Reads what nearly every file holds, plain decimal numbers and increasing indices, and leaves the
rest, and every fault, to scikit-learn's loader. A decimal number of few digits is exact after one
multiplication or division (Clinger, "How to read floating point numbers accurately", PLDI 1990);
the others are converted by Python.
"""

from __future__ import annotations

import io
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from zipsgd.sim.compiled import compiled

from .dataset import Floats

EXACT_POWER = 22
"""Largest power of ten that a float64 holds exactly."""

POWERS = 10.0 ** np.arange(EXACT_POWER + 1)
MOST_EXACT = 1 << 53
INDEX_DIGITS = 9

_jit: Any = compiled(nogil=True)


def parse(text: bytes) -> tuple[Any, Floats]:
    """Matrix (n, highest index + 1) in CSR form and labels (n).

    Raises
    ------
    ValueError, OverflowError
        What `sklearn.datasets.load_svmlight_file` raises.
    """
    characters = np.frombuffer(text, dtype=np.uint8)
    lines, pairs = text.count(b"\n") + 1, text.count(b":")
    values, slow = np.empty(lines + pairs), np.empty((lines + pairs, 2), dtype=np.int64)
    indices, starts = np.empty(pairs, dtype=np.int32), np.zeros(lines + 1, dtype=np.int64)
    rows, highest = _parse(characters, POWERS, values, slow, indices, starts)
    if rows <= 0:
        from sklearn.datasets import load_svmlight_file  # takes as long as the rest of a start

        matrix, labels = load_svmlight_file(io.BytesIO(text), zero_based=True)
        return matrix, labels
    pairs = int(starts[rows])
    # Values count from the front, labels from the back.
    for place in np.flatnonzero(slow[:, 1]):
        values[place] = float(text[slow[place, 0] : slow[place, 1]])
    shape = (rows, highest + 1)
    matrix = csr_matrix((values[:pairs], indices[:pairs], starts[: rows + 1]), shape=shape)
    return matrix, values[::-1][:rows].copy()


@_jit
def _parse(
    text: NDArray[np.uint8],
    powers: Floats,
    values: Floats,
    slow: NDArray[np.int64],
    indices: NDArray[np.int32],
    starts: NDArray[np.int64],
) -> tuple[int, int]:
    """Rows and highest index; -1 rows if this text is not for this function.

    ``slow`` gets start and end of each number that Python has to convert, else zeros.
    """
    slow[:] = 0
    size, last = len(text), len(values) - 1
    # Typed: numba would compile `_number` once more for a target that is the literal 0.
    place = rows = pairs = highest = int(np.int64(0))
    while place < size:
        while place < size and (_blank(text[place]) or text[place] == 10):
            place += 1
        if place == size:
            break
        if text[place] != 35:
            place = _number(text, place, powers, values, slow, last - rows)
            if place < 0:
                return -1, 0
            previous = -1
            while True:
                while place < size and _blank(text[place]):
                    place += 1
                if place == size or text[place] == 10 or text[place] == 35:
                    break
                first, index = place, 0
                while place < size and 48 <= text[place] <= 57:
                    index = 10 * index + text[place] - 48
                    place += 1
                digits = place - first
                if not 1 <= digits <= INDEX_DIGITS or place == size or text[place] != 58:
                    return -1, 0
                if index <= previous:
                    return -1, 0
                place = _number(text, place + 1, powers, values, slow, pairs)
                if place < 0:
                    return -1, 0
                previous = indices[pairs] = index
                pairs += 1
            highest = max(highest, previous)
            rows += 1
            starts[rows] = pairs
        while place < size and text[place] != 10:  # a comment
            place += 1
    return rows, highest


@_jit
def _number(
    text: NDArray[np.uint8],
    place: int,
    powers: Floats,
    values: Floats,
    slow: NDArray[np.int64],
    target: int,
) -> int:
    """Converts the number at ``place`` and returns where it ends; -1 if it is none."""
    size, first = len(text), place
    negative = False
    if place < size and (text[place] == 43 or text[place] == 45):
        negative = text[place] == 45
        place += 1
    mantissa, exponent, digits = 0, 0, 0
    while place < size and 48 <= text[place] <= 57:
        if mantissa < MOST_EXACT:
            mantissa = 10 * mantissa + text[place] - 48
        digits += 1
        place += 1
    if place < size and text[place] == 46:
        place += 1
        while place < size and 48 <= text[place] <= 57:
            if mantissa < MOST_EXACT:
                mantissa = 10 * mantissa + text[place] - 48
            exponent -= 1
            digits += 1
            place += 1
    if not digits:
        return -1
    if place < size and (text[place] == 101 or text[place] == 69):
        place += 1
        down = place < size and text[place] == 45
        if place < size and (text[place] == 43 or text[place] == 45):
            place += 1
        power, start = 0, place
        while place < size and 48 <= text[place] <= 57:
            power = min(10 * power + text[place] - 48, 100000)
            place += 1
        if place == start:
            return -1
        exponent += -power if down else power
    if place < size and not (_blank(text[place]) or text[place] == 10 or text[place] == 35):
        return -1
    if mantissa < MOST_EXACT and -EXACT_POWER <= exponent <= EXACT_POWER:
        value = float(mantissa)
        value = value / powers[-exponent] if exponent < 0 else value * powers[exponent]
        values[target] = -value if negative else value
    else:
        slow[target, 0], slow[target, 1] = first, place
    return place


@numba.njit(inline="always")
def _blank(character: Any) -> Any:
    """Whether it is a space, a tab or a carriage return."""
    return character == 32 or character == 9 or character == 13
