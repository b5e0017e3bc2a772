"""Codes against a literal reading of the rules, and against exact probabilities."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.parameters import Loss
from zipsgd.host.codes import rounding as rounding_module
from zipsgd.host.codes.rounding import (
    Draws,
    Ints,
    Rounding,
    quantise_labels,
    round_codes,
    round_values,
)
from zipsgd.host.data.dataset import Floats
from zipsgd.host.errors import InputError

ROUNDINGS: list[Rounding] = ["double", "single", "nearest"]
SMALL_BITS = [2, 3, 4, 5]
WIDTHS = [*range(2, 18), 24, 31, 32]


def rounded(v: Floats, bits: int, how: Rounding, first: int = 0, second: int = 0) -> list[int]:
    """With the same two 32-bit words for every value."""
    words = np.full(v.shape, first << 32 | second, dtype=np.uint64)
    return [int(code) for code in round_values(v, bits, how, words)]


def neighbours(t: Fraction, step: int, offset: int) -> tuple[int, int, Fraction]:
    """The points below and above t on a grid, and the probability of the upper one."""
    lower = floor((t - offset) / step) * step + offset
    return lower, lower + step, (t - lower) / step


def probabilities(t: Fraction, bits: int, how: Rounding) -> dict[int, Fraction]:
    """The exact distribution of the code of t."""
    if how == "nearest":
        return {round(t): Fraction(1)}
    if how == "single":
        lower, upper, p = neighbours(t, 1, 0)
        return {lower: 1 - p, upper: p}
    lower, upper, p = neighbours(t, 2, 1)
    return {lower: (1 - p) ** 2, (lower + upper) // 2: 2 * p * (1 - p), upper: p * p}


def grid(bits: int, steps: int) -> list[Fraction]:
    """Every t in [-N, N] that is a multiple of 1 / steps."""
    n = 2 ** (bits - 1) - 1
    return [Fraction(i, steps) for i in range(-n * steps, n * steps + 1)]


@pytest.mark.parametrize("bits", SMALL_BITS)
def test_double_has_the_exact_distribution_over_all_pairs_of_words(bits: int) -> None:
    steps = 8  # words on a grid of 2 * steps, as coarse as the positions between odd codes
    words = [i << 32 - 4 for i in range(2 * steps)]
    ts = grid(bits, steps)
    v = np.array([float(t) for t in ts]) / (2 ** (bits - 1) - 1)
    outcomes = np.array([rounded(v, bits, "double", a, b) for a in words for b in words])
    for t, codes in zip(ts, outcomes.T, strict=True):
        values, counts = np.unique(codes, return_counts=True)
        found = {
            int(m): Fraction(int(c), len(words) ** 2) for m, c in zip(values, counts, strict=True)
        }
        assert found == {m: p for m, p in probabilities(t, bits, "double").items() if p}
        assert sum(m * p for m, p in found.items()) == t


@pytest.mark.parametrize("bits", SMALL_BITS)
def test_single_has_the_exact_distribution_over_all_words(bits: int) -> None:
    steps = 16
    ts = grid(bits, steps)
    v = np.array([float(t) for t in ts]) / (2 ** (bits - 1) - 1)
    outcomes = np.array([rounded(v, bits, "single", i << 32 - 4) for i in range(steps)])
    assert [Fraction(int(total), steps) for total in outcomes.sum(axis=0)] == ts
    assert (outcomes.max(axis=0) - outcomes.min(axis=0) <= 1).all()


@pytest.mark.parametrize("bits", WIDTHS)
def test_nearest_is_nearest_with_ties_to_even(bits: int) -> None:
    n = 2 ** (bits - 1) - 1
    ts = [*grid(min(bits, 6), 4), Fraction(n), Fraction(-n)]
    v = np.array([float(t) for t in ts]) / n
    exact = [(Fraction(float(value)) * n).limit_denominator(8) for value in v]
    assert exact == ts
    assert rounded(v, bits, "nearest") == [round(t) for t in ts]


@pytest.mark.parametrize("how", ["double", "single"])
@pytest.mark.parametrize("bits", range(2, 9))
def test_drawn_codes_follow_the_exact_probabilities(bits: int, how: Rounding) -> None:
    draws, rng = 4000, np.random.default_rng(bits)
    ts = grid(bits, 5) if bits < 6 else grid(bits, 5)[:: 2 ** (bits - 5)]
    v = np.tile(np.array([float(t) for t in ts]) / (2 ** (bits - 1) - 1), (draws, 1))
    statistic, freedom = 0.0, 0
    for t, codes in zip(ts, round_codes(v, bits, how, rng).T, strict=True):
        expected = {m: float(p) * draws for m, p in probabilities(t, bits, how).items() if p}
        values, counts = np.unique(codes, return_counts=True)
        assert set(values.tolist()) <= set(expected)
        seen = dict(zip(values.tolist(), counts.tolist(), strict=True))
        statistic += sum((seen.get(m, 0) - e) ** 2 / e for m, e in expected.items())
        freedom += len(expected) - 1
    assert abs(statistic - freedom) < 4 * (2 * freedom) ** 0.5  # chi-square: mean, deviation


@pytest.mark.parametrize("bits", [17, 24, 32])
@pytest.mark.parametrize("beyond", [0.25, 1.0, 1.75])
def test_wide_codes_have_their_value_as_mean(bits: int, beyond: float) -> None:
    """Between two odd codes, far from zero, where float64 has the fewest places to spare."""
    n, draws = 2 ** (bits - 1) - 1, 40_000
    lower = n - 2 * (n // 5)
    v = np.full((draws, 1), (lower + beyond) / n)
    above = round_codes(v, bits, "double", Draws(bits)).astype(np.int64) - lower
    assert set(above.ravel().tolist()) == {0, 1, 2}
    p = beyond / 2
    assert abs(above.mean() - beyond) < 4 * (2 * p * (1 - p) / draws) ** 0.5
    assert abs((above == 1).mean() - 2 * p * (1 - p)) < 4 * 0.5 / draws**0.5


@given(
    st.integers(2, 16),
    st.floats(-1, 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_double_is_the_mean_of_two_roundings_and_odd_where_they_agree(
    bits: int, value: float, first: int, second: int
) -> None:
    n = 2 ** (bits - 1) - 1
    position = Fraction(round((Fraction(value) + 1) * n * 2**31), 2**31) - n  # as fixed point
    lower, upper, p = neighbours(position, 2, 1)
    q1, q2 = (upper if Fraction(word, 2**32) < p else lower for word in (first, second))
    # The product is taken in double precision: the last place of the position may differ.
    if min(abs(Fraction(word, 2**32) - p) for word in (first, second)) > Fraction(1, 2**30):
        (code,) = rounded(np.array([value]), bits, "double", first, second)
        assert code == (q1 + q2) // 2
        assert (code % 2 == 1) == (q1 == q2)


@pytest.mark.parametrize("how", ROUNDINGS)
@pytest.mark.parametrize("bits", WIDTHS)
def test_full_scale_and_odd_codes_are_exact_and_nothing_lies_beyond(
    bits: int, how: Rounding
) -> None:
    n = 2 ** (bits - 1) - 1
    rng = np.random.default_rng(bits)
    if bits <= 10:
        odd = np.arange(-n, n + 1, 2)
    else:
        some = 2 * rng.integers(-n // 2, n // 2, 1000) + 1
        odd = np.array([-n, -n + 2, -1, 1, n - 2, n, *some])
    v = np.tile(odd / n, (50, 1))
    codes = round_codes(v, bits, how, rng)
    assert codes.dtype == (np.int8 if bits <= 8 else np.int16 if bits <= 16 else np.int32)
    assert (codes == odd).all()
    if how != "nearest":  # words that occur once in four thousand million draws
        for word in (0, 2**32 - 1):
            assert rounded(odd / n, bits, how, word, word) == odd.tolist()
    assert (np.abs(round_codes(rng.uniform(-1, 1, (1000, 7)), bits, how, rng)) <= n).all()


@pytest.mark.parametrize("how", ["double", "single"])
@pytest.mark.parametrize("bits", WIDTHS)
def test_unsigned_codes_are_the_signed_grid_from_zero(bits: int, how: Rounding) -> None:
    """The same words round v in [0, 1] as they round 2 v - 1, N higher: parities change places."""
    v = np.random.default_rng(bits).integers(0, 2**20, size=(500, 3), endpoint=True) / 2**20
    v[0] = 0, 1, 0.5
    codes = round_codes(v, bits, how, Draws(bits), unsigned=True)
    signed = round_codes(2 * v - 1, bits, how, Draws(bits)).astype(np.int64)
    assert codes.dtype == (np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)
    assert np.array_equal(codes, signed + 2 ** (bits - 1) - 1)
    assert codes[0, :2].tolist() == [0, 2**bits - 2]


@pytest.mark.parametrize("bits", WIDTHS)
def test_unsigned_nearest_is_nearest_with_ties_to_even(bits: int) -> None:
    most = 2**bits - 2
    ts = [Fraction(i, 4) for i in range(4 * min(most, 62) + 1)]
    v = np.array([[float(t)] for t in ts]) / most
    codes = round_codes(v, bits, "nearest", Draws(0), unsigned=True)
    assert codes.ravel().tolist() == [round(t) for t in ts]


@pytest.mark.parametrize("value", [-0.001, 1.001, np.nan])
def test_what_unsigned_codes_do_not_hold_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"not in \[0, 1\]; use signed ones"):
        round_codes(np.array([[0.5, value]]), 4, "double", Draws(0), unsigned=True)


@pytest.mark.parametrize("how", ROUNDINGS)
def test_equal_generators_give_equal_codes_in_every_memory_order(how: Rounding) -> None:
    v = np.random.default_rng(0).uniform(-1, 1, size=(300, 11))
    first, again, other = (
        round_codes(array, 4, how, np.random.default_rng(seed))
        for array, seed in ((v, 1), (np.asfortranarray(v), 1), (v, 2))
    )
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) == (how == "nearest")


@pytest.mark.parametrize("how", ROUNDINGS)
@given(cuts=st.lists(st.integers(0, 40), max_size=5), block=st.integers(1, 100))
def test_codes_do_not_depend_on_how_the_rows_are_cut(
    how: Rounding, cuts: list[int], block: int
) -> None:
    v = np.random.default_rng(0).uniform(-1, 1, size=(40, 5))
    draws = Draws.of(7, copy=2)
    whole = round_codes(v, 8, how, draws)
    bounds = [0, *sorted(cuts), 40]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounding_module, "BLOCK_VALUES", block)
        parts = [
            round_codes(v[start:stop], 8, how, draws, first_row=start)
            for start, stop in pairwise(bounds)
        ]
    assert np.array_equal(whole, np.concatenate(parts))


def test_random_words_are_those_of_splitmix64() -> None:
    """The first words from the key 1234567 that implementations of the generator publish."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert Draws(1234567).words(0, 3).tolist() == expected
    assert Draws(1234567).words(1, 2).tolist() == expected[1:]


