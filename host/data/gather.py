"""Rows that arrive in pieces, put together in memory or, if they are many, in a mapped file."""

from __future__ import annotations

import io
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

MEMORY_BYTES = 1 << 29
"""Feature values are kept in memory up to here, and in a temporary file beyond."""

WINDOW_VALUES = 1 << 18
"""Feature values handled at a time (2 MiB, a few times over)."""

MAX_COLUMNS = 1 << 16
"""Most features of a data set; an engine takes far fewer."""

MAX_EXPANSION, FREE_BYTES = 200, 1 << 32
"""A source becomes at most that many times its bytes once expanded, or that many bytes."""

Floats = NDArray[np.float64]


class Gatherer:
    """Collects features and labels; rows may get wider on the way, with zeros before.

    Parameters
    ----------
    source : str
        For messages.
    source_bytes : int
        Size of the source, which bounds what it may expand to.
    """

    def __init__(self, source: str, source_bytes: int) -> None:
        self._source = source
        self._most_bytes = max(MAX_EXPANSION * source_bytes, FREE_BYTES)
        self._pieces: list[Floats] = []
        self._labels: list[Floats] = []
        self._shapes: list[tuple[int, int]] = []
        self._file: IO[bytes] | None = None
        self._bytes = 0
        self.rows = 0
        self.columns = 0

    def append(self, features: NDArray[Any], labels: NDArray[Any]) -> None:
        """The next rows: features (m, d) and labels (m)."""
        self.columns = max(self.columns, features.shape[1])
        self.rows += len(features)
        if self.rows * self.columns * 8 > self._most_bytes:
            raise InputError(
                f"{self._source}: {self.rows} samples with features up to number "
                f"{self.columns - 1} take more than {self._most_bytes >> 20} MiB; select samples "
                "or features"
            )
        piece = np.array(features, dtype=np.float64, order="C")
        self._labels.append(np.array(labels, dtype=np.float64))
        self._shapes.append((len(piece), piece.shape[1]))
        self._pieces.append(piece)
        self._bytes += piece.nbytes
        if self._file is not None or self._bytes > MEMORY_BYTES:
            if self._file is None:
                self._file = temporary_file(self._source, self._bytes)
                weakref.finalize(self, self._file.close)  # what is mapped stays so
            self._write(self._file, self._pieces)
            self._pieces = []

    def finish(self) -> tuple[Floats, Floats]:
        """Features (n, d) and labels (n); the features are mapped if they are many."""
        labels = np.concatenate(self._labels) if self._labels else np.empty(0)
        shape = (self.rows, self.columns)
        if self._file is None:
            features = np.zeros(shape)
            start = 0
            for piece in self._pieces:
                features[start : start + len(piece), : piece.shape[1]] = piece
                start += len(piece)
            return features, labels
        self._file.flush()
        if all(columns == self.columns for _, columns in self._shapes):
            return np.memmap(self._file, np.float64, "r+", shape=shape), labels
        self._file.seek(0)
        with temporary_file(self._source, 8 * self.rows * self.columns) as wide:
            for rows, columns in self._shapes:
                narrow = np.frombuffer(self._file.read(8 * rows * columns)).reshape(rows, columns)
                self._write(wide, [np.pad(narrow, ((0, 0), (0, self.columns - columns)))])
            wide.flush()
            return np.memmap(wide, np.float64, "r+", shape=shape), labels

    def _write(self, file: IO[bytes], pieces: list[Floats]) -> None:
        try:
            for piece in pieces:
                file.write(piece.data)
        except OSError as fault:
            raise _no_space(self._source, str(fault.strerror)) from fault


def temporary_file(source: str, size: int) -> IO[bytes]:
    """A file without a name, for ``size`` bytes at least."""
    folder = Path(tempfile.gettempdir())
    try:
        if shutil.disk_usage(folder).free < 2 * size:
            raise _no_space(source, f"less than {2 * size >> 20} MiB are free")
        return tempfile.TemporaryFile(dir=folder)
    except OSError as fault:
        raise _no_space(source, str(fault.strerror)) from fault


def _no_space(source: str, reason: str) -> InputError:
    return InputError(
        f"{source} is larger than the memory and {tempfile.gettempdir()} has no room for it "
        f"({reason}); set TMPDIR to a folder that has"
    )


def windows(table: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """First row and rows of parts of a table (n, d) that fit in memory."""
    size = max(WINDOW_VALUES // max(table.shape[1], 1), 1)
    for start in range(0, len(table), size):
        yield start, table[start : start + size]


def select_columns(features: Floats, columns: NDArray[np.int64]) -> Floats:
    """Some columns of a table, mapped if the table is."""
    if not isinstance(features, np.memmap):
        return features[:, columns]
    gatherer = Gatherer("the data set", features.nbytes)
    for _, rows in windows(features):
        gatherer.append(rows[:, columns], np.empty(0))
    return gatherer.finish()[0]


class Guarded(io.RawIOBase):
    """The bytes that a decompressor gives, as long as they stay in proportion to the file."""

    def __init__(self, source: str, stream: IO[bytes], compressed_bytes: int) -> None:
        self._source, self._stream = source, stream
        self._left = self._most = max(MAX_EXPANSION * compressed_bytes, 1 << 26)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise InputError(
                f"{self._source} holds more than {self._most} bytes, {MAX_EXPANSION} times its "
                "size: this looks like a decompression bomb; decompress it yourself if it is not"
            )
        buffer[: len(content)] = content
        return len(content)
