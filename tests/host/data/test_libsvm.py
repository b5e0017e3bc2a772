"""The compiled parser gives what scikit-learn's gives, to the last bit."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.datasets import load_svmlight_file

from zipsgd.host.data import libsvm

decimals = st.from_regex(
    r"[+-]?([0-9]{1,20}\.?[0-9]{0,22}|\.[0-9]{1,9})([eE][+-]?[0-9]{1,3})?", fullmatch=True
)
numbers = st.floats(allow_nan=False, allow_infinity=False).map(repr) | decimals


@given(st.lists(numbers, min_size=1, max_size=8))
def test_numbers_are_those_that_python_reads(texts: list[str]) -> None:
    line = texts[0] + "".join(f" {j}:{text}" for j, text in enumerate(texts[1:], 1))
    matrix, labels = libsvm.parse((line + "\n").encode())
    found = [labels[0], *matrix.toarray()[0][1:].tolist()]
    expected = [float(text) for text in texts]
    assert np.array_equal(found, expected)


WORDS = """1 -1 +2.5 1:2 2:3e-2 3:-.5 4:1. 9:0 # qid:3 nan 2:nan 1: :1 0:1 3:4:5 x 1e 1:1e 5:. -
    2:0x1 1_0 1:1_0 1:inf 1,2"""
words = st.sampled_from([*WORDS.split(), "# 7", "\r", "\t", " "])


@settings(max_examples=300)
@given(
    lines=st.lists(st.lists(words, max_size=5).map(" ".join), max_size=6),
    end=st.sampled_from(["", "\n", "\r\n"]),
)
def test_every_text_is_read_or_refused_as_by_scikit_learn(lines: list[str], end: str) -> None:
    text = ("\n".join(lines) + end).encode()
    try:
        matrix, labels = load_svmlight_file(io.BytesIO(text), zero_based=True)
    except (ValueError, OverflowError):
        with pytest.raises((ValueError, OverflowError)):
            libsvm.parse(text)
        return
    found, found_labels = libsvm.parse(text)
    assert np.array_equal(found_labels, labels, equal_nan=True)
    dense = found.toarray()[:, : matrix.shape[1]]
    assert not found.toarray()[:, matrix.shape[1] :].any()
    assert np.array_equal(dense, matrix.toarray(), equal_nan=True)


@given(st.binary(max_size=60) | st.text("0123456789 .:-+e\n#", max_size=60).map(str.encode))
def test_no_text_gets_another_exception(text: bytes) -> None:
    with contextlib.suppress(ValueError, OverflowError):
        libsvm.parse(text)


def test_usual_text_needs_no_help(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("scikit-learn was asked")

    monkeypatch.setattr(datasets, "load_svmlight_file", fail)
    matrix, labels = libsvm.parse(
        b"# made up\n+1 1:0.5 3:1e-3 # good\r\n\n-1 2:0.12345678901234567"
    )
    assert labels.tolist() == [1, -1]
    assert matrix.toarray().tolist() == [[0, 0.5, 0, 1e-3], [0, 0, 0.12345678901234567, 0]]
