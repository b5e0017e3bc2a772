"""LIBSVM text.

`host.data.libsvm` does the reading. Only if it fails, or lets a value pass that cannot be trained
on, the text is scanned slowly for the place and the remedy. A place is file:line:column, both
counted from 1, the column in characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import InputError
from .checks import MAX_SHOWN, cell_faults, one_line, usable
from .dataset import Dataset
from .gather import MAX_COLUMNS, WINDOW_VALUES, Gatherer, select_columns
from .libsvm import parse
from .sources import Source


def is_libsvm(text: bytes) -> bool:
    """Whether the first line looks like ``label index:value ...``."""
    return re.match(rb"\s*[^\s,;]+[^\S\n]+\d+:", text) is not None


def read_libsvm(source: Source) -> Dataset:
    """Features that a line leaves out are 0; indices count from 1, or from 0 if a line uses 0."""
    gatherer = Gatherer(source.name, source.size)
    from_zero = False
    for line_number, piece in source.pieces():
        try:
            matrix, labels = parse(piece)
        except (ValueError, OverflowError) as fault:
            if not _samples(piece):
                continue
            raise _libsvm_error(source.name, line_number, piece, str(fault)) from fault
        if not (usable(matrix.data) and usable(labels)):
            raise _libsvm_error(source.name, line_number, piece, "a value is not finite")
        rows, columns = matrix.shape
        if columns > MAX_COLUMNS:
            line, column = _place(piece, columns - 1)
            raise InputError(
                f"{source.name}:{line + line_number}:{column}: feature {columns - 1} is more than "
                f"this program takes ({rows} samples with features up to number {columns - 1}, at "
                f"most {MAX_COLUMNS - 1}); select features"
            )
        from_zero = from_zero or bool((matrix.indices == 0).any())
        size = max(WINDOW_VALUES // max(columns, 1), 1)
        for start in range(0, rows, size):
            part = slice(start, start + size)
            gatherer.append(matrix[part].toarray(), labels[part])
    if not gatherer.rows:
        raise InputError(f"{source.name} is empty; give it at least two samples")
    features, labels = gatherer.finish()
    first = 0 if from_zero else 1
    columns = np.arange(first, features.shape[1])
    features = select_columns(features, columns) if first else features
    return Dataset(Path(source.name).name, features, labels, tuple(map(str, columns)))


def _samples(piece: bytes) -> bool:
    """Whether there is more in it than comments."""
    return any(line.partition(b"#")[0].strip() for line in piece.split(b"\n"))


def _place(piece: bytes, index: int) -> tuple[int, int]:
    """Line, from 0, and column, from 1, of the first use of a feature."""
    found = re.search(rb"(?<=[ \t])0*%d:" % index, piece)
    before = piece[: found.start()] if found else b""
    line, _, within = before.rpartition(b"\n")
    return line.count(b"\n") + (b"\n" in before), len(within.decode(errors="replace")) + 1


def _libsvm_error(source: str, first: int, text: bytes, reason: str) -> InputError:
    """Names the place of the first fault."""
    for line_number, line in enumerate(text.decode(errors="replace").split("\n"), first):
        for column, fault in _libsvm_faults(line):
            return InputError(f"{source}:{line_number}:{column}: {fault}")
    return InputError(
        f"{source}:{first}:1: this or a later line is not LIBSVM text ({one_line(reason)}); "
        "correct the file"
    )


def _libsvm_faults(line: str) -> Iterator[tuple[int, str]]:
    """Column and sentence of every fault."""
    words = list(re.finditer(r"\S+", line.partition("#")[0]))
    if not words:
        return
    label, *pairs = words
    for fault in cell_faults("the label", label[0]):
        yield label.start() + 1, fault
    previous = -1
    for pair in pairs[1:] if pairs and pairs[0][0].startswith("qid:") else pairs:
        column = pair.start() + 1
        name, _, value = pair[0].partition(":")
        if not (name.isdecimal() and value):
            yield column, f"{pair[0][:MAX_SHOWN]!r} is not index:value; correct the line"
            continue
        index = int(name[:12])  # enough to see that it is out of range
        if index == previous:
            yield column, f"feature {index} is there twice; keep one"
        elif index < previous:
            yield (
                column,
                f"feature {index} comes after {previous} (indices must increase); "
                "sort the line's features",
            )
        elif index >= 1 << 29:
            yield column, f"feature {index} is out of range; correct the index"
        for fault in cell_faults(f"feature {index}", value):
            yield column + len(name) + 1, fault
        previous = index
