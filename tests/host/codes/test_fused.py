"""The compiled pass has the bits of the readable one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.geometries import ALL, GEOMETRIES
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.host.codes import weaving
from zipsgd.host.codes.fused import round_and_weave, unweave, unweave_rows
from zipsgd.host.codes.rounding import Draws, Ints, Rounding, round_codes
from zipsgd.host.codes.scaling import largest_code
from zipsgd.host.codes.weaving import code_range, weave
from zipsgd.host.data.dataset import Floats
from zipsgd.host.errors import InputError

ROUNDINGS: list[Rounding] = ["double", "single", "nearest"]
CONFIG = EngineConfig()


def data(samples: int, features: int, bits: int, seed: int = 0) -> tuple[Floats, Ints]:
    """Anything in [-1, 1], grid points and their surroundings."""
    rng, n = np.random.default_rng(seed), largest_code(bits)
    v = rng.uniform(-1, 1, size=(samples, features))
    on_grid = rng.integers(-2 * n, 2 * n + 1, size=v.shape) / (2 * n)
    v = np.where(rng.random(v.shape) < 0.3, on_grid, v)
    v[:, -1] = 1
    v[0] = -1
    return v, rng.integers(-(2**15), 2**15, size=samples) >> 5


@pytest.mark.parametrize("how", ROUNDINGS)
@settings(max_examples=40)
@given(
    name=st.sampled_from(ALL),
    size=st.tuples(st.integers(1, 40), st.integers(1, 100)),
    bits=st.integers(2, 32),
    seed=st.integers(0, 2**64 - 1),
    first_row=st.integers(0, 2**40),
)
def test_it_equals_rounding_then_weaving(
    how: Rounding, name: str, size: tuple[int, int], bits: int, seed: int, first_row: int
) -> None:
    config = GEOMETRIES[name]
    bits = min(bits, config.max_bits)
    v, labels = data(size[0], min(size[1], config.max_features), bits, seed % 1000)
    labels = labels >> 24 - config.model_bits
    draws = Draws(seed)
    woven = round_and_weave(v, labels, bits, how, draws, config, first_row)
    expected = weave(round_codes(v, bits, how, draws, first_row), labels, bits, config)
    assert np.array_equal(woven.beats, expected.beats)
    start, stop = first_row % size[0], size[0] - seed % size[0]
    codes = round_codes(v, bits, how, draws, first_row)
    if start < stop:
        assert np.array_equal(unweave_rows(woven, config, start, stop), codes[start:stop])
    assert vars(woven).keys() == vars(expected).keys()
    for field in ("bits", "chunks", "groups", "samples", "features"):
        assert getattr(woven, field) == getattr(expected, field)


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("bits", range(2, 17))
@pytest.mark.parametrize("name", ["4x2", "16x1", "16x4", "64x1"])
def test_every_code_is_unwoven(name: str, bits: int, unsigned: bool) -> None:
    """The widest codes and the others, in every place of a byte."""
    config = replace(GEOMETRIES[name], max_bits=16, error_bits=32, error_frac=28)
    least, most = code_range(bits, unsigned)
    span = np.linspace(least, most, 151).astype(np.int64)
    codes = np.array([np.roll(span, k)[:13] for k in range(0, 151, 2)])
    labels = np.arange(len(codes)) - 5
    woven = weave(codes, labels, bits, config, unsigned=unsigned)
    found, expected = unweave(woven, config), weaving.unweave(woven, config)
    assert np.array_equal(found.codes, expected.codes)
    assert np.array_equal(found.codes.reshape(-1, found.codes.shape[2])[: len(codes), :13], codes)
    assert np.array_equal(found.labels, expected.labels)


@settings(max_examples=60)
@given(
    name=st.sampled_from(ALL),
    size=st.tuples(st.integers(1, 20), st.integers(1, 40)),
    bits=st.integers(2, 32),
    words=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_samples_come_back_from_the_stream(
    name: str, size: tuple[int, int], bits: int, words: tuple[bool, bool, bool]
) -> None:
    config, rng = GEOMETRIES[name], np.random.default_rng(bits)
    bits, samples, (unsigned, weighted, offset) = min(bits, config.max_bits), size[0], words
    least, most = code_range(bits, unsigned)
    codes = rng.integers(least, most, (samples, min(size[1], config.max_features)), endpoint=True)
    codes[0] = most
    numbers = [rng.integers(0, 999, samples) for _ in range(3)]
    woven = weave(
        codes,
        numbers[0],
        bits,
        config,
        weights=numbers[1] if weighted else None,
        offsets=numbers[2] if offset else None,
        unsigned=unsigned,
    )
    expected = weaving.unweave(woven, config)
    for field, values in vars(unweave(woven, config)).items():
        np.testing.assert_array_equal(values, getattr(expected, field))


@pytest.mark.parametrize("how", ROUNDINGS)
def test_parts_that_are_cut_between_groups_join_to_the_whole(how: Rounding) -> None:
    v, labels = data(103, 21, 4)
    draws = Draws.of(5)
    whole = round_and_weave(v, labels, 4, how, draws, CONFIG)
    parts = [
        round_and_weave(v[a:b], labels[a:b], 4, how, draws, CONFIG, first_row=a).beats
        for a, b in pairwise([0, 8, 12, 60, 103])
    ]
    assert np.array_equal(whole.beats, np.concatenate(parts))


def test_memory_order_does_not_matter() -> None:
    v, labels = data(50, 21, 4)
    first = round_and_weave(v, labels, 4, "double", Draws.of(5), CONFIG)
    again = round_and_weave(np.asfortranarray(v), labels, 4, "double", Draws.of(5), CONFIG)
    assert np.array_equal(first.beats, again.beats)


@pytest.mark.parametrize("how", ROUNDINGS)
@pytest.mark.parametrize("value", [1.0000001, -1.5, np.nan, np.inf])
def test_unscaled_features_are_refused(how: Rounding, value: float) -> None:
    v, labels = data(50, 21, 4)
    v[49, 3] = value
    with pytest.raises(ValueError, match="apply a Scaling first"):
        round_and_weave(v, labels, 4, how, Draws(0), CONFIG)


def test_it_refuses_what_rounding_and_weaving_refuse() -> None:
    v, labels = data(50, 21, 4)
    with pytest.raises(InputError, match="no rounding 'up'"):
        round_and_weave(v, labels, 4, "up", Draws(0), CONFIG)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="bits = 9 is out of range; this engine takes 2 to 8"):
        round_and_weave(v, labels, 9, "double", Draws(0), CONFIG)
    with pytest.raises(InputError, match="choose more lanes or fewer features"):
        round_and_weave(v, labels, 4, "double", Draws(0), EngineConfig(lanes=8, max_chunks=2))
    with pytest.raises(ValueError, match="cannot be woven"):
        round_and_weave(v, labels[1:], 4, "double", Draws(0), CONFIG)
    with pytest.raises(ValueError, match="more than 24 bits"):
        round_and_weave(v, labels + 2**23, 4, "double", Draws(0), CONFIG)
