"""NumPy's and SciPy's files, without pickle; no size that a header states is believed unchecked."""

from __future__ import annotations

import math
import tokenize
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .checks import LARGEST, listed, target_column, usable, value_fault
from .dataset import Dataset, Floats
from .gather import MAX_COLUMNS, MAX_EXPANSION, MEMORY_BYTES, WINDOW_VALUES, Gatherer
from .sources import DAMAGE, Source, damage_of, damaged

BAD_HEADER = (SyntaxError, RecursionError, tokenize.TokenError)
"""What NumPy raises on a header that is not Python's notation of a dictionary."""

SPARSE_KEYS = {"data", "format", "shape"}


class StoredArray:
    """An array in .npy format on a stream, its header checked against the bytes that are there.

    Parameters
    ----------
    where : str
        For messages.
    stream
        At the start of the array.
    size : int
        Bytes on it.
    """

    def __init__(self, where: str, stream: IO[bytes], size: int) -> None:
        self.where, self._stream = where, stream
        try:
            version = np.lib.format.read_magic(stream)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                version, np.lib.format.read_array_header_2_0
            )
            self.shape, self._fortran, self.dtype = read(stream)
            header_bytes = stream.tell()
        except (ValueError, TypeError, KeyError, *BAD_HEADER, *DAMAGE) as fault:
            raise damaged(where, fault, min(stream.tell(), size)) from fault
        if self.dtype.hasobject:
            raise InputError(
                f"{where} is a pickled array, which could run code and is never loaded; "
                "save it as numbers (float32, int8, ...)"
            )
        if min(self.shape, default=0) < 0:
            raise InputError(f"{where} has shape {self.shape}; save it again")
        stated = header_bytes + math.prod(self.shape) * self.dtype.itemsize
        if stated != size:
            raise InputError(
                f"{where} is damaged or cut short (its header, byte 0, promises {stated} bytes and "
                f"there are {size}); fetch or save it again"
            )

    def numeric(self) -> StoredArray:
        """Itself; `InputError` unless it holds real numbers."""
        if self.dtype.kind not in "fiub":
            raise InputError(f"{self.where} holds {self.dtype}, not real numbers; convert it first")
        return self

    def pieces(self) -> Iterator[NDArray[Any]]:
        """Rows from the first to the last, a window at a time."""
        if not self.shape or (self._fortran and len(self.shape) > 1):
            yield self.whole()
            return
        row_values = math.prod(self.shape[1:])
        rows = max(WINDOW_VALUES // max(row_values, 1), 1)
        for start in range(0, self.shape[0], rows):
            count = min(rows, self.shape[0] - start)
            with damage_of(self.where, self._stream):
                content = self._stream.read(count * row_values * self.dtype.itemsize)
            if len(content) != count * row_values * self.dtype.itemsize:
                fault = EOFError(f"it ends in row {start}")
                raise damaged(self.where, fault, self._stream.tell())
            yield np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])

    def whole(self) -> NDArray[Any]:
        """All of it, in memory."""
        size = math.prod(self.shape) * self.dtype.itemsize
        if size > 2 * MEMORY_BYTES:
            raise InputError(
                f"{self.where} takes {size} bytes in column order, more than is read at once; save "
                "it in C order (numpy.ascontiguousarray)"
            )
        with damage_of(self.where, self._stream):
            content = self._stream.read(size)
        if len(content) != size:
            raise damaged(self.where, EOFError("it ends too early"), self._stream.tell())
        order: Any = "F" if self._fortran else "C"
        return np.frombuffer(content, self.dtype).reshape(self.shape, order=order)


def read_npz(source: Source, target: str | None) -> tuple[Dataset, bool]:
    """The data set, and whether it is a table, of which ``target`` can be a column."""
    file = source.seekable()
    try:
        archive = zipfile.ZipFile(file)
    except (ValueError, NotImplementedError, *DAMAGE) as fault:
        raise damaged(source.name, fault, file.seek(0, 2)) from fault
    with archive:
        for member in archive.infolist():
            if member.file_size > max(MAX_EXPANSION * member.compress_size, 1 << 26):
                raise InputError(
                    f"{source.name}:{member.filename[:40]!r} claims {member.file_size} bytes in "
                    f"{member.compress_size}: this looks like a decompression bomb; save it "
                    "again without compression if it is not"
                )
        keys = {name.removesuffix(".npy") for name in archive.namelist()}
        if keys >= SPARSE_KEYS:
            return _read_sparse(source, archive, target), True
        suffix = "_train" if {"X_train", "y_train"} <= keys else ""
        if not {f"X{suffix}", f"y{suffix}"} <= keys or ("X_test" in keys) != ("y_test" in keys):
            raise InputError(
                f"{source.name} holds {listed(sorted(keys))}; it needs X_train and y_train, with "
                "X_test and y_test if there is a test part, or X and y; save it again under these "
                "names"
            )
        test = _part(source, archive, "_test") if "X_test" in keys else None
        return replace(_part(source, archive, suffix), test=test), False


