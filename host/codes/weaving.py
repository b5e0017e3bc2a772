"""The woven stream: codes and labels as beats, one bit plane of a chunk of every sample a beat.

    data set = groups of ``banks`` samples, one after the other
    group    = chunk 0: q beats, top plane first | chunk 1 ... | label beats
    beat     = bit k * lanes + i belongs to sample k; bit 0 is the least significant of byte 0

Bit i of a plane is feature i of the chunk. A sample has a label word, then one with its weight and
one with its offset if the data set has them (`hdl.contract.protocol.label_layout`, `weight_layout`,
`offset_layout`). Of the beats of a word, number n carries its bits from n * lanes up, zeros past
its end. Missing features are codes of 0, missing samples words of 0, which are not valid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from amaranth.hdl import Shape
from amaranth.lib.data import Field
from numpy.typing import NDArray

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import LABEL_WORD_BITS, WEIGHT_BITS, WEIGHT_FRAC
from zipsgd.hdl.contract.protocol import label_layout, offset_layout, weight_layout

from ..errors import InputError
from .rounding import Codes, Ints
from .scaling import largest_code

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Geometry:
    """What a stream depends on of the engine that it is for (see
    `hdl.contract.parameters.Parameters`); the rest of an engine's configuration may change."""

    lanes: int
    banks: int
    model_bits: int
    model_frac: int

    @classmethod
    def of(cls, config: EngineConfig) -> Self:
        """That of the streams that an engine takes."""
        return cls(**{field.name: getattr(config, field.name) for field in fields(cls)})

    def difference(self, config: EngineConfig) -> str | None:
        """The first parameter in which an engine differs, as in "lanes = 16 and the engine has 32";
        None if it takes this stream."""
        for name, value in vars(self).items():
            has = getattr(config, name)
            if value != has:
                return f"{name} = {value} and the engine has {has}"
        return None


@dataclass(frozen=True, eq=False)
class Woven:
    """A woven data set.

    Parameters
    ----------
    beats : uint8 (groups * group_beats, beat_bytes)
        C order: the bytes of the stream.
    geometry : Geometry
        Of the engine that it is woven for.
    bits : int
        Bits of a code, q.
    chunks : int
        Chunks of ``lanes`` features in a sample.
    groups : int
        Groups of ``banks`` samples.
    samples, features : int
        Without padding.
    unsigned : bool
        Codes run from 0 up.
    weighted, offset : bool
        Whether samples have a weight, and an offset.
    most_weight : int
        The largest weight, `hdl.contract.formats.WEIGHT_FRAC` fractional bits; 1 without weights.
    """

    beats: Bytes
    geometry: Geometry
    bits: int
    chunks: int
    groups: int
    samples: int
    features: int
    unsigned: bool = False
    weighted: bool = False
    offset: bool = False
    most_weight: int = 1 << WEIGHT_FRAC


@dataclass(frozen=True, eq=False)
class Unwoven:
    """The samples of a woven data set, padding included: G groups, B banks, F = chunks * lanes.

    Parameters
    ----------
    codes : integers (G, B, F)
    labels : int64 (G, B)
    valid : bool (G, B)
    weights, offsets : int64 (G, B) or None
        None if the data set has none.
    """

    codes: NDArray[Any]
    labels: Ints
    valid: NDArray[np.bool_]
    weights: Ints | None
    offsets: Ints | None


