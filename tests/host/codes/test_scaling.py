from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipsgd.host.codes.rounding import Rounding, round_codes
from zipsgd.host.codes.scaling import (
    FeatureScale,
    LabelScaling,
    Scaling,
    full_scale,
    largest_code,
    with_intercept,
)
from zipsgd.host.data.dataset import Floats
from zipsgd.host.errors import InputError

KINDS: list[FeatureScale] = ["sigma", "minmax", "maxabs"]
ROUNDINGS: list[Rounding] = ["double", "single", "nearest"]


def column(*values: float) -> Floats:
    return np.array(values)[:, None]


def skewed(samples: int = 1000) -> Floats:
    """Three columns: skewed, far from zero, and a rare flag."""
    rng = np.random.default_rng(5)
    flag = np.arange(samples) % 10 == 0
    return np.column_stack([rng.lognormal(size=samples), rng.normal(1e6, 3, size=samples), flag])


def test_sigma_is_centred_with_four_deviations_to_full_scale() -> None:
    features = skewed()
    scaling = Scaling.fit(features)
    v = scaling.apply(features, 8)
    deviations = (features[:, 1] - features[:, 1].mean()) / features[:, 1].std()
    assert np.allclose(v[:, 1], deviations / 4, atol=1e-9)
    outlying = np.array([[1e9, features[:, 1].mean() - 1e9, 0.0]])
    assert np.array_equal(scaling.apply(outlying, 8)[0, :2], [1, -1])


def test_minmax_takes_the_range_to_full_scale() -> None:
    scaling = Scaling.fit(column(2, 4, 10), "minmax")
    assert np.array_equal(
        scaling.apply(column(2, 4, 10, 6, 11, -99), 8).T, [[-1, -0.5, 1, 0, 1, -1]]
    )


def test_maxabs_keeps_zero_and_the_signs() -> None:
    scaling = Scaling.fit(column(2, 0, -8), "maxabs")
    assert np.array_equal(scaling.apply(column(2, 0, -8, 4, 9), 8).T, [[0.25, 0, -1, 0.5, 1]])


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_constant_in_training_is_zero_whatever_comes(kind: FeatureScale) -> None:
    scaling = Scaling.fit(np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 4.0]]), kind)
    assert not scaling.apply(np.array([[0.1, 1.0], [7.0, 2.0]]), 4)[:, 0].any()


@pytest.mark.parametrize("kind", KINDS)
@given(
    rare=st.integers(1, 50),
    common=st.integers(50, 200),
    bits=st.integers(2, 16),
    values=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).filter(lambda v: v[0] != v[1]),
)
def test_two_values_become_two_odd_codes_that_rounding_leaves_exact(
    kind: FeatureScale, rare: int, common: int, bits: int, values: tuple[float, float]
) -> None:
    features = column(*[values[0]] * rare, *[values[1]] * common)
    v = Scaling.fit(features, kind).apply(features, bits)
    n = largest_code(bits)
    codes = round_codes(v, bits, "nearest", np.random.default_rng(0))
    low, high = int(codes.min()), int(codes.max())
    if rare < common:
        assert codes[0] == n
    assert high == n and low < 0 and low % 2 == 1

    # No other odd code brings the mean closer to zero.
    share = min(rare, common) / (rare + common)
    means = [abs(share * n - (1 - share) * m) for m in range(1, n + 1, 2)]
    assert abs(share * n + (1 - share) * low) <= min(means) + 1e-9 * n

    for rounding in ROUNDINGS:
        for seed in range(3):
            again = round_codes(v, bits, rounding, np.random.default_rng(seed))
            assert np.array_equal(again, codes)


def test_a_value_not_seen_in_training_falls_on_the_line_through_the_two() -> None:
    scaling = Scaling.fit(column(0, 0, 0, 1))
    n, m = 7, 3  # a share of 1/4: p / (1 - p) = 1/3, nearest to 3/7 and 1/7 alike
    v = scaling.apply(column(0, 1, 0.5, 2, -5), 4)[:, 0]
    assert np.allclose(v, [-m / n, 1, (1 - m / n) / 2, 1, -1])


