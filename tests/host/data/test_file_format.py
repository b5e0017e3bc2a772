"""Every format gives the same data set; every kind of bad input gives one sentence."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zipsgd.host.data.dataset import Dataset
from zipsgd.host.data.file_format import BUNDLED, read_dataset
from zipsgd.host.errors import InputError

FEATURES = np.array([[1.5, 0.0, -2.0], [0.0, 4.0, 1e-3], [7.0, 0.5, 0.0], [3.0, 1.0, 1.0]])
LABELS = np.array([1.0, -1.0, -1.0, 1.0])
TABLE = np.column_stack([FEATURES, LABELS])

LIBSVM = "+1 1:1.5 3:-2  # a comment\n-1 2:4 3:1e-3\n\n-1 1:7 2:.5\n1 1:3 2:1 3:1\n"
CSV = "1.5,0,-2,1\n0,4,1e-3,-1\n7,0.5,0,-1\n3,1,1,1\n"
HEADER = "size,age,depth,label\n"


def same(dataset: Dataset, features: Any = FEATURES, labels: Any = LABELS) -> None:
    assert dataset.features.dtype == dataset.labels.dtype == np.float64
    assert np.array_equal(dataset.features, features)
    assert np.array_equal(dataset.labels, labels)
    assert len(dataset.feature_names) == dataset.features.shape[1]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], str]:
    def write_file(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write_file


Write = Callable[[str, str | bytes], str]


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.svm", LIBSVM),
        ("a.libsvm", LIBSVM),
        ("a.txt", LIBSVM),
        ("a", LIBSVM),
        ("a.svm.gz", gzip.compress(LIBSVM.encode(), mtime=0)),
        ("a.svm", LIBSVM.replace("\n", "\r\n")),
        ("a.svm", re.sub(r"(\d):", lambda m: f"{int(m[1]) - 1}:", LIBSVM)),
        ("a.svm", LIBSVM.replace("+1 1", "+1 qid:3 1")),
        ("a.csv", CSV),
        ("a.csv", HEADER + CSV),
        ("a.csv", "\n" + HEADER + "\n" + CSV + "\n"),
        ("a.csv", "\ufeff" + HEADER + CSV.replace("\n", "\r\n")),
        ("a.csv", '"size, m",age,depth,label\n' + CSV),
        ("a.csv", (HEADER + CSV).replace(",", ";")),
        ("a.csv", (HEADER + CSV).replace(",", " , ")),
        ("a.tsv", (HEADER + CSV).replace(",", "\t")),
        ("a.txt", CSV),
        ("a.csv.gz", gzip.compress((HEADER + CSV).encode(), mtime=0)),
        ("a.npz", npz(X_train=FEATURES, y_train=LABELS)),
        ("a.npz", npz(X=FEATURES, y=LABELS.reshape(-1, 1).astype(np.int8))),
        ("a.npy", npy(TABLE)),
        ("a.npy", npy(np.asfortranarray(TABLE))),
    ],
)
def test_formats_agree(write: Write, name: str, content: str | bytes) -> None:
    dataset = read_dataset(write(name, content))
    same(dataset)
    assert dataset.name == name
    assert dataset.classification
    assert dataset.test is None


def test_features_are_named_as_the_file_counts_them(write: Write) -> None:
    assert read_dataset(write("a.svm", LIBSVM)).feature_names == ("1", "2", "3")
    assert read_dataset(write("b.svm", "1 0:1 2:1\n2 1:5\n3 2:4\n")).feature_names == (
        "0",
        "1",
        "2",
    )
    assert read_dataset(write("a.csv", CSV)).feature_names == ("0", "1", "2")
    assert read_dataset(write("a.csv", HEADER + CSV)).feature_names == ("size", "age", "depth")


@pytest.mark.parametrize(
    ("target", "column"),
    [("label", 3), ("size", 0), ("age", 1), ("2", 2), ("-1", 3), ("-4", 0), (None, 3)],
)
def test_target_picks_the_label_column(write: Write, target: str | None, column: int) -> None:
    dataset = read_dataset(write("a.csv", HEADER + CSV), target)
    same(dataset, np.delete(TABLE, column, axis=1), TABLE[:, column])
    assert "label" in dataset.feature_names or column == 3


def test_a_test_part_comes_along_and_loses_the_same_columns(write: Write) -> None:
    train = np.insert(FEATURES, 1, 5.0, axis=1)
    source = write(
        "a.npz", npz(X_train=train, y_train=LABELS, X_test=train[:2] + 1, y_test=LABELS[:2])
    )
    with pytest.raises(InputError, match=r"feature 1 is constant .* pass --drop-constant"):
        read_dataset(source)
    dataset = read_dataset(source, drop_constant=True)
    same(dataset)
    assert dataset.test is not None
    same(dataset.test, FEATURES[:2] + 1, LABELS[:2])
    assert dataset.feature_names == dataset.test.feature_names == ("0", "2", "3")


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_sets_are_fit_for_training(name: str) -> None:
    dataset = read_dataset(f"sklearn:{name}", drop_constant=name == "digits")
    assert dataset.name == name
    assert len(dataset.labels) == len(dataset.features) > 100
    assert dataset.classification == (name == "breast_cancer")


MALFORMED = [
    # LIBSVM text
    ("a.svm", "1 1:2\n1 3:1 2:1\n", r"a\.svm:2:7: feature 2 comes after 3 .* sort the line"),
    ("a.svm", "1 1:2\n1 3:1 3:1\n", r":2:7: feature 3 is there twice; keep one"),
    ("a.svm", "1 1:2\n\n# x\n-1 2:a\n", r":4:6: feature 2 is 'a', not a number; encode"),
    ("a.svm", "1 1:2\n-1 2:\n", r":2:4: '2:' is not index:value; correct"),
    ("a.svm", "1 1:2\n-1 2\n", r":2:4: '2' is not index:value; correct"),
    ("a.svm", "1 1:2\n-1 -2:1\n", r":2:4: '-2:1' is not index:value"),
    ("a.svm", "yes 1:2\n-1 2:1\n", r":1:1: the label is 'yes', not a number; encode"),
    ("a.svm", "1,2 1:2\n-1 2:1\n", r":1:1: the label is '1,2'"),
    ("a.svm", "1 1:2\nnan 2:1\n", r":2:1: the label is nan"),
    ("a.svm", "1 1:2\n-1 2:nan\n", r":2:6: feature 2 is nan, .* fill it in or remove"),
    ("a.svm", "1 1:2\n-1 2:-inf\n", r":2:6: feature 2 is -inf"),
    ("a.svm", "1 1:2\n-1 2:1e200\n", r":2:6: feature 2 is 1e\+200"),
    ("a.svm", "1 1:2\n-1 99999999999999999999:1\n", r":2:4: feature 9+ is out of range"),
    (
        "a.svm",
        "1 1:2\n-1 2000000000:1\n",
        r":2:4: feature 2000000000 is more than this program takes",
    ),
    ("a.svm", "1 1:2\n-1 " + "9" * 5000 + ":1\n", r":2:4: feature 9{12} is out of range"),
    ("a.svm", "1\n-1\n", r"labels but no features"),
    ("a.svm", b"1 1:2\n\xff\xfe 2:3\n", r":2:1: the label is"),
    ("a.svm", "1 1:2 2:1\n", r"has one sample; training needs at least two"),
    ("a.svm", "1 1:2 2:1\n-1 1:2\n", r"feature 1 is constant .* --drop-constant"),
    ("a.svm", "1 1:2 4:1\n-1 1:2\n", r"features 1, 2, 3 are constant .* --drop-constant"),
    ("a.svm", "1 1:2\n1 1:3\n", r"every label is 1, .* check which column"),
    ("a.svm", "1 1:2\n\t1  1:2\t é:1\n", r":2:10: 'é:1' is not index:value"),
    # CSV
    ("a.csv", HEADER + "1,2,3,4,5\n", r":2:9: 5 columns where the first line has 4"),
    ("a.csv", HEADER + '1,"2, é",x,4\n', r":2:3: column age is '2, é', not a number"),
    ("a.csv", HEADER + '"1","2",x,4\n', r":2:9: column depth is 'x', not a number"),
    ("a.csv", HEADER + '1,"a\nb",3,4\n', r":2:3: column age is"),
    ("a.csv", HEADER + '1,2,"a\nb"c,4\nx,2,3,4\n', r":2:5: column depth is"),
    ("a.csv", HEADER + "1,2,3,4\né,2,x,4\n", r":3:1: column size is 'é'"),
    ("a.csv", "é,b\n1,2\n".encode() + b"3,\xff\n", r":3:3: this is not UTF-8"),
    ("a.csv", HEADER + "1,2,3,4\n" * 3 + '1,2,"' + "z" * 200_000, r":5:1: this line is not CSV"),
    ("a.csv", HEADER + "1,2,3,4\n1,2,3\n", r"a\.csv:3:6: 3 columns where the first line has 4"),
    ("a.csv", HEADER + "1,2,3\n1,2,3\n", r":2:6: 3 columns where the first line has 4"),
    (
        "a.csv",
        HEADER + "1,2,3,4\n\n1,,3,4\n",
        r":4:3: column age is empty; pass --impute or",
    ),
    (
        "a.csv",
        HEADER + "1,2,3,4\n1,b,3,4\n",
        r":3:3: column age is 'b', .* pass --one-hot age",
    ),
    ("a.csv", HEADER + "1,2,3,4\n1,2,3,b\n", r":3:7: column label is 'b', .*; encode it"),
    ("a.csv", HEADER + "1,2,3,4\n1,1_0,3,4\n", r":3:3: column age is '1_0'"),
    ("a.csv", HEADER + "1,2,3,4\n1,2,nan,4\n", r":3:5: column depth is nan, .* fill it in"),
    ("a.csv", HEADER + "1,2,3,4\n1,2,3,inf\n", r":3:7: column label is inf"),
    ("a.csv", ",b\n1,2\nx,4\n", r":3:1: column 0 is 'x', not a number"),
    ("a.csv", "a,b\n1,2\n3," + "z" * 5000, r":3:3: column b is 'z{40}', not a number"),
    ("a.csv", "1,x,3\n4,5,6\n", r":1:3: column 1 is 'x', not a number"),
    ("a.csv", HEADER, r"has column names and no samples"),
    ("a.csv", HEADER + "1,2,3,4\n", r"has one sample"),
    ("a.csv", "label\n1\n2\n", r"labels but no features"),
    ("a.csv", HEADER + "1,2,3,4\n1,5,6,7\n", r"feature size is constant"),
    ("a.csv", HEADER + "1,2,3,4\n1,2,3,7\n", r"every feature is constant"),
    ("a.csv", "a,b\n1,5\n2,5\n", r"every label is 5"),
    ("a.csv", b"a,b\n1,\xff\n", r":2:3: this is not UTF-8 text; give LIBSVM text, CSV"),
    ("a.csv", "a" * 200_000 + ",b\n1,2\n", r"a\.csv:1:1: this line is not CSV \(field larger"),
    ("a.xlsx", "\x00\x01\x02", r"a\.xlsx"),
    # NumPy
    ("a.npz", npz(a=FEATURES, b=LABELS), r"holds a, b; it needs X_train and y_train"),
    ("a.npz", npz(X=FEATURES), r"holds X; it needs"),
    ("a.npz", npz(X=FEATURES, y=LABELS, X_test=FEATURES), r"holds X, X_test, y; it needs"),
    ("a.npz", npz(X=FEATURES, y=LABELS[:3]), r"X has shape \(4, 3\) and y \(3,\); save"),
    ("a.npz", npz(X=FEATURES, y=TABLE), r"X has shape \(4, 3\) and y \(4, 4\)"),
    ("a.npz", npz(X=LABELS, y=LABELS), r"X has shape \(4,\)"),
    ("a.npz", npz(X=FEATURES, y=np.float64(3)), r"y \(\)"),
    ("a.npz", npz(X=FEATURES * 1j, y=LABELS), r"a\.npz:X holds complex128, not real numbers"),
    ("a.npz", npz(X=FEATURES.astype(str), y=LABELS), r":X holds <U32, not real numbers"),
    ("a.npz", npz(X=FEATURES.astype(object), y=LABELS), r":X is a pickled array, .* never loaded"),
    ("a.npz", npz(X=FEATURES, y=[1, np.nan, 2, 3]), r"a\.npz:y: row 1 \(from 0\) is nan"),
    (
        "a.npz",
        npz(X=np.where(FEATURES == -2, np.inf, FEATURES), y=LABELS),
        r":X: row 0 column 2 \(from 0\) is inf",
    ),
    ("a.npz", npz(X=FEATURES[:1], y=LABELS[:1]), r"has one sample"),
    ("a.npz", npz(X=FEATURES[:0], y=LABELS[:0]), r"has no samples"),
    ("a.npz", npz(X=FEATURES, y=LABELS)[:-40], r"damaged or cut short .* fetch or save it again"),
    ("a.npz", npz(X=FEATURES, y=LABELS).replace(b"\xf8\x3f", b"\xf9\x3f"), r":X is damaged"),
    ("a.npz", "not a zip", r"is not a NumPy file"),
    ("a.npy", b"\x80\x04K\x01.", r"is not a NumPy file"),
    ("a.npy", npy(TABLE.astype(object)), r"is a pickled array, .* never loaded"),
    ("a.npy", npy(TABLE)[:-8], r"damaged or cut short"),
    ("a.npy", npy(LABELS), r"has shape \(4,\); save a table"),
    ("a.npy", npy(TABLE[:, :1]), r"labels but no features"),
    (
        "a.npz",
        npz(X_train=FEATURES, y_train=LABELS, X_test=TABLE, y_test=LABELS),
        r"training part has 3 features and the test part 4",
    ),
    (
        "a.npz",
        npz(X_train=FEATURES, y_train=LABELS, X_test=FEATURES, y_test=LABELS + 1),
        r"test part has labels that the training part has not",
    ),
    # Compression
    ("a.svm.gz", gzip.compress(LIBSVM.encode(), mtime=0)[:-9], r"svm\.gz is damaged or cut short"),
    (
        "a.svm.gz",
        gzip.compress(LIBSVM.encode(), mtime=0)[:10] + b"\xff" * 30,
        r"damaged or cut short",
    ),
    ("a.csv.gz", gzip.compress(b"", mtime=0), r"is empty; give it at least two samples"),
    ("a.csv", "", r"is empty"),
    ("a.svm", " \n\n", r"is empty"),
    ("a.npz", "", r"is empty"),
]


@pytest.mark.parametrize(("name", "content", "message"), MALFORMED)
def test_bad_input_gets_one_sentence(
    write: Write, name: str, content: str | bytes, message: str
) -> None:
    source = write(name, content)
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(source)
    said = str(caught.value)
    assert said.startswith(source)
    assert "\n" not in said
    assert "; " in said, "what to do about it?"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("path", "message"),
    [("none.csv", "there is no such file; check the path"), (".", "is a directory; name a file")],
)
def test_missing_files_and_directories(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_dataset(str(tmp_path / path))


def test_a_path_that_no_system_takes() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_dataset("a\0b.csv")


@pytest.mark.parametrize("target", ["price", "4", "-5", "1.0", ""])
def test_a_label_column_that_is_not_there(write: Write, target: str) -> None:
    message = rf"no column {target}; name one of size, age, depth, label, .* 0 to 3"
    with pytest.raises(InputError, match=message):
        read_dataset(write("a.csv", HEADER + CSV), target)


def test_many_columns_are_not_all_listed(write: Write) -> None:
    with pytest.raises(InputError, match=r"one of 0, 1, 2, 3, 4, 5, 6, 7 and 12 more, or"):
        read_dataset(write("a.npy", npy(np.eye(20))), "price")


def test_a_name_that_two_columns_have(write: Write) -> None:
    with pytest.raises(InputError, match="2 columns are named a; use an index"):
        read_dataset(write("a.csv", "a,a,b\n1,2,3\n4,5,6\n"), "a")


@pytest.mark.parametrize("source", ["a.svm", "a.npz", "sklearn:wine"])
def test_a_target_where_labels_are_apart(write: Write, source: str) -> None:
    if not source.startswith("sklearn"):
        source = write(source, LIBSVM if "svm" in source else npz(X=FEATURES, y=LABELS))
    with pytest.raises(InputError, match="leave out --target"):
        read_dataset(source, "label")


@pytest.mark.parametrize("name", ["linnerud", "", "fetch_california_housing", "__dict__"])
def test_an_unknown_bundled_set(name: str) -> None:
    with pytest.raises(InputError, match=r"use one of breast_cancer, diabetes, "):
        read_dataset(f"sklearn:{name}")


numbers = st.floats(-1e99, 1e99).map(lambda value: value + 0.0)  # no -0: LIBSVM drops zeros


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(numbers, numbers, numbers), min_size=2, max_size=6),
    delimiter=st.sampled_from([",", ";", "\t"]),
)
def test_numbers_are_read_to_the_last_digit(
    write: Write, rows: list[tuple[float, ...]], delimiter: str
) -> None:
    table = np.array(rows) + np.arange(len(rows))[:, None]  # neither constant nor one label
    lines = [delimiter.join(map(repr, row)) for row in table.tolist()]
    pairs = [f"{label!r} 1:{a!r} 2:{b!r}" for a, b, label in table.tolist()]
    for name, text in (("a.csv", lines), ("a.svm", pairs)):
        try:
            dataset = read_dataset(write(name, "\n".join(text)))
        except InputError as fault:
            assert re.search("constant|nothing to learn", str(fault))
        else:
            same(dataset, table[:, :2], table[:, 2])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["a.svm", "a.csv", "a.tsv", "a.npz", "a.npy", "a.txt", "a.gz"]),
    content=st.binary(max_size=60)
    | st.text('0123456789 .:,;-+e\n\t"#na_', max_size=60).map(str.encode)
    | st.binary(max_size=20).map(gzip.compress)
    | st.tuples(st.integers(0, 900), st.binary(min_size=1, max_size=4)).map(
        lambda edit: (
            (whole := npz(X=FEATURES, y=LABELS))[: edit[0]] + edit[1] + whole[edit[0] + 4 :]
        )
    ),
    target=st.none() | st.sampled_from(["0", "-1", "7", "a"]),
)
def test_no_content_gets_a_traceback(
    write: Write, name: str, content: bytes, target: str | None
) -> None:
    source = write(name, content)
    try:
        dataset = read_dataset(source, target)
    except InputError as fault:
        assert str(fault).startswith(source) and "\n" not in str(fault)
    else:
        assert np.isfinite(dataset.features).all() and np.isfinite(dataset.labels).all()
