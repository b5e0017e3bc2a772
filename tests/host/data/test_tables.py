"""Named columns: categories, missing values, Parquet and Arrow; sparse matrices; compression."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet
from scipy import sparse

from zipsgd.host.data import gather, sources
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.errors import InputError

CSV = "colour,size,kind,y\nred,1.5,a,1\nblue,2,b,2\nred,3,a,3\ngreen,4,b,5\n"
GAPS = "colour,size,kind,y\nred,?,a,1\n,2,b,2\nred,3,NA,3\ngreen,4,b,5\n"
NUMBERS = np.array([[1.5, 0, -2, 1], [0, 4, 1e-3, -1], [7, 0.5, 0, -1], [3, 1, 1, 1]])
LIBSVM = "+1 1:1.5 3:-2\n-1 2:4 3:1e-3\n-1 1:7 2:.5\n1 1:3 2:1 3:1\n"


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def columns(**changes: Any) -> pa.Table:
    full = {
        "colour": ["red", "blue", "red", "green"],
        "size": [1.5, 2.0, 3.0, 4.0],
        "kind": pa.array(["a", "b", "a", "b"]).dictionary_encode(),
        "flag": [True, False, False, True],
        "y": pa.array([1, 2, 3, 5], pa.int8()),
    }
    return pa.table(full | changes)


def arrow_file(folder: Path, table: pa.Table, name: str) -> str:
    path = str(folder / name)
    if name.endswith(".parquet"):
        parquet.write_table(table, path)
    elif name.endswith(".feather"):
        feather.write_feather(table, path)
    else:
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    return path


def sparse_npz(matrix: Any) -> bytes:
    file = io.BytesIO()
    sparse.save_npz(file, matrix)
    return file.getvalue()


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.svm", LIBSVM.encode()),
        ("a.csv", b"\n".join(b",".join(b"%r" % x for x in row) for row in NUMBERS.tolist())),
        ("a.npy", npy(NUMBERS)),
        ("a.npz", npz(X=NUMBERS[:, :3], y=NUMBERS[:, 3])),
        ("a.npz", sparse_npz(sparse.csc_matrix(NUMBERS))),
    ],
)
def test_compressed_files(tmp_path: Path, compress: Any, name: str, content: bytes) -> None:
    suffix = {gzip.compress: ".gz", bz2.compress: ".bz2", lzma.compress: ".xz"}[compress]
    dataset = read_dataset(write(tmp_path, name + suffix, compress(content)))
    assert np.array_equal(dataset.features, NUMBERS[:, :3])
    assert np.array_equal(dataset.labels, NUMBERS[:, 3])


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
def test_a_sparse_matrix_is_a_table(tmp_path: Path, form: str) -> None:
    source = write(tmp_path, "a.npz", sparse_npz(sparse.coo_matrix(NUMBERS).asformat(form)))
    dataset = read_dataset(source, "0")
    assert np.array_equal(dataset.features, NUMBERS[:, 1:])
    assert np.array_equal(dataset.labels, NUMBERS[:, 0])


@pytest.mark.parametrize("name", ["a.parquet", "a.feather", "a.arrow"])
def test_categories_become_a_feature_each(tmp_path: Path, name: str) -> None:
    source = arrow_file(tmp_path, columns(), name)
    dataset = read_dataset(source, "y", one_hot=("colour", "2"))
    assert dataset.feature_names == (
        *("colour=blue", "colour=green", "colour=red", "size", "kind=a", "kind=b", "flag"),
    )
    assert dataset.features.tolist() == [
        [0, 0, 1, 1.5, 1, 0, 1],
        [1, 0, 0, 2, 0, 1, 0],
        [0, 0, 1, 3, 1, 0, 0],
        [0, 1, 0, 4, 0, 1, 1],
    ]
    assert np.array_equal(dataset.labels, [1, 2, 3, 5])


def test_categories_of_a_csv_file(tmp_path: Path) -> None:
    source = write(tmp_path, "a.csv", CSV)
    dataset = read_dataset(source, one_hot=("colour", "kind"))
    assert dataset.features[:, :3].tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert dataset.feature_names[3:] == ("size", "kind=a", "kind=b")
    with pytest.raises(InputError, match=r"a\.csv:2:1: column colour is 'red', not a number"):
        read_dataset(source)


def test_missing_values_become_the_median_and_the_most_frequent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    source = write(tmp_path, "a.csv", GAPS)
    dataset = read_dataset(source, one_hot=("colour", "kind"), impute=True)
    assert dataset.feature_names[:3] == ("colour=green", "colour=red", "size")
    assert dataset.features.tolist() == [
        [0, 1, 3, 1, 0],
        [0, 1, 2, 0, 1],
        [0, 1, 3, 0, 1],
        [1, 0, 4, 0, 1],
    ]
    assert "1 missing values of size became 3, the median" in caplog.text
    with pytest.raises(InputError, match=r"a\.csv:2:5: column size is '\?', not a number"):
        read_dataset(source, one_hot=("colour", "kind"))


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_missing_values_of_a_parquet_file(tmp_path: Path, name: str) -> None:
    table = columns(size=[None, 2.0, 3.0, 4.0], flag=[True, None, True, False])
    source = arrow_file(tmp_path, table.drop(["colour", "kind"]), name)
    with pytest.raises(InputError, match=r"row 0 \(from 0\) of column size is missing; pass --imp"):
        read_dataset(source)
    assert read_dataset(source, impute=True).features.tolist() == [[3, 1], [2, 1], [3, 1], [4, 0]]


BAD_TABLES = [
    (columns(), {}, "column colour holds string, not numbers; pass --one-hot colour"),
    (columns(), {"target": "colour"}, "column colour holds string, not numbers; encode it"),
    (columns(), {"target": "price"}, "there is no column price; name one of colour, size"),
    (columns(), {"one_hot": ("price",)}, "there is no column price"),
    (columns(), {"one_hot": ("y",)}, "column y holds the labels and cannot be one-hot"),
    (columns(size=[1, 2, 3, np.inf]), {}, r"row 3 \(from 0\) of column size is inf"),
    (columns(size=[1, 2, 3, np.nan]), {}, r"row 3 \(from 0\) of column size is missing"),
    (columns(y=[1, None, 3, 4]), {"impute": True}, r"row 1 \(from 0\) of column y is missing; rem"),
    (columns(size=[[1], [2], [3], [4]]), {}, r"column size holds list<.*>, not numbers"),
    (columns(size=pa.array([1, 2, 3, 4], pa.timestamp("s"))), {}, "column size holds timestamp"),
    (columns(size=pa.nulls(4)), {"impute": True}, "column size has no values at all; remove"),
    (columns().slice(0, 0), {}, "has no samples"),
    (columns().slice(0, 1), {}, "has one sample"),
    (columns().select([]), {}, "has no columns; give it features and labels"),
    (columns().select(["y"]), {"one_hot": ()}, "has labels but no features"),
]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize(("table", "options", "message"), BAD_TABLES)
def test_bad_tables_get_one_sentence(
    tmp_path: Path, name: str, table: pa.Table, options: dict[str, Any], message: str
) -> None:
    if "one_hot" not in options and "string" not in message and "price" not in message:
        table = table.drop([x for x in ("colour", "kind") if x in table.column_names])
    source = arrow_file(tmp_path, table, name)
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(source, **options)
    assert str(caught.value).startswith(source) and "\n" not in str(caught.value)


def member(name: str, content: bytes, claim: int | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        archive.writestr("y.npy", npy(np.zeros(3)))
        if claim:
            archive.infolist()[0].file_size = claim
    return file.getvalue()


def npy_header(shape: str, kind: str = "<f8") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def csr(**changes: Any) -> bytes:
    parts = {
        "format": b"csr",
        "shape": [2, 3],
        "data": [1.0, 2.0],
        "indices": np.array([0, 2], np.int32),
        "indptr": np.array([0, 1, 2], np.int32),
    }
    kept = {key: value for key, value in (parts | changes).items() if value is not None}
    return npz(**kept)


BAD_FILES = [
    # Sizes that a header states.
    ("a.npy", npy_header("(1000000000000, 4)"), r"promises 32000000000128 bytes and there are 128"),
    ("a.npy", npy_header("(10, -1)"), r"has shape \(10, -1\)"),
    ("a.npy", npy_header("(1, 2)") + b"\0" * 15, r"promises 144 bytes and there are 143"),
    ("a.npy", npy_header("(1, 2)") + b"\0" * 17, r"promises 144 bytes and there are 145"),
    ("a.npy", npy_header("'x'"), r"damaged or cut short"),
    ("a.npy", npy_header("(1, 2)", "<Q9"), r"damaged or cut short"),
    ("a.npy", npy_header("(2, 2)", "|O"), r"is a pickled array"),
    ("a.npy", b"\x93NUMPY\x09\x00" + b"\0" * 30, r"damaged or cut short"),
    ("a.npy", b"\x93NUMPY", r"damaged or cut short"),
    ("a.npy", npy_header("(2, 100000)", "|u1") + b"\1" * 200000, "100000 columns, more than 65536"),
    (
        "a.npz",
        member("X.npy", npy_header("(1000000000000, 4)")),
        r":X is damaged .* promises 32000",
    ),
    ("a.npz", member("X.npy", b"\0" * 80_000_000), "looks like a decompression bomb"),
    ("a.npz", member("X.npy", npy(NUMBERS), 10**15), "looks like a decompression bomb"),
    ("a.npz", member("X.npy", b"no array"), r":X is damaged or cut short"),
    ("a.npz", member("X.npy", b""), r":X is damaged or cut short"),
    # Sparse matrices.
    ("a.npz", csr(format=b"bsr"), r"sparse array of format 'bsr' and shape \(2, 3\); save"),
    ("a.npz", csr(format=7), r"damaged or cut short|sparse array of format"),
    ("a.npz", csr(format=[b"csr"]), r"sparse array of format ''"),
    ("a.npz", csr(shape=[2]), r"sparse array of format 'csr' and shape \(2,\)"),
    ("a.npz", csr(shape=[2, 10**9]), r"1000000000 columns, more than 65536"),
    ("a.npz", csr(shape=[-1, 3]), r"damaged or cut short"),
    ("a.npz", csr(shape=["a", "b"]), r"damaged or cut short"),
    ("a.npz", csr(indices=np.array([0, 3], np.int32)), r"damaged or cut short"),
    ("a.npz", csr(indices=np.array([0, -1], np.int32)), r"damaged or cut short"),
    ("a.npz", csr(indptr=np.array([0, 2, 1], np.int32)), r"damaged or cut short"),
    ("a.npz", csr(indptr=np.array([0, 2], np.int32)), r"damaged or cut short"),
    ("a.npz", csr(indptr=None), r"damaged or cut short"),
    ("a.npz", csr(data=[1j, 2]), r"holds complex128, not real numbers"),
    ("a.npz", csr(data=[1.0]), r"damaged or cut short"),
    ("a.npz", csr(data=np.array([1, None])), r":data is a pickled array"),
    ("a.npz", csr(data=[1.0, np.nan]), r"row 1 column 2 \(from 0\) is nan"),
    ("a.npz", csr(shape=[10**12, 3]), r"damaged or cut short"),
    # Compression.
    ("a.svm.bz2", bz2.compress(LIBSVM.encode())[:-5], r"damaged or cut short"),
    ("a.svm.xz", lzma.compress(LIBSVM.encode())[:-5], r"damaged or cut short"),
    ("a.svm.xz", b"\xfd7zXZ\0" + b"\1" * 40, r"damaged or cut short"),
    ("a.csv.bz2", b"BZh9" + b"\1" * 40, r"damaged or cut short"),
    ("a.npy.gz", gzip.compress(npy(NUMBERS), mtime=0)[:-9], r"damaged or cut short"),
    (
        "a.svm.gz",
        gzip.compress((b"#" * 4000 + b"\n") * 20_000, mtime=0),
        "looks like a decompression bomb",
    ),
    ("a.csv.xz", lzma.compress(b"\0" * 80_000_000), "looks like a decompression bomb|bytes; give"),
    ("a.svm.bz2", bz2.compress(b""), r"is empty"),
    # Parquet and Arrow.
    ("a.parquet", b"", r"is empty"),
    ("a.parquet", b"1,2\n", r"\(byte 0\) is not a Parquet file"),
    ("a.parquet", b"PAR1", r"damaged or cut short"),
    ("a.parquet", b"PAR1" + b"\0" * 50 + b"PAR1", r"damaged or cut short"),
    ("a.arrow", b"ARROW1", r"damaged or cut short"),
    ("a.feather", b"FEA1 old", r"\(byte 0\) is not an Arrow file"),
    # Text.
    ("a.svm", "# only\n# comments\n", r"is empty"),
    ("a.svm", "1 1:2\n1 70000:1\n", r"a\.svm:2:3: feature 70000 is more than this program takes"),
    ("a.csv", "\n\n \n", r"has no text in it"),
    ("a.csv", ",".join("1" * 70_000) + "\n", r"has 70000 columns, more than 65536"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_bad_files_get_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    source = write(tmp_path, name, content)
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(source)
    said = str(caught.value)
    assert said.startswith(source) and "\n" not in said and len(said) < 600
    assert "; " in said, "what to do about it?"
    if "damaged" in said:
        assert re.search(r"byte \d+", said), "where?"


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PIECE_BYTES", 100)
    monkeypatch.setattr(sources, "MAX_LINE_BYTES", 1000)
    source = write(tmp_path, "a.csv", "1,2\n3,4\n" + "5" * 2000)
    with pytest.raises(InputError, match=r"a\.csv:3: a line has more than 1000 bytes"):
        read_dataset(source)


def test_too_many_categories(tmp_path: Path) -> None:
    lines = "".join(f"c{i},{i}\n" for i in range(1001))
    with pytest.raises(InputError, match="column a has more than 1000 categories; leave it out"):
        read_dataset(write(tmp_path, "a.csv", "a,b\n" + lines), one_hot=("a",))


@pytest.mark.parametrize("options", [{"one_hot": ("0",)}, {"impute": True}])
@pytest.mark.parametrize("name", ["a.svm", "a.npy", "sklearn:iris"])
def test_named_columns_where_there_are_none(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    content = npy(NUMBERS) if name == "a.npy" else LIBSVM
    source = name if ":" in name else write(tmp_path, name, content)
    with pytest.raises(InputError, match="has no named columns; leave out --one-hot and --impute"):
        read_dataset(source, **options)


def test_rows_that_expand_out_of_proportion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "FREE_BYTES", 1 << 20)
    source = write(tmp_path, "a.svm", "1\n" * 1000 + "2 60000:1\n")
    with pytest.raises(InputError, match=r"features up to number 60000 take more than 1 MiB"):
        read_dataset(source)


WHOLE = {
    "a.parquet": lambda folder: Path(arrow_file(folder, columns(), "b.parquet")).read_bytes(),
    "a.arrow": lambda folder: Path(arrow_file(folder, columns(), "b.arrow")).read_bytes(),
    "a.npz": lambda folder: sparse_npz(sparse.csr_matrix(NUMBERS)),
    "a.npy": lambda folder: npy(NUMBERS),
    "a.csv": lambda folder: GAPS.encode(),
    "a.svm.xz": lambda folder: lzma.compress(LIBSVM.encode()),
    "a.svm.bz2": lambda folder: bz2.compress(LIBSVM.encode()),
}


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_gets_a_traceback(tmp_path: Path, name: str, data: st.DataObject) -> None:
    content = bytearray(WHOLE[name](tmp_path))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    source = write(tmp_path, name, bytes(content[: cut or None]))
    tables = name in ("a.parquet", "a.arrow", "a.csv")
    try:
        read_dataset(source, one_hot=("0", "2") if tables else (), impute=tables)
    except InputError as fault:
        assert str(fault).startswith(source) and "\n" not in str(fault)
