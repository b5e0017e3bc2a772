from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipsgd.host.codes.moments import BLOCK_ROWS, Moments
from zipsgd.host.data.dataset import Floats


def table(rows: int) -> Floats:
    """Skewed, far from zero, three flags of which one is rare, constant, sorted."""
    rng = np.random.default_rng(rows)
    place = np.arange(float(rows))
    flags = [place % 3 == 0, place > 2000, place == rows - 1]
    columns = [
        rng.lognormal(size=rows),
        rng.normal(1e8, 3, size=rows),
        *flags,
        np.ones(rows),
        place,
    ]
    return np.column_stack(columns)


@given(rows=st.integers(1, 5000), cuts=st.lists(st.integers(0, 5000), max_size=6))
def test_statistics_do_not_depend_on_the_pieces(rows: int, cuts: list[int]) -> None:
    whole = table(rows)
    expected = Moments.of([whole])
    found = Moments.of(whole[a:b] for a, b in pairwise([0, *sorted(cuts), rows]))
    for name, value in vars(expected).items():
        assert np.array_equal(getattr(found, name), value), name


@pytest.mark.parametrize("rows", [1, 2, BLOCK_ROWS, BLOCK_ROWS + 1, 10 * BLOCK_ROWS - 1])
def test_statistics_are_those_of_the_whole(rows: int) -> None:
    whole = table(rows)
    found = Moments.of([whole])
    low, high = whole.min(axis=0), whole.max(axis=0)
    assert found.count == rows
    assert np.array_equal(found.low, low) and np.array_equal(found.high, high)
    assert np.array_equal(found.at_low, (whole == low).sum(axis=0))
    assert np.array_equal(found.at_high, (whole == high).sum(axis=0))
    assert np.allclose(found.mean, whole.mean(axis=0), rtol=1e-13)
    assert np.allclose(found.deviation, whole.std(axis=0), rtol=1e-9, atol=1e-9)


def test_no_rows_have_no_statistics() -> None:
    with pytest.raises(ValueError, match="no row"):
        Moments.of([np.empty((0, 3))])
