"""The woven stream: codes and labels as beats, one bit plane of a chunk of every sample a beat.

    data set = groups of ``banks`` samples, one after the other
    group    = chunk 0: q beats, sign plane first | chunk 1 ... | label beats
    beat     = bit k * lanes + i belongs to sample k; bit 0 is the least significant of byte 0

Bit i of a plane is feature i of the chunk. Label beat n carries the bits from n * lanes up of each
sample's label word (`hdl.protocol.label_layout`), zeros past its end. Missing features are codes
of 0, missing samples label words of 0, which are not valid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.config import LABEL_WORD_BITS, EngineConfig
from hdl.protocol import label_layout

from .errors import InputError
from .rounding import Codes, Ints
from .scaling import largest_code

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Woven:
    """A woven data set.

    Parameters
    ----------
    beats : uint8 (groups * group_beats, beat_bytes)
        C order: the bytes of the stream.
    bits : int
        Bits of a code, q.
    chunks : int
        Chunks of ``lanes`` features in a sample.
    groups : int
        Groups of ``banks`` samples.
    samples, features : int
        Without padding.
    """

    beats: Bytes
    bits: int
    chunks: int
    groups: int
    samples: int
    features: int


def weave(codes: Codes | Ints, labels: Ints, bits: int, config: EngineConfig) -> Woven:
    """Weave codes (n, F) of ``bits`` bits and labels (n) with ``model_frac`` fractional bits.

    Raises
    ------
    InputError
        If ``config`` has no room for F features or codes of ``bits`` bits.
    ValueError
        If there is no sample, or a code or label is out of range.
    """
    samples, features = codes.shape
    check_shape((samples, features), labels, bits, config)
    if max(-int(codes.min()), int(codes.max())) > largest_code(bits):
        raise ValueError(f"a code lies outside -{largest_code(bits)} to {largest_code(bits)}")
    groups, chunks = math.ceil(samples / config.banks), math.ceil(features / config.lanes)
    padded = np.zeros((groups * config.banks, chunks * config.lanes), dtype=codes.dtype)
    padded[:samples, :features] = codes
    planes = np.empty((groups, chunks, bits, config.beat_bytes), dtype=np.uint8)
    for plane in range(bits):
        weight = bits - 1 - plane
        planes[:, :, plane] = _to_beats(padded >> weight & 1, chunks, config)

    words = np.zeros((groups * config.banks, 1), dtype=np.int64)
    words[:samples, 0] = label_words(labels, config)
    word_bits = np.zeros((len(words), config.label_beats * config.lanes), dtype=np.uint8)
    word_bits[:, :LABEL_WORD_BITS] = words >> np.arange(LABEL_WORD_BITS) & 1
    label_beats = _to_beats(word_bits, config.label_beats, config)

    beats = np.concatenate([planes.reshape(groups, -1, config.beat_bytes), label_beats], axis=1)
    return Woven(
        beats=beats.reshape(-1, config.beat_bytes),
        bits=bits,
        chunks=chunks,
        groups=groups,
        samples=samples,
        features=features,
    )


def unweave(woven: Woven, config: EngineConfig) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """The inverse of `weave`, padding included: G groups, B banks, F = chunks * lanes.

    Returns
    -------
    codes int64 (G, B, F), labels int64 (G, B), valid bool (G, B)
    """
    groups, chunks, bits = woven.groups, woven.chunks, woven.bits
    beats = woven.beats.reshape(groups, -1, config.beat_bytes)
    planes = beats[:, : chunks * bits].reshape(groups, chunks, bits, config.beat_bytes)
    codes = np.zeros((groups, config.banks, chunks * config.lanes), dtype=np.int64)
    for plane in range(bits):
        weight = 1 << (bits - 1 - plane)
        codes += _from_beats(planes[:, :, plane], config) * (-weight if plane == 0 else weight)

    word_bits = _from_beats(beats[:, chunks * bits :], config)[:, :, :LABEL_WORD_BITS]
    words = (word_bits << np.arange(LABEL_WORD_BITS)).sum(axis=-1)
    fields = label_layout(config)
    label, valid = fields["label"], fields["valid"]
    unused = 64 - label.width  # shifted out and back, so that the sign is extended
    labels = words >> label.offset << unused >> unused
    return codes, labels, (words >> valid.offset & 1).astype(np.bool_)


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
    fields = label_layout(config)
    label, valid = fields["label"], fields["valid"]
    words: Ints = (labels & (1 << label.width) - 1) << label.offset | 1 << valid.offset
    return words


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
