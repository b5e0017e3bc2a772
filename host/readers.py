"""Where a data set comes from: a file, by suffix and content, or scikit-learn's bundled sets."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets as bundled

from .checks import LARGEST, listed, one_line, table_dataset, trainable, usable, value_fault
from .dataset import Dataset, Floats
from .errors import InputError
from .text_readers import is_libsvm, read_csv, read_libsvm

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")
"""What may follow ``sklearn:``; with more than two classes, the labels are the class numbers."""

GZIP_MAGIC, NPZ_MAGIC, NPY_MAGIC = b"\x1f\x8b", b"PK\x03\x04", b"\x93NUMPY"

DAMAGE = (EOFError, OSError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What the libraries raise on an archive that is damaged, cut short or encrypted."""


def read_dataset(source: str, target: str | None = None, drop_constant: bool = False) -> Dataset:
    """Read a data set and check that it can be trained on.

    Parameters
    ----------
    source : str
        ``sklearn:NAME``, or a file, perhaps gzipped: LIBSVM text (.svm, .libsvm), CSV (.csv, .tsv),
        .npz with ``X_train``, ``y_train`` and perhaps ``X_test``, ``y_test``, or with ``X``, ``y``,
        or .npy with one table. A text file with another suffix is judged by its first line.
    target : str, optional
        Column with the labels of a CSV or .npy file: its name, or its index from 0 (from the end if
        negative). The last one if not given.
    drop_constant : bool
        Leave out features that are the same in every training sample; otherwise they are an error.

    Raises
    ------
    InputError
        If it cannot be read or trained on.
    """
    if source.startswith("sklearn:"):
        dataset, is_table = _read_bundled(source.removeprefix("sklearn:")), False
    else:
        dataset, is_table = _read_file(source, target)
    if target is not None and not is_table:
        raise InputError(
            f"{source} keeps its labels apart from its features; leave out --target, which is for "
            "CSV and .npy files"
        )
    return trainable(source, dataset, drop_constant)


def _read_bundled(name: str) -> Dataset:
    if name not in BUNDLED:
        raise InputError(
            f"sklearn:{name} is not among the bundled data sets; use one of {', '.join(BUNDLED)}"
        )
    data = getattr(bundled, f"load_{name}")()
    return Dataset(
        name=name,
        features=data.data.astype(np.float64),
        labels=data.target.astype(np.float64),
        feature_names=tuple(map(str, data.feature_names)),
    )


def _read_file(source: str, target: str | None) -> tuple[Dataset, bool]:
    """The data set, and whether the file is a table, of which ``target`` can be a column."""
    content = _read_bytes(source)
    suffix = Path(source.removesuffix(".gz")).suffix.lower()
    if content.startswith(NPZ_MAGIC):
        return _read_npz(source, content), False
    if content.startswith(NPY_MAGIC):
        return _read_npy(source, content, target), True
    if suffix in (".npz", ".npy"):
        raise InputError(f"{source} is not a NumPy file; save it again with numpy.savez")
    table = suffix in (".csv", ".tsv")
    if suffix in (".svm", ".libsvm") or (not table and is_libsvm(content)):
        return read_libsvm(source, content), False
    return read_csv(source, content, target), True


def _read_bytes(source: str) -> bytes:
    """The content of a file, decompressed if it is gzipped."""
    try:
        content = Path(source).read_bytes()
    except FileNotFoundError as fault:
        raise InputError(f"{source}: there is no such file; check the path") from fault
    except IsADirectoryError as fault:
        raise InputError(f"{source} is a directory; name a file in it") from fault
    except (OSError, ValueError) as fault:
        raise InputError(f"{source} cannot be read ({fault}); check the path") from fault
    if content.startswith(GZIP_MAGIC):
        try:
            content = gzip.decompress(content)
        except DAMAGE as fault:
            raise _damaged(source, fault) from fault
    if not content.strip():
        raise InputError(f"{source} is empty; give it at least two samples")
    return content


def _damaged(where: str, fault: Exception) -> InputError:
    reason = one_line(str(fault))
    return InputError(f"{where} is damaged or cut short ({reason}); fetch or save it again")


def _read_npz(source: str, content: bytes) -> Dataset:
    try:
        archive = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, *DAMAGE) as fault:
        raise _damaged(source, fault) from fault
    with archive:
        keys = set(archive.keys())
        suffix = "_train" if {"X_train", "y_train"} <= keys else ""
        if not {f"X{suffix}", f"y{suffix}"} <= keys or ("X_test" in keys) != ("y_test" in keys):
            raise InputError(
                f"{source} holds {listed(sorted(keys))}; it needs X_train and y_train, with X_test "
                "and y_test if there is a test part, or X and y; save it again under these names"
            )
        test = _npz_part(source, archive, "_test") if "X_test" in keys else None
        return replace(_npz_part(source, archive, suffix), test=test)


def _npz_part(source: str, archive: Any, suffix: str) -> Dataset:
    features = _numbers(f"{source}:X{suffix}", lambda: archive[f"X{suffix}"])
    labels = _numbers(f"{source}:y{suffix}", lambda: archive[f"y{suffix}"])
    if labels.shape[1:] == (1,):
        labels = labels[:, 0]
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise InputError(
            f"{source}: X{suffix} has shape {features.shape} and y{suffix} {labels.shape}; "
            "save them as (samples, features) and (samples,)"
        )
    names = tuple(str(j) for j in range(features.shape[1]))
    return Dataset(Path(source).name, features, labels, names)


def _read_npy(source: str, content: bytes, target: str | None) -> Dataset:
    table = _numbers(source, lambda: np.load(io.BytesIO(content), allow_pickle=False))
    if table.ndim != 2:
        raise InputError(f"{source} has shape {table.shape}; save a table, one sample a row")
    return table_dataset(source, table, [str(j) for j in range(table.shape[1])], target)


def _numbers(where: str, load: Callable[[], Any]) -> Floats:
    """The array that ``load`` gives, as float64, if it holds usable numbers."""
    try:
        array = np.asarray(load())
    except DAMAGE as fault:
        raise _damaged(where, fault) from fault
    except ValueError as fault:
        if "allow_pickle" not in str(fault):
            raise _damaged(where, fault) from fault
        raise InputError(
            f"{where} is a pickled array, which could run code and is never loaded; "
            "save it as numbers (float32, int8, ...)"
        ) from fault
    if array.dtype.kind not in "fiub":
        raise InputError(f"{where} holds {array.dtype}, not real numbers; convert it first")
    values: Floats = array.astype(np.float64)
    if not usable(values):
        index = np.argwhere(~(np.abs(values) <= LARGEST))[0]
        place = " ".join(f"{axis} {i}" for axis, i in zip(("row", "column"), index, strict=False))
        raise InputError(f"{where}: {value_fault(f'{place} (from 0)', values[tuple(index)])}")
    return values
