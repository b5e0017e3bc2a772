"""The woven stream against a slow, literal reading of its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.config import EngineConfig
from hdl.protocol import label_layout
from host.errors import InputError
from host.rounding import Ints
from host.weaving import Woven, unweave, weave
from tests.geometries import ALL, GEOMETRIES


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[EngineConfig, int, Ints, Ints]:
    config = GEOMETRIES[draw(st.sampled_from(ALL))]
    bits = draw(st.integers(2, config.max_bits))
    samples = draw(st.integers(1, 3 * config.banks + 1))
    features = draw(st.integers(1, min(3 * config.lanes + 1, config.max_features)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    largest, limit = 2 ** (bits - 1) - 1, 2 ** (config.model_bits - 1)
    codes = rng.integers(-largest, largest + 1, size=(samples, features))
    labels = rng.integers(-limit, limit, size=samples)
    labels[0] = draw(st.sampled_from([-limit, limit - 1, -1, 0]))
    return config, bits, codes, labels


def literal_stream(config: EngineConfig, bits: int, codes: Ints, labels: Ints) -> list[int]:
    """The beats as integers, one bit at a time."""
    samples, features = codes.shape
    groups, chunks = -(-samples // config.banks), -(-features // config.lanes)
    beats = []
    for group in range(groups):
        members = [group * config.banks + k for k in range(config.banks)]
        for chunk in range(chunks):
            for weight in reversed(range(bits)):
                beat = 0
                for k, sample in enumerate(members):
                    for i in range(config.lanes):
                        feature = chunk * config.lanes + i
                        if sample < samples and feature < features:
                            word = int(codes[sample, feature]) % (1 << bits)
                            beat |= (word >> weight & 1) << (k * config.lanes + i)
                beats.append(beat)
        words = [
            label_layout(config).const({"label": int(labels[s]), "valid": 1}).as_bits()
            if s < samples
            else 0
            for s in members
        ]
        for n in range(config.label_beats):
            mask = (1 << config.lanes) - 1
            beats.append(
                sum(
                    (word >> n * config.lanes & mask) << k * config.lanes
                    for k, word in enumerate(words)
                )
            )
    return beats


@given(data_sets())
def test_beats_are_those_of_the_definition(
    case: tuple[EngineConfig, int, Ints, Ints],
) -> None:
    config, bits, codes, labels = case
    woven = weave(codes, labels, bits, config)
    beats = [int.from_bytes(beat.tobytes(), "little") for beat in woven.beats]
    assert beats == literal_stream(config, bits, codes, labels)
    assert len(beats) == woven.groups * config.group_beats(woven.chunks, bits)


@given(data_sets())
def test_unweaving_gives_back_what_was_woven(
    case: tuple[EngineConfig, int, Ints, Ints],
) -> None:
    config, bits, codes, labels = case
    woven = weave(codes, labels, bits, config)
    back, back_labels, valid = unweave(woven, config)
    samples, features = codes.shape
    assert back.shape == (woven.groups, config.banks, woven.chunks * config.lanes)
    rows = back.reshape(woven.groups * config.banks, -1)
    assert np.array_equal(rows[:samples, :features], codes)
    assert not rows[samples:].any() and not rows[:, features:].any()
    assert np.array_equal(back_labels.ravel()[:samples], labels)
    assert not back_labels.ravel()[samples:].any()
    assert np.array_equal(valid.ravel(), np.arange(valid.size) < samples)
    assert (woven.bits, woven.samples, woven.features) == (bits, samples, features)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64])
def test_the_integer_type_of_the_codes_does_not_matter(dtype: type[np.signedinteger]) -> None:
    config, rng = GEOMETRIES["16x4"], np.random.default_rng(1)
    codes, labels = rng.integers(-7, 8, size=(10, 20)), rng.integers(-100, 100, size=10)
    wide = weave(codes, labels, 4, config)
    assert np.array_equal(weave(codes.astype(dtype), labels, 4, config).beats, wide.beats)


def refused(codes: Ints, bits: int = 4, labels: Ints | None = None) -> Woven:
    if labels is None:
        labels = np.zeros(len(codes), dtype=np.int64)
    return weave(codes, labels, bits, EngineConfig(lanes=4, banks=2, max_chunks=2))


def test_what_the_engine_has_no_room_for_is_refused_with_advice() -> None:
    with pytest.raises(InputError, match=r"9 features .* takes 8 \(2 chunks of 4 lanes\); choose"):
        refused(np.zeros((3, 9), dtype=np.int8))
    with pytest.raises(InputError, match="bits = 9 is out of range; this engine takes 2 to 8"):
        refused(np.zeros((3, 5), dtype=np.int16), bits=9)


@pytest.mark.parametrize("code", [8, -8])
def test_codes_out_of_range_are_refused(code: int) -> None:
    with pytest.raises(ValueError, match="outside -7 to 7"):
        refused(np.array([[0, code]], dtype=np.int8))


@pytest.mark.parametrize("label", [2**23, -(2**23) - 1])
def test_labels_out_of_range_are_refused(label: int) -> None:
    with pytest.raises(ValueError, match="more than 24 bits"):
        refused(np.zeros((1, 2), dtype=np.int8), labels=np.array([label]))


def test_samples_and_labels_must_agree() -> None:
    with pytest.raises(ValueError, match="cannot be woven"):
        refused(np.zeros((3, 2), dtype=np.int8), labels=np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="cannot be woven"):
        refused(np.zeros((0, 2), dtype=np.int8))
