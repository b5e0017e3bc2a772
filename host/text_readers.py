"""LIBSVM text and CSV.

The libraries' fast parsers do the reading. Only if one fails, or lets a value pass that cannot be
trained on, the text is scanned slowly for the line, the column and the remedy.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .checks import LARGEST, MAX_SHOWN, cell_faults, number, one_line, usable
from .dataset import Dataset, Floats
from .errors import InputError
from .gather import MAX_COLUMNS, WINDOW_VALUES, Gatherer, select_columns
from .libsvm import parse
from .sources import Source
from .tables import MISSING, TableBuilder, TableOptions


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
            place = _first_line(piece, columns - 1) + line_number
            raise InputError(
                f"{source.name}:{place}: feature {columns - 1} is more than this program takes "
                f"({rows} samples with features up to number {columns - 1}, at most "
                f"{MAX_COLUMNS - 1}); select features"
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


def _first_line(piece: bytes, index: int) -> int:
    """Number, from 0, of the first line that uses a feature."""
    found = re.search(rb"[ \t]0*%d:" % index, piece)
    return piece[: found.start()].count(b"\n") if found else 0


def _libsvm_error(source: str, first: int, text: bytes, reason: str) -> InputError:
    """Names the first line with a fault, and its column, which count from 1."""
    for line_number, line in enumerate(text.decode(errors="replace").split("\n"), first):
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
        elif index >= 1 << 29:
            yield f"feature {index} is out of range; correct the index"
        yield from cell_faults(f"feature {index}", value)
        previous = index


def read_csv(source: Source, options: TableOptions) -> Dataset:
    """Numbers between commas, semicolons or tabs; names in the first line if none is a number.

    With categories or imputation, cells are read one by one.
    """
    reader: _CsvReader | None = None
    for line_number, piece in source.pieces():
        try:
            text = piece.decode("utf-8-sig" if line_number == 1 else "utf-8")
        except UnicodeDecodeError as fault:
            place = piece[: fault.start].count(b"\n") + line_number
            raise InputError(
                f"{source.name}:{place}: this is not UTF-8 text; "
                "give LIBSVM text, CSV, .npz or .npy"
            ) from fault
        lines = list(io.StringIO(text, newline=None))
        try:
            if reader is None:
                start = next((i for i, line in enumerate(lines) if line.strip()), None)
                if start is None:
                    continue
                reader = _CsvReader.of_first(source, lines[start], options)
                line_number, lines = line_number + start, lines[start:]
                if reader.header:
                    line_number, lines = line_number + 1, lines[1:]
            if any(line.strip() for line in lines):
                reader.read(lines, line_number)
        except csv.Error as fault:
            raise InputError(f"{source.name} is not CSV ({fault}); correct the file") from fault
    if reader is None:
        raise InputError(f"{source.name} has no text in it; give it at least two samples")
    dataset = reader.builder.finish()
    if not len(dataset.labels):
        raise InputError(f"{source.name} has column names and no samples; add some")
    return dataset


@dataclass(frozen=True, eq=False)
class _CsvReader:
    """What the first line tells about the others."""

    builder: TableBuilder
    delimiter: str
    header: bool

    @classmethod
    def of_first(cls, source: Source, line: str, options: TableOptions) -> _CsvReader:
        delimiter = max(",;\t", key=line.count)
        first = [one_line(cell) for cell in next(csv.reader([line], delimiter=delimiter))]
        header = all(number(cell) is None for cell in first)
        names = [cell if header and cell else str(j) for j, cell in enumerate(first)]
        builder = TableBuilder(source.name, source.size, names, options)
        return cls(builder, delimiter, header)

    def read(self, lines: list[str], line_number: int) -> None:
        """Add the samples of some lines, the first of which has this number."""
        builder = self.builder
        if builder.categories or builder.impute:
            builder.append(self._cells(lines, line_number))
            return
        try:
            table = np.loadtxt(
                lines, delimiter=self.delimiter, quotechar='"', comments=None, ndmin=2
            )
        except ValueError as fault:
            raise self._error(lines, line_number, str(fault)) from fault
        if table.shape[1] != len(builder.names) or not usable(table):
            raise self._error(lines, line_number, "a value is not finite")
        builder.append(table)

    def _cells(self, lines: list[str], line_number: int) -> Floats:
        builder = self.builder
        rows, reader = [], csv.reader(lines, delimiter=self.delimiter)
        for cells in reader:
            if not cells:
                continue
            row = [self._value(j, cell.strip()) for j, cell in enumerate(cells)]
            if len(row) != len(builder.names) or None in row:
                cells = [
                    "0" if value is not None else c for c, value in zip(cells, row, strict=True)
                ]
                for fault in _row_faults(cells, builder.names):
                    place = line_number + reader.line_num - 1
                    raise InputError(f"{builder.source}:{place}: {fault}")
            rows.append(row)
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(builder.names))

    def _value(self, column: int, cell: str) -> float | None:
        """The number that stands for a cell; None if there is none."""
        builder = self.builder
        if cell.lower() in MISSING:
            filled = builder.impute and column != builder.target
            return math.nan if filled else None
        if column in builder.categories:
            return builder.code(column, cell)
        value = number(cell)
        return value if value is not None and abs(value) <= LARGEST else None

    def _error(self, lines: list[str], line_number: int, reason: str) -> InputError:
        """Names the first line that has a fault."""
        source = self.builder.source
        rows = csv.reader(lines, delimiter=self.delimiter)
        for cells in rows:
            for fault in _row_faults(cells, self.builder.names):
                return InputError(f"{source}:{line_number + rows.line_num - 1}: {fault}")
        return InputError(
            f"{source} is not CSV with numbers ({one_line(reason)}); correct the file"
        )


def _row_faults(cells: list[str], names: Sequence[str]) -> Iterator[str]:
    if cells and len(cells) != len(names):
        yield f"{len(cells)} columns where the first line has {len(names)}; correct the line"
    for name, cell in zip(names, cells, strict=False):
        yield from cell_faults(f"column {name}", cell.strip())