def _member(source: Source, archive: zipfile.ZipFile, key: str) -> StoredArray:
    where = f"{source.name}:{key}"
    try:
        info = archive.getinfo(f"{key}.npy" if f"{key}.npy" in archive.namelist() else key)
        return StoredArray(where, archive.open(info), info.file_size)
    except (ValueError, KeyError, NotImplementedError, *DAMAGE) as fault:
        raise damaged(where, fault, source.size) from fault


def _part(source: Source, archive: zipfile.ZipFile, suffix: str) -> Dataset:
    features = _member(source, archive, f"X{suffix}").numeric()
    labels = _member(source, archive, f"y{suffix}").numeric()
    label_shape = labels.shape[:1] if labels.shape[1:] == (1,) else labels.shape
    if len(features.shape) != 2 or label_shape != features.shape[:1]:
        raise InputError(
            f"{source.name}: X{suffix} has shape {features.shape} and y{suffix} {labels.shape}; "
            "save them as (samples, features) and (samples,)"
        )
    _check_columns(features.where, features.shape[1])
    gatherer = Gatherer(features.where, source.size)
    for rows in _checked(features.where, features.pieces()):
        gatherer.append(rows, np.empty(0))
    y = np.concatenate([np.empty((0, *labels.shape[1:])), *_checked(labels.where, labels.pieces())])
    names = tuple(str(j) for j in range(features.shape[1]))
    return Dataset(Path(source.name).name, gatherer.finish()[0], y.reshape(-1), names)


def read_npy(source: Source, target: str | None) -> Dataset:
    """One table, of which ``target`` is a column."""
    file = source.seekable()
    size = file.seek(0, 2)
    file.seek(0)
    stored = StoredArray(source.name, file, size).numeric()
    if len(stored.shape) != 2:
        raise InputError(f"{source.name} has shape {stored.shape}; save a table, one sample a row")
    return _table(source, stored.pieces(), stored.shape[1], target)


def _read_sparse(source: Source, archive: zipfile.ZipFile, target: str | None) -> Dataset:
    """A matrix of `scipy.sparse.save_npz`, one of whose columns holds the labels."""
    from scipy import sparse

    keys = {name.removesuffix(".npy") for name in archive.namelist()}
    arrays = {}
    for key in sorted(keys & (SPARSE_KEYS | {"indices", "indptr", "row", "col"})):
        arrays[key] = _member(source, archive, key).whole()
    try:
        kind = bytes(arrays["format"].item()).decode() if arrays["format"].shape == () else ""
        shape = tuple(int(size) for size in arrays["shape"].ravel())
        if len(shape) != 2 or kind not in ("csr", "csc", "coo"):
            raise InputError(
                f"{source.name} holds a sparse array of format {kind[:20]!r} and shape {shape}; "
                "save a matrix as csr, csc or coo"
            )
        _check_columns(source.name, shape[1])
        if kind == "coo":
            places = (arrays["row"], arrays["col"])
            matrix: Any = sparse.coo_matrix((arrays["data"], places), shape=shape).tocsr()
        else:
            form = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}[kind]
            matrix = form((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)
            matrix.check_format(full_check=True)
            matrix = matrix.tocsr()
    except (KeyError, ValueError, TypeError, IndexError, OverflowError, MemoryError) as fault:
        raise damaged(source.name, fault, source.size) from fault
    if matrix.dtype.kind not in "fiub":
        raise InputError(f"{source.name} holds {matrix.dtype}, not real numbers; convert it first")
    size = max(WINDOW_VALUES // max(shape[1], 1), 1)
    rows = (matrix[start : start + size].toarray() for start in range(0, shape[0], size))
    return _table(source, rows, shape[1], target)


def _table(
    source: Source, pieces: Iterator[NDArray[Any]], columns: int, target: str | None
) -> Dataset:
    _check_columns(source.name, columns)
    names = [str(j) for j in range(columns)]
    column = target_column(source.name, names, target)
    gatherer = Gatherer(source.name, source.size)
    for rows in _checked(source.name, pieces):
        gatherer.append(np.delete(rows, column, axis=1), rows[:, column])
    features, labels = gatherer.finish()
    if not len(labels):
        features = np.empty((0, columns - 1))
    kept = (*names[:column], *names[column + 1 :])
    return Dataset(Path(source.name).name, features, labels, kept)


def _check_columns(where: str, columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise InputError(f"{where} has {columns} columns, more than {MAX_COLUMNS}; select features")


def _checked(where: str, pieces: Iterator[NDArray[Any]]) -> Iterator[Floats]:
    """As float64, if all of them can be trained on."""
    start = 0
    for piece in pieces:
        values: Floats = piece.astype(np.float64)
        if not usable(values):
            index = np.argwhere(~(np.abs(values) <= LARGEST))[0]
            value = values[tuple(index)]
            if index.size:
                index[0] += start
            place = " ".join(
                f"{axis} {i}" for axis, i in zip(("row", "column"), index, strict=False)
            )
            raise InputError(f"{where}: {value_fault(f'{place} (from 0)', value)}")
        start += len(piece) if piece.ndim else 1
        yield values
