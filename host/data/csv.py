"""CSV.

NumPy's fast parser does the reading. Only if it fails, or lets a value pass that cannot be trained
on, the text is scanned slowly for the place and the remedy. A place is file:line:column, both
counted from 1, the column in characters.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .checks import LARGEST, NO_NUMBER, cell_faults, number, one_line, usable
from .dataset import Dataset, Floats
from .sources import Source
from .tables import MISSING, TableBuilder, TableOptions


def read_csv(source: Source, options: TableOptions) -> Dataset:
    """Numbers between commas, semicolons or tabs; names in the first line if none is a number.

    With categories or imputation, cells are read one by one.
    """
    reader: _CsvReader | None = None
    for line_number, piece in source.pieces():
        try:
            text = piece.decode("utf-8-sig" if line_number == 1 else "utf-8")
        except UnicodeDecodeError as fault:
            before, _, within = piece[: fault.start].rpartition(b"\n")
            line = before.count(b"\n") + (b"\n" in piece[: fault.start]) + line_number
            raise InputError(
                f"{source.name}:{line}:{len(within.decode()) + 1}: this is not UTF-8 text; "
                "give LIBSVM text, CSV, .npz or .npy"
            ) from fault
        lines = list(io.StringIO(text, newline=None))
        if reader is None:
            start = next((i for i, line in enumerate(lines) if line.strip()), None)
            if start is None:
                continue
            line_number, lines = line_number + start, lines[start:]
            reader = _CsvReader.of_first(source, line_number, lines[0], options)
            if reader.header:
                line_number, lines = line_number + 1, lines[1:]
        if any(line.strip() for line in lines):
            reader.read(lines, line_number)
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
    def of_first(
        cls, source: Source, line_number: int, line: str, options: TableOptions
    ) -> _CsvReader:
        delimiter = max(",;\t", key=line.count)
        ((_, cells),) = _records(source.name, [line], line_number, delimiter)
        first = [one_line(cell) for cell in cells]
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
        rows = []
        for record, cells in _records(builder.source, lines, line_number, self.delimiter):
            row = [self._value(j, cell.strip()) for j, cell in enumerate(cells)]
            if len(row) != len(builder.names) or None in row:
                cells = [
                    "0" if value is not None else c for c, value in zip(cells, row, strict=True)
                ]
                for column, fault in _row_faults(cells, builder):
                    raise self._fault(lines, line_number, record, column, fault)
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
        for record, cells in _records(source, lines, line_number, self.delimiter):
            for column, fault in _row_faults(cells, self.builder):
                return self._fault(lines, line_number, record, column, fault)
        return InputError(
            f"{source}:{line_number}:1: this or a later line is not CSV with numbers "
            f"({one_line(reason)}); correct the file"
        )

    def _fault(
        self, lines: list[str], line_number: int, record: int, cell: int, fault: str
    ) -> InputError:
        """The sentence on a cell, by its number, of the record that starts in line ``record``."""
        line, column = _cell_place(lines[record - line_number :], self.delimiter, cell)
        return InputError(f"{self.builder.source}:{record + line}:{column}: {fault}")


def _records(
    source: str, lines: list[str], line_number: int, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Line where it starts, and cells, of every record that has any; a quoted cell may go over
    several lines."""
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        start = line_number + reader.line_num
        try:
            cells = next(reader, None)
        except csv.Error as fault:
            raise InputError(
                f"{source}:{start}:1: this line is not CSV ({fault}); correct the line"
            ) from fault
        if cells is None:
            return
        if cells:
            yield start, cells


def _cell_place(lines: list[str], delimiter: str, cell: int) -> tuple[int, int]:
    """Line, from 0, and column, from 1, where a cell of the record at the start of ``lines``
    starts; the record's end if it has fewer cells."""
    number, quoted, at_start = 0, False, True
    for line_number, line in enumerate(lines):
        for column, character in enumerate(line.rstrip("\n"), start=1):
            if number == cell:
                return line_number, column
            if character == '"' and (quoted or at_start):
                quoted = not quoted
            at_start = character == delimiter and not quoted
            number += at_start
        if not quoted:
            return line_number, len(line.rstrip("\n")) + 1
    return len(lines) - 1, len(lines[-1].rstrip("\n")) + 1


def _row_faults(cells: list[str], builder: TableBuilder) -> Iterator[tuple[int, str]]:
    """Number of the cell, from 0, and sentence of every fault."""
    names = builder.names
    if len(cells) != len(names):
        yield (
            min(len(cells), len(names)),
            f"{len(cells)} columns where the first line has {len(names)}; correct the line",
        )
    for place, (name, cell) in enumerate(zip(names, cells, strict=False)):
        remedy = NO_NUMBER
        if place != builder.target and builder.options.encoding is None:
            remedy = f"correct it, or pass --one-hot {name} if the column holds categories"
            if cell.strip().lower() in MISSING:
                remedy = "pass --impute or remove the line"
        for fault in cell_faults(f"column {name}", cell.strip(), remedy):
            yield place, fault