def test_copies_and_seeds_have_words_of_their_own() -> None:
    keys = {Draws.of(seed, copy).key for seed in range(20) for copy in range(20)}
    assert len(keys) == 400


@pytest.mark.parametrize("value", [1.0000001, -1.5, np.nan, np.inf])
def test_unscaled_features_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="apply a Scaling first"):
        round_codes(np.array([[0.5, value]]), 4, "nearest", np.random.default_rng(0))


def test_unknown_roundings_and_widths_are_refused() -> None:
    with pytest.raises(InputError, match="no rounding 'up'; use one of double, single, nearest"):
        round_codes(np.zeros((1, 1)), 4, "up", np.random.default_rng(0))  # type: ignore[arg-type]
    for bits in (1, 33):
        with pytest.raises(ValueError, match=f"2 to 32 bits, not {bits}"):
            round_codes(np.zeros((1, 1)), bits, "nearest", np.random.default_rng(0))


COARSE = EngineConfig(
    model_frac=4, model_bits=10, error_frac=8, error_bits=17, losses=(Loss.LEAST_SQUARES,)
)


def test_labels_are_fixed_point() -> None:
    labels = np.array([0.0, 1.0, -1.0, 0.05, -0.03125, 0.09375, -32.0, 31.9375])
    expected: Ints = np.array([0, 16, -16, 1, 0, 2, -512, 511])
    quantised = quantise_labels(labels, COARSE)
    assert quantised.dtype == np.int64
    assert np.array_equal(quantised, expected)


@pytest.mark.parametrize("label", [32.0, 31.97, -32.1, np.nan, np.inf])
def test_labels_that_do_not_fit_are_named(label: float) -> None:
    with pytest.raises(InputError, match=r"training sample 2 .* labels up to 32; remove"):
        quantise_labels(np.array([0.0, 1.0, label, 99.0]), COARSE)