def weave(
    codes: Codes | Ints,
    labels: Ints,
    bits: int,
    config: EngineConfig,
    *,
    weights: Ints | None = None,
    offsets: Ints | None = None,
    unsigned: bool = False,
) -> Woven:
    """Weave codes (n, F) of ``bits`` bits and labels (n) with ``model_frac`` fractional bits.

    Parameters
    ----------
    weights : int64 (n) or None
        Of each sample's loss, with `hdl.contract.formats.WEIGHT_FRAC` fractional bits.
    offsets : int64 (n) or None
        Added to each sample's margin, with ``model_frac`` fractional bits.
    unsigned : bool
        Codes run from 0 to 2N instead of -N to N.

    Raises
    ------
    InputError
        If ``config`` has no room for F features or codes of ``bits`` bits.
    ValueError
        If there is no sample, or a code, label, weight or offset is out of range.
    """
    samples, features = codes.shape
    check_shape((samples, features), labels, bits, config)
    least, most = code_range(bits, unsigned)
    if not least <= int(codes.min()) <= int(codes.max()) <= most:
        raise ValueError(f"a code lies outside {least} to {most}")
    words = np.zeros((groups_of(samples, config) * config.banks, 3), dtype=np.int64)
    words[:samples, 0] = label_words(labels, config)
    used = [True, weights is not None, offsets is not None]
    if weights is not None:
        _check_words(weights, samples, 0, (1 << WEIGHT_BITS) - 1, "weight")
        words[:samples, 1] = _placed(weights, weight_layout()["weight"])
    if offsets is not None:
        limit = 1 << (config.model_bits - 1)
        _check_words(offsets, samples, -limit, limit - 1, "offset")
        words[:samples, 2] = _placed(offsets, offset_layout(config)["offset"])

    groups, chunks = groups_of(samples, config), math.ceil(features / config.lanes)
    padded = np.zeros((groups * config.banks, chunks * config.lanes), dtype=codes.dtype)
    padded[:samples, :features] = codes
    planes = np.empty((groups, chunks, bits, config.beat_bytes), dtype=np.uint8)
    for plane in range(bits):
        weight = bits - 1 - plane
        planes[:, :, plane] = _to_beats(padded >> weight & 1, chunks, config)

    words = words[:, used]
    word_bits = np.zeros((*words.shape, config.label_beats * config.lanes), dtype=np.uint8)
    word_bits[..., :LABEL_WORD_BITS] = words[..., None] >> np.arange(LABEL_WORD_BITS) & 1
    label_beats = _to_beats(word_bits, sum(used) * config.label_beats, config)

    beats = np.concatenate([planes.reshape(groups, -1, config.beat_bytes), label_beats], axis=1)
    return Woven(
        beats=beats.reshape(-1, config.beat_bytes),
        geometry=Geometry.of(config),
        bits=bits,
        chunks=chunks,
        groups=groups,
        samples=samples,
        features=features,
        unsigned=unsigned,
        weighted=weights is not None,
        offset=offsets is not None,
        most_weight=1 << WEIGHT_FRAC if weights is None else int(weights.max()),
    )


def unweave(woven: Woven, config: EngineConfig) -> Unwoven:
    """The inverse of `weave`, padding included."""
    groups, chunks, bits = woven.groups, woven.chunks, woven.bits
    beats = woven.beats.reshape(groups, -1, config.beat_bytes)
    planes = beats[:, : chunks * bits].reshape(groups, chunks, bits, config.beat_bytes)
    codes = np.zeros((groups, config.banks, chunks * config.lanes), dtype=np.int64)
    for plane in range(bits):
        weight = 1 << (bits - 1 - plane)
        if plane == 0 and not woven.unsigned:
            weight = -weight
        codes += _from_beats(planes[:, :, plane], config) * weight
    return unweave_words(woven, config, codes)


def unweave_words(woven: Woven, config: EngineConfig, codes: NDArray[Any]) -> Unwoven:
    """The words of the samples of a woven data set, beside its ``codes`` (G, B, F)."""
    groups = woven.groups
    beats = woven.beats.reshape(groups, -1, config.beat_bytes)
    word_bits = _from_beats(beats[:, woven.chunks * woven.bits :], config)
    word_bits = word_bits.reshape(groups, config.banks, -1, config.label_beats * config.lanes)
    words = word_bits[..., :LABEL_WORD_BITS] << np.arange(LABEL_WORD_BITS)
    label, *others = np.moveaxis(words.sum(axis=-1), -1, 0)
    layout = label_layout(config)
    return Unwoven(
        codes=codes,
        labels=_taken(label, layout["label"]),
        valid=_taken(label, layout["valid"]).astype(np.bool_),
        weights=_taken(others.pop(0), weight_layout()["weight"]) if woven.weighted else None,
        offsets=_taken(others.pop(0), offset_layout(config)["offset"]) if woven.offset else None,
    )


