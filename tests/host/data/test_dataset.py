from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipsgd.host.data.dataset import Dataset
from zipsgd.host.errors import (
    BuildError,
    DeviceError,
    InputError,
    MismatchError,
    ToolMissingError,
    ZipsgdError,
)


def numbered(samples: int, test: Dataset | None = None) -> Dataset:
    """Row i holds i and 10 i, its label is i."""
    rows = np.arange(float(samples))
    return Dataset("numbered", np.column_stack([rows, 10 * rows]), rows, ("a", "b"), test)


@given(st.integers(2, 50), st.floats(0.001, 0.999), st.integers(0, 2**32))
def test_a_split_deals_every_sample_to_one_part(samples: int, holdout: float, seed: int) -> None:
    train, heldout = numbered(samples).split(holdout, seed)
    assert sorted([*train.labels, *heldout.labels]) == list(range(samples))
    for part in (train, heldout):
        assert np.array_equal(part.features[:, 1], 10 * part.labels)
        assert part.feature_names == ("a", "b") and part.name == "numbered"
    assert len(heldout.labels) == min(max(round(holdout * samples), 1), samples - 1)


def test_the_seed_decides_the_split() -> None:
    first, again, other = (numbered(40).split(0.25, seed)[0].labels for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(np.sort(first), np.sort(other))
    assert not np.array_equal(first, np.sort(first)), "training rows must be shuffled"


def test_an_official_test_part_is_held_out_whole() -> None:
    official = numbered(5)
    train, heldout = numbered(40, official).split(0.25, 0)
    assert heldout is official
    assert train.test is None
    assert not np.array_equal(train.labels, np.arange(40))
    assert np.array_equal(np.sort(train.labels), np.arange(40))


@pytest.mark.parametrize("holdout", [0.0, 1.0, -0.5, 20.0, float("nan")])
def test_a_share_out_of_range_is_refused(holdout: float) -> None:
    with pytest.raises(InputError, match="must be above 0 and below 1, not"):
        numbered(10).split(holdout, 0)


def test_two_distinct_labels_make_a_classification() -> None:
    assert numbered(2).classification
    assert not numbered(3).classification


def test_selected_features_are_selected_in_the_test_part_too() -> None:
    part = numbered(40, numbered(5)).select(np.array([1]))
    assert part.feature_names == ("b",)
    assert part.features.shape == (40, 1)
    assert part.test is not None and np.array_equal(part.test.features[:, 0], 10 * np.arange(5))


def test_exit_codes() -> None:
    codes = {
        ZipsgdError: 1,
        DeviceError: 1,
        InputError: 2,
        ToolMissingError: 3,
        BuildError: 4,
        MismatchError: 5,
    }
    assert {kind: kind("what").exit_code for kind in codes} == codes
