"""Where a data set comes from: a file, by suffix and content, or scikit-learn's bundled sets."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .arrays import read_npy, read_npz
from .arrow import ARROW_MAGIC, PARQUET_MAGIC, read_arrow
from .checks import trainable
from .csv import read_csv
from .dataset import Dataset
from .libsvm_reader import is_libsvm, read_libsvm
from .sources import Source, open_source
from .tables import TableOptions

BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")
"""What may follow ``sklearn:``; with more than two classes, the labels are the class numbers."""

NPZ_MAGIC, NPY_MAGIC = b"PK\x03\x04", b"\x93NUMPY"

BINARY = {
    ".npz": "a NumPy file; save it again with numpy.savez",
    ".npy": "a NumPy file; save it again with numpy.save",
    ".parquet": "a Parquet file; save it again",
    ".arrow": "an Arrow file; save it again in the file format",
    ".feather": "an Arrow file; save it again in the file format",
}
"""What a file with this suffix must be, unlike text."""


def read_dataset(
    source: str,
    target: str | None = None,
    drop_constant: bool = False,
    one_hot: tuple[str, ...] = (),
    impute: bool = False,
    sample_weight: str | None = None,
) -> Dataset:
    """Read a data set and check that it can be trained on.

    What is larger than `host.data.gather.MEMORY_BYTES` is mapped from a temporary file.

    Parameters
    ----------
    source : str
        ``sklearn:NAME``, or a file, perhaps compressed (gzip, bzip2, xz): LIBSVM text (.svm,
        .libsvm), CSV (.csv, .tsv), Parquet, Arrow, .npy with one table, .npz with ``X_train``,
        ``y_train`` and perhaps ``X_test``, ``y_test``, or with ``X``, ``y``, or with a SciPy
        sparse matrix. A text file with another suffix is judged by its first line.
    target : str, optional
        Column with the labels of a table (CSV, Parquet, Arrow, .npy, sparse): its name, or its
        index from 0 (from the end if negative). The last one if not given.
    drop_constant : bool
        Leave out features that are the same in every training sample; otherwise they are an error.
    one_hot : tuple of str
        Columns of a CSV, Parquet or Arrow file that hold categories: each becomes a feature.
    impute : bool
        Fill in missing values of such a file, see `host.data.tables`.
    sample_weight : str, optional
        Column that will be taken for weights (`host.codes.sample_weights.take_weights`), so that it
        may be constant.

    Raises
    ------
    InputError
        If it cannot be read or trained on.
    """
    options = TableOptions(target=target, one_hot=one_hot, impute=impute)
    return trainable(source, read_samples(source, options), drop_constant, sample_weight)


def read_samples(source: str, options: TableOptions) -> Dataset:
    """Read a data set of any size and content, as `read_dataset` does, to predict on it.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    target, labelled = options.target, options.labelled
    if source.startswith("sklearn:"):
        dataset, takes = _read_bundled(source.removeprefix("sklearn:")), ""
    else:
        with open_source(source) as opened:
            dataset, takes = _read_file(opened, options)
    if target is not None and not takes:
        raise InputError(
            f"{source} keeps its labels apart from its features; leave out --target, which is for "
            "tables (CSV, Parquet, Arrow, .npy)"
        )
    if not labelled and takes != "columns":
        raise InputError(
            f"{source} has no named columns, and labels in a place of its own; leave out "
            "--unlabelled, which is for CSV, Parquet and Arrow files"
        )
    if (options.one_hot or options.impute) and takes != "columns":
        raise InputError(
            f"{source} has no named columns; leave out --one-hot and --impute, which are for CSV, "
            "Parquet and Arrow files"
        )
    return dataset


def _read_bundled(name: str) -> Dataset:
    if name not in BUNDLED:
        raise InputError(
            f"sklearn:{name} is not among the bundled data sets; use one of {', '.join(BUNDLED)}"
        )
    from sklearn import datasets as bundled  # takes as long as the rest of a start

    data = getattr(bundled, f"load_{name}")()
    return Dataset(
        name=name,
        features=data.data.astype(np.float64),
        labels=data.target.astype(np.float64),
        feature_names=tuple(map(str, data.feature_names)),
    )


def _read_file(source: Source, options: TableOptions) -> tuple[Dataset, str]:
    """The data set, and whether the file is a table ("target") with named columns ("columns")."""
    start = source.peek(1 << 16)
    if start.startswith(NPZ_MAGIC):
        dataset, is_table = read_npz(source, options.target)
        return dataset, "target" if is_table else ""
    if start.startswith(NPY_MAGIC):
        return read_npy(source, options.target), "target"
    if start.startswith((PARQUET_MAGIC, ARROW_MAGIC)):
        return read_arrow(source, options), "columns"
    if source.suffix in BINARY:
        raise InputError(f"{source.name} (byte 0) is not {BINARY[source.suffix]}")
    table = source.suffix in (".csv", ".tsv")
    if source.suffix in (".svm", ".libsvm") or (not table and is_libsvm(start)):
        return read_libsvm(source), ""
    return read_csv(source, options), "columns"
