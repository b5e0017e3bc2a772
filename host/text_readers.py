"""LIBSVM text and CSV.

The libraries' fast parsers do the reading. Only if one fails, or lets a value pass that cannot be
trained on, the text is scanned slowly for the line, the column and the remedy.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_svmlight_file

from .checks import MAX_SHOWN, cell_faults, number, one_line, table_dataset, usable
from .dataset import Dataset
from .errors import InputError

MAX_DENSE_VALUES = 1 << 29
"""Most values of a sparse file that are expanded in memory (4 GiB)."""


def is_libsvm(text: bytes) -> bool:
    """Whether the first line looks like ``label index:value ...``."""
    return re.match(rb"\s*[^\s,;]+[^\S\n]+\d+:", text) is not None


def read_libsvm(source: str, text: bytes) -> Dataset:
    """Features that a line leaves out are 0; indices count from 1, or from 0 if a line uses 0."""
    try:
        matrix, labels = load_svmlight_file(io.BytesIO(text), zero_based=True)
    except (ValueError, OverflowError) as fault:
        raise _libsvm_error(source, text, str(fault)) from fault
    if not (usable(matrix.data) and usable(labels)):
        raise _libsvm_error(source, text, "a value is not finite")
    rows, columns = matrix.shape
    if rows * columns > MAX_DENSE_VALUES:
        raise InputError(
            f"{source}: {rows} samples with features up to number {columns - 1} take more than "
            f"{MAX_DENSE_VALUES * 8 >> 30} GiB; select samples or features"
        )
    first = 0 if (matrix.indices == 0).any() else 1
    names = tuple(str(j) for j in range(first, columns))
    return Dataset(Path(source).name, matrix.toarray()[:, first:], labels, names)


def _libsvm_error(source: str, text: bytes, reason: str) -> InputError:
    """Names the first line with a fault."""
    for line_number, line in enumerate(text.decode(errors="replace").split("\n"), 1):
        for fault in _libsvm_faults(line):
            return InputError(f"{source}:{line_number}: {fault}")
    return InputError(f"{source} is not LIBSVM text ({one_line(reason)}); correct the file")


def _libsvm_faults(line: str) -> Iterator[str]:
    words = line.partition("#")[0].split()
    if not words:
        return
    label, *pairs = words
    yield from cell_faults("the label", label)
    previous = -1
    for pair in pairs[1:] if pairs and pairs[0].startswith("qid:") else pairs:
        name, _, value = pair.partition(":")
        if not (name.isdecimal() and value):
            yield f"{pair[:MAX_SHOWN]!r} is not index:value; correct the line"
            continue
        index = int(name[:12])  # enough to see that it is out of range
        if index == previous:
            yield f"feature {index} is there twice; keep one"
        elif index < previous:
            yield (
                f"feature {index} comes after {previous} (indices must increase); "
                "sort the line's features"
            )
        elif index >= MAX_DENSE_VALUES:
            yield f"feature {index} is out of range; correct the index"
        yield from cell_faults(f"feature {index}", value)
        previous = index


def read_csv(source: str, text: bytes, target: str | None) -> Dataset:
    """Numbers between commas, semicolons or tabs; names in the first line if none is a number."""
    try:
        lines = list(io.StringIO(text.decode("utf-8-sig"), newline=None))
        return _parse_csv(source, lines, target)
    except UnicodeDecodeError as fault:
        line_number = text[: fault.start].count(b"\n") + 1
        raise InputError(
            f"{source}:{line_number}: this is not UTF-8 text; give LIBSVM text, CSV, .npz or .npy"
        ) from fault
    except csv.Error as fault:
        raise InputError(f"{source} is not CSV ({fault}); correct the file") from fault


def _parse_csv(source: str, lines: list[str], target: str | None) -> Dataset:
    start = next((i for i, line in enumerate(lines) if line.strip()), None)
    if start is None:
        raise InputError(f"{source} has no text in it; give it at least two samples")
    delimiter = max(",;\t", key=lines[start].count)
    first = [one_line(cell) for cell in next(csv.reader([lines[start]], delimiter=delimiter))]
    header = all(number(cell) is None for cell in first)
    names = [cell if header and cell else str(j) for j, cell in enumerate(first)]
    start += header
    if not any(line.strip() for line in lines[start:]):
        raise InputError(f"{source} has column names and no samples; add some")
    try:
        table = np.loadtxt(
            lines[start:], delimiter=delimiter, quotechar='"', comments=None, ndmin=2
        )
    except ValueError as fault:
        raise _csv_error(source, lines, start, delimiter, names, str(fault)) from fault
    if table.shape[1] != len(names) or not usable(table):
        raise _csv_error(source, lines, start, delimiter, names, "a value is not finite")
    return table_dataset(source, table, names, target)


def _csv_error(
    source: str, lines: list[str], start: int, delimiter: str, names: Sequence[str], reason: str
) -> InputError:
    """Names the first line from ``start`` on that has a fault."""
    rows = csv.reader(lines[start:], delimiter=delimiter)
    for cells in rows:
        for fault in _row_faults(cells, names):
            return InputError(f"{source}:{start + rows.line_num}: {fault}")
    return InputError(f"{source} is not CSV with numbers ({one_line(reason)}); correct the file")


def _row_faults(cells: list[str], names: Sequence[str]) -> Iterator[str]:
    if cells and len(cells) != len(names):
        yield f"{len(cells)} columns where the first line has {len(names)}; correct the line"
    for name, cell in zip(names, cells, strict=False):
        yield from cell_faults(f"column {name}", cell.strip())
