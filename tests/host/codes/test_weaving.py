"""The woven stream against a slow, literal reading of its definition."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.geometries import ALL, GEOMETRIES
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import WEIGHT_BITS
from zipsgd.hdl.contract.job import Job
from zipsgd.hdl.contract.protocol import label_layout, offset_layout, weight_layout
from zipsgd.host.codes import fused
from zipsgd.host.codes.rounding import Ints
from zipsgd.host.codes.weaving import Woven, code_range, group_bytes, unweave, weave
from zipsgd.host.errors import InputError


@dataclass(frozen=True)
class Case:
    """What is woven."""

    config: EngineConfig
    bits: int
    codes: Ints
    labels: Ints
    weights: Ints | None
    offsets: Ints | None
    unsigned: bool

    def weave(self) -> Woven:
        words = {"weights": self.weights, "offsets": self.offsets}
        return weave(
            self.codes, self.labels, self.bits, self.config, unsigned=self.unsigned, **words
        )


@st.composite
def data_sets(draw: st.DrawFn) -> Case:
    config = GEOMETRIES[draw(st.sampled_from(ALL))]
    bits = draw(st.integers(2, config.max_bits))
    samples = draw(st.integers(1, 3 * config.banks + 1))
    features = draw(st.integers(1, min(3 * config.lanes + 1, config.max_features)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    limit = 2 ** (config.model_bits - 1)
    unsigned = draw(st.booleans())
    least, most = code_range(bits, unsigned)
    codes = rng.integers(least, most + 1, size=(samples, features))
    codes[0, 0], codes[-1, -1] = least, most
    labels, offsets = rng.integers(-limit, limit, size=(2, samples))
    weights = rng.integers(0, 1 << WEIGHT_BITS, size=samples)
    labels[0] = draw(st.sampled_from([-limit, limit - 1, -1, 0]))
    offsets[0] = draw(st.sampled_from([-limit, limit - 1, -1, 0]))
    weights[0] = draw(st.sampled_from([0, (1 << WEIGHT_BITS) - 1]))
    return Case(
        config,
        bits,
        codes,
        labels,
        weights if draw(st.booleans()) else None,
        offsets if draw(st.booleans()) else None,
        unsigned,
    )


def literal_words(case: Case, sample: int) -> list[int]:
    """The label words of a sample, each by its layout."""
    fields = {"label": int(case.labels[sample]), "valid": 1}
    words = [label_layout(case.config).const(fields).as_bits()]
    if case.weights is not None:
        weight = {"weight": int(case.weights[sample])}
        words.append(weight_layout().const(weight).as_bits())
    if case.offsets is not None:
        offset = {"offset": int(case.offsets[sample])}
        words.append(offset_layout(case.config).const(offset).as_bits())
    return words


def literal_stream(case: Case) -> list[int]:
    """The beats as integers, one bit at a time."""
    config, bits, codes = case.config, case.bits, case.codes
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
        count = 1 + (case.weights is not None) + (case.offsets is not None)
        words = [literal_words(case, s) if s < samples else [0] * count for s in members]
        mask = (1 << config.lanes) - 1
        for which, n in product(range(count), range(config.label_beats)):
            parts = [sample[which] >> n * config.lanes & mask for sample in words]
            beats.append(sum(part << k * config.lanes for k, part in enumerate(parts)))
    return beats


@given(data_sets())
def test_beats_are_those_of_the_definition(case: Case) -> None:
    woven = case.weave()
    beats = [int.from_bytes(beat.tobytes(), "little") for beat in woven.beats]
    assert beats == literal_stream(case)


@given(data_sets())
def test_beats_are_as_many_as_the_job_takes(case: Case) -> None:
    config, woven = case.config, case.weave()
    job = Job(
        epochs=(),
        bits=case.bits,
        chunks=woven.chunks,
        groups=woven.groups,
        batch_groups=1,
        delay=1,
        sync=False,
        corrected=False,
        seed=0,
        weighted=woven.weighted,
        offset=woven.offset,
    )
    assert woven.beats.shape == (woven.groups * job.group_beats(config), config.beat_bytes)
    if job.label_words == 1:
        assert woven.beats.size == woven.groups * group_bytes(woven.chunks, case.bits, config)


@given(data_sets())
def test_unweaving_gives_back_what_was_woven(case: Case) -> None:
    config, woven = case.config, case.weave()
    back = unweave(woven, config)
    fast = fused.unweave(woven, config)
    for name, values in vars(back).items():
        assert np.array_equal(getattr(fast, name), values), name
    samples, features = case.codes.shape
    shape = (woven.groups, config.banks)
    assert back.codes.shape == (*shape, woven.chunks * config.lanes)
    rows = back.codes.reshape(woven.groups * config.banks, -1)
    assert np.array_equal(rows[:samples, :features], case.codes)
    assert not rows[samples:].any() and not rows[:, features:].any()
    for values, expected in (
        (back.labels, case.labels),
        (back.weights, case.weights),
        (back.offsets, case.offsets),
    ):
        if expected is None:
            assert values is None
        else:
            assert values is not None and values.shape == shape
            rest = np.pad(expected, (0, values.size - samples))
            assert np.array_equal(values.ravel(), rest)
    assert np.array_equal(back.valid.ravel(), np.arange(back.valid.size) < samples)
    assert (woven.bits, woven.samples, woven.features) == (case.bits, samples, features)
    assert woven.unsigned == case.unsigned


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64])
def test_the_integer_type_of_the_codes_does_not_matter(dtype: type[np.signedinteger]) -> None:
    config, rng = GEOMETRIES["16x4"], np.random.default_rng(1)
    codes, labels = rng.integers(-7, 8, size=(10, 20)), rng.integers(-100, 100, size=10)
    wide = weave(codes, labels, 4, config)
    assert np.array_equal(weave(codes.astype(dtype), labels, 4, config).beats, wide.beats)


def refused(codes: Ints, bits: int = 4, labels: Ints | None = None, **words: Any) -> Woven:
    if labels is None:
        labels = np.zeros(len(codes), dtype=np.int64)
    return weave(codes, labels, bits, EngineConfig(lanes=4, banks=2, max_chunks=2), **words)


def test_what_the_engine_has_no_room_for_is_refused_with_advice() -> None:
    with pytest.raises(InputError, match=r"9 features .* takes 8 \(2 chunks of 4 lanes\); choose"):
        refused(np.zeros((3, 9), dtype=np.int8))
    with pytest.raises(InputError, match="bits = 9 is out of range; this engine takes 2 to 8"):
        refused(np.zeros((3, 5), dtype=np.int16), bits=9)


@pytest.mark.parametrize("code", [8, -8])
def test_codes_out_of_range_are_refused(code: int) -> None:
    with pytest.raises(ValueError, match="outside -7 to 7"):
        refused(np.array([[0, code]], dtype=np.int8))


@pytest.mark.parametrize("code", [15, -1])
def test_unsigned_codes_out_of_range_are_refused(code: int) -> None:
    with pytest.raises(ValueError, match="outside 0 to 14"):
        refused(np.array([[0, code]], dtype=np.int8), unsigned=True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"weights": np.array([4096])}, "weights lie outside 0 to 4095"),
        ({"weights": np.array([-1])}, "weights lie outside 0 to 4095"),
        ({"offsets": np.array([2**23])}, "offsets lie outside -8388608 to 8388607"),
        ({"offsets": np.array([0, 0])}, r"offsets of shape \(2,\) cannot be woven"),
    ],
)
def test_words_out_of_range_are_refused(words: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        refused(np.zeros((1, 2), dtype=np.int8), **words)


@pytest.mark.parametrize("label", [2**23, -(2**23) - 1])
def test_labels_out_of_range_are_refused(label: int) -> None:
    with pytest.raises(ValueError, match="more than 24 bits"):
        refused(np.zeros((1, 2), dtype=np.int8), labels=np.array([label]))


def test_samples_and_labels_must_agree() -> None:
    with pytest.raises(ValueError, match="cannot be woven"):
        refused(np.zeros((3, 2), dtype=np.int8), labels=np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="cannot be woven"):
        refused(np.zeros((0, 2), dtype=np.int8))