@pytest.mark.parametrize("kind", KINDS)
@given(bits=st.integers(2, 16), seed=st.integers(0, 1000))
def test_everything_stays_within_full_scale(kind: FeatureScale, bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    train, other = rng.standard_cauchy((20, 3)), 100 * rng.standard_cauchy((50, 3))
    scaling = Scaling.fit(train, kind)
    before = other.copy()
    assert np.abs(scaling.apply(other, bits)).max() <= 1
    assert np.array_equal(other, before), "the caller's array must not change"


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_scaling_scales_alike(kind: FeatureScale) -> None:
    scaling = Scaling.fit(skewed(), kind)
    back = Scaling.from_json(json.loads(json.dumps(scaling.to_json(), allow_nan=False)))
    assert np.array_equal(back.apply(skewed(), 5), scaling.apply(skewed(), 5))
    assert back.to_json() == scaling.to_json()


def test_other_columns_than_in_training_are_refused() -> None:
    with pytest.raises(InputError, match="the data has 2 features and the model was trained on 3"):
        Scaling.fit(skewed()).apply(np.ones((4, 2)), 8)


def test_an_unknown_scaling_is_refused() -> None:
    with pytest.raises(InputError, match="no scaling 'robust'; use one of sigma, minmax, maxabs"):
        Scaling.fit(skewed(), "robust")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "damage",
    [{"centre": "x"}, {"scale": [1.0]}, {"two_valued": [{"column": 1}]}, None],
)
def test_a_damaged_scaling_is_refused(damage: dict[str, Any] | None) -> None:
    saved = Scaling.fit(skewed()).to_json()
    with pytest.raises(InputError, match=r"the saved scaling is damaged .* train the model again"):
        Scaling.from_json(saved | damage if damage else {})


@pytest.mark.parametrize("bits", range(2, 17))
def test_full_scale_is_how_the_engine_reads_the_largest_code(bits: int) -> None:
    codes = round_codes(np.ones((1, 1)), bits, "double", np.random.default_rng(0))
    assert full_scale(bits) == codes[0, 0] / 2 ** (bits - 1)
    assert largest_code(bits) % 2 == 1


def test_the_intercept_is_the_last_feature() -> None:
    v = np.array([[0.5, -1.0], [0.25, 0.0]])
    assert np.array_equal(with_intercept(v), [[0.5, -1.0, 1.0], [0.25, 0.0, 1.0]])


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1), (1, 2), (0.1, 0.7)])
def test_two_classes_become_minus_and_plus_one(low: float, high: float) -> None:
    labels = np.array([high, low, low, high, low])
    scaling = LabelScaling.fit(labels, classification=True)
    assert np.allclose(scaling.apply(labels), [1, -1, -1, 1, -1], rtol=0, atol=1e-12)
    assert np.array_equal(scaling.invert(np.array([0.3, -0.01, -9.0, 0.0, -1.0])), labels)


def test_other_labels_are_standardised() -> None:
    labels = np.random.default_rng(0).normal(50, 20, size=500)
    scaling = LabelScaling.fit(labels, classification=False)
    scaled = scaling.apply(labels)
    assert np.allclose([scaled.mean(), scaled.std()], [0, 1])
    assert np.allclose([scaling.centre, scaling.scale], [labels.mean(), labels.std()])
    assert np.allclose(scaling.invert(scaled), labels)


def test_saved_label_scaling() -> None:
    scaling = LabelScaling.fit(np.array([0.1, 0.2, 0.7]), classification=False)
    assert LabelScaling.from_json(json.loads(json.dumps(scaling.to_json()))) == scaling
    with pytest.raises(InputError, match="the saved label scaling is damaged"):
        LabelScaling.from_json({"low": 1, "high": 2})
    with pytest.raises(InputError, match="the saved label scaling is damaged"):
        LabelScaling.from_json({"low": "a", "high": 2, "classification": True})


def test_equal_labels_cannot_be_scaled() -> None:
    with pytest.raises(InputError, match="every label of the training part is 3"):
        LabelScaling.fit(np.full(4, 3.0), classification=True)


@pytest.mark.parametrize("kind", KINDS)
def test_unsigned_features_run_from_0_to_1(kind: FeatureScale) -> None:
    features = np.abs(skewed())
    scaling = Scaling.fit(features, kind, unsigned=True)
    v = scaling.apply(features, 4)
    assert v.min() >= 0 and v.max() == 1
    assert set(v[:, 2]) == {0, 1}, "two values become the ends, whose codes are exact"
    far = np.array([[1e9, -1e9, 0.0], [-1e9, 1e9, 1.0]])
    assert scaling.apply(far, 4).tolist() == [[1, 0, 0], [0, 1, 1]]
    back = Scaling.from_json(json.loads(json.dumps(scaling.to_json())))
    assert np.array_equal(back.apply(features, 4), v)


def test_what_becomes_zero_and_one() -> None:
    counts = column(*[0.0] * 50, *[1.0] * 30, *[2.0] * 19, 40.0)
    mean, deviation = counts.mean(), counts.std()
    ends = {
        "sigma": (0.0, mean + 4 * deviation),
        "minmax": (0.0, 40.0),
        "maxabs": (0.0, 40.0),
    }
    for kind, (low, high) in ends.items():
        v = Scaling.fit(counts + 0, kind, unsigned=True).apply(counts, 4)  # type: ignore[arg-type]
        assert np.allclose(v, np.clip((counts - low) / (high - low), 0, 1))
    v = Scaling.fit(column(2, 4, 10), "maxabs", unsigned=True).apply(column(0, 5), 4)
    assert v.T.tolist() == [[0, 0.5]]
    v = Scaling.fit(column(2, 4, 10), "minmax", unsigned=True).apply(column(2, 6), 4)
    assert v.T.tolist() == [[0, 0.5]]