def code_range(bits: int, unsigned: bool) -> tuple[int, int]:
    """The smallest and the largest code of ``bits`` bits."""
    n = largest_code(bits)
    return (0, 2 * n) if unsigned else (-n, n)


def groups_of(samples: int, config: EngineConfig) -> int:
    """Groups that hold so many samples."""
    return math.ceil(samples / config.banks)


def group_bytes(chunks: int, bits: int, config: EngineConfig) -> int:
    """Bytes of a group whose samples have no word but their label."""
    return (chunks * bits + config.label_beats) * config.beat_bytes


def check_shape(
    shape: tuple[int, ...], labels: Ints | None, bits: int, config: EngineConfig
) -> None:
    """Raises as `weave` does, but for the codes; labels are left out if they are None."""
    samples, features = shape
    if features > config.max_features:
        raise InputError(
            f"a sample has {features} features with its intercept and this engine takes "
            f"{config.max_features} ({config.max_chunks} chunks of {config.lanes} lanes); "
            "choose more lanes or fewer features"
        )
    if not 2 <= bits <= config.max_bits:
        raise InputError(f"bits = {bits} is out of range; this engine takes 2 to {config.max_bits}")
    if labels is None:
        return
    if not samples or labels.shape != (samples,):
        raise ValueError(f"{samples} samples with labels of shape {labels.shape} cannot be woven")
    if max(-int(labels.min()) - 1, int(labels.max())) >> (config.model_bits - 1):
        raise ValueError(f"a label needs more than {config.model_bits} bits")


def label_words(labels: Ints, config: EngineConfig) -> Ints:
    """Label words (n) of valid samples."""
    layout = label_layout(config)
    words: Ints = _placed(labels, layout["label"]) | 1 << layout["valid"].offset
    return words


def _check_words(values: Ints, samples: int, least: int, most: int, what: str) -> None:
    if values.shape != (samples,):
        raise ValueError(f"{samples} samples with {what}s of shape {values.shape} cannot be woven")
    if not least <= int(values.min()) <= int(values.max()) <= most:
        raise ValueError(f"{what}s lie outside {least} to {most}")


def _placed(values: Ints, field: Field) -> Ints:
    """Words with ``values`` in a field of theirs."""
    words: Ints = (values & (1 << field.width) - 1) << field.offset
    return words


def _taken(words: Ints, field: Field) -> Ints:
    """The values of a field of ``words``."""
    values: Ints = words >> field.offset & (1 << field.width) - 1
    if Shape.cast(field.shape).signed:
        sign = 1 << (field.width - 1)
        values = (values ^ sign) - sign
    return values


def _to_beats(weights: NDArray[Any], beats: int, config: EngineConfig) -> Bytes:
    """Bits (groups * banks, beats * lanes) -> bytes (groups, beats, beat_bytes)."""
    bank_major = weights.astype(np.uint8).reshape(-1, config.banks, beats, config.lanes)
    beat_major = bank_major.swapaxes(1, 2).reshape(-1, beats, config.beat_bits)
    return np.packbits(beat_major, axis=-1, bitorder="little")


def _from_beats(beats: Bytes, config: EngineConfig) -> Ints:
    """Bytes (groups, beats, beat_bytes) -> bits (groups, banks, beats * lanes)."""
    weights = np.unpackbits(beats, axis=-1, bitorder="little").astype(np.int64)
    beat_major = weights.reshape(len(beats), -1, config.banks, config.lanes)
    return beat_major.swapaxes(1, 2).reshape(len(beats), config.banks, -1)
