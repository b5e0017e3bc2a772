"""Rounding and weaving in one compiled pass, at memory speed.

The same bits as `host.codes.rounding.round_codes` followed by `host.codes.weaving.weave`, which say
what they mean. A row is rounded into a buffer that stays in the cache, in loops that the compiler
makes vectors of; then eight codes at a time are turned into one byte a plane.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.sim.compiled import compiled

from ..data.dataset import Floats
from .rounding import (
    MIX_1,
    MIX_2,
    OUT_OF_RANGE,
    WEYL,
    WORD_BITS,
    Codes,
    Draws,
    Ints,
    Rounding,
    check_rounding,
    code_type,
    fraction_bits,
)
from .scaling import largest_code
from .weaving import (
    Geometry,
    Unwoven,
    Woven,
    check_shape,
    group_bytes,
    groups_of,
    label_words,
    unweave_words,
)

MAGIC = 1.5 * 2.0**52
"""Added to a number below 2**51 it leaves the nearest integer in the low bits, ties to even."""

MAGIC_BITS = np.float64(MAGIC).view(np.int64)
MODES = {"double": 0, "single": 1, "nearest": 2}


def round_and_weave(
    v: Floats,
    labels: Ints,
    bits: int,
    rounding: Rounding,
    draws: Draws,
    config: EngineConfig,
    first_row: int = 0,
) -> Woven:
    """``weave(round_codes(v, ...), labels, ...)``, fused.

    Parameters
    ----------
    v : float64 (n, F)
        In [-1, 1].
    labels : int64 (n)
    first_row : int
        Where row 0 stands in the data set; a multiple of the banks if parts are to be joined.

    Raises
    ------
    InputError, ValueError
        As the two functions do.
    """
    check_rounding(bits, rounding)
    check_shape(v.shape, labels, bits, config)
    samples, features = v.shape
    groups, chunks = groups_of(samples, config), math.ceil(features / config.lanes)
    beats = np.zeros((groups, group_bytes(chunks, bits, config)), dtype=np.uint8)
    words = label_words(labels, config)
    shape = (config.lanes, config.banks, chunks, bits)
    n, row = float(largest_code(bits)), np.zeros(chunks * max(config.lanes, 8), dtype=np.int32)
    rows, key = np.ascontiguousarray(v), np.uint64(draws.key)
    places = fraction_bits(bits)
    if not _fused(rows, words, n, places, MODES[rounding], key, first_row, shape, row, beats):
        raise ValueError(OUT_OF_RANGE)
    return Woven(
        beats=beats.reshape(-1, config.beat_bytes),
        geometry=Geometry.of(config),
        bits=bits,
        chunks=chunks,
        groups=groups,
        samples=samples,
        features=features,
    )


_jit: Any = compiled(nogil=True)


@_jit
def _fused(
    v: Floats,
    words: Ints,
    n: float,
    places: int,
    mode: int,
    key: np.uint64,
    first_row: int,
    shape: tuple[int, int, int, int],
    row: NDArray[np.int32],
    beats: NDArray[np.uint8],
) -> bool:
    """Fills ``beats`` (groups, group_bytes), which are zero; false if a value is out of range."""
    lanes, banks, chunks, bits = shape
    samples, features = v.shape
    steps = (n if mode == 1 else n / 2) * 2.0**places
    position = np.empty(features)
    raw = position.view(np.int64)
    unit = min(lanes, 8)  # features of one sample that share a byte
    beat_bytes = lanes * banks // 8
    label_start = chunks * bits * beat_bytes
    good = True
    for sample in range(samples):
        group, bank = sample // banks, sample % banks
        out = beats[group]
        number = first_row + sample
        good &= _round_row(v[sample], n, places, mode, steps, key, number, position, raw, row)
        for start in range(0, chunks * lanes, unit):
            chunk = start // lanes
            bit = bank * lanes + start % lanes
            place = (chunk * bits + bits - 1) * beat_bytes + bit // 8
            for weight in range(0, bits, 8):
                planes = np.uint64(0)
                for i in range(unit):
                    code = np.uint64(row[start + i]) >> np.uint64(weight)
                    planes |= (code & np.uint64(255)) << np.uint64(8 * i)
                planes = _transpose(planes)
                for _ in range(min(bits - weight, 8)):
                    out[place] |= np.uint8((planes & np.uint64(255)) << np.uint64(bit % 8))
                    planes >>= np.uint64(8)
                    place -= beat_bytes
        for start in range(0, 32, unit):
            part = np.uint64(words[sample] >> start) & np.uint64((1 << unit) - 1)
            bit = bank * lanes + start % lanes
            place = label_start + start // lanes * beat_bytes + bit // 8
            out[place] |= np.uint8(part << np.uint64(bit % 8))
    return good


@numba.njit(inline="always")
def _transpose(x: Any) -> Any:
    """8 bytes of 8 bits: bit j of byte i to bit i of byte j (Warren, Hacker's Delight, 7-3)."""
    for shift, mask in (
        (np.uint64(7), np.uint64(0x00AA00AA00AA00AA)),
        (np.uint64(14), np.uint64(0x0000CCCC0000CCCC)),
        (np.uint64(28), np.uint64(0x00000000F0F0F0F0)),
    ):
        swapped = (x ^ (x >> shift)) & mask
        x = x ^ swapped ^ (swapped << shift)
    return x


@numba.njit(inline="always")
def _word(key: Any, index: Any) -> Any:
    """`Draws.words`, one of them."""
    word = key + (index + np.uint64(1)) * np.uint64(WEYL)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(MIX_1)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(MIX_2)
    return word ^ (word >> np.uint64(31))


@_jit
def _round_row(
    v: Floats,
    n: float,
    places: int,
    mode: int,
    steps: float,
    key: np.uint64,
    number: int,
    position: Floats,
    raw: Ints,
    row: NDArray[np.int32],
) -> bool:
    """`host.codes.rounding.round_values` of one row; ``raw`` are the bits of ``position``."""
    features = len(v)
    good = True
    for j in range(features):
        good &= abs(v[j]) <= 1.0
    if mode == 2:
        for j in range(features):
            position[j] = v[j] * n + MAGIC
        for j in range(features):
            row[j] = np.int32(raw[j] - MAGIC_BITS)
        return good
    for j in range(features):
        position[j] = (v[j] + 1.0) * steps + MAGIC
    top, below = np.int32(n), np.uint64(WORD_BITS - places)
    first = np.uint64(number) * np.uint64(features)
    for j in range(features):
        place = raw[j] - MAGIC_BITS
        fraction = (np.uint64(place) << below) & np.uint64(0xFFFFFFFF)
        lower = np.int32(place >> places)
        word = _word(key, first + np.uint64(j))
        up = np.int32((word >> np.uint64(32)) < fraction)
        if mode == 0:
            up += np.int32((word & np.uint64(0xFFFFFFFF)) < fraction) + lower
        row[j] = lower + up - top
    return good


def unweave(woven: Woven, config: EngineConfig) -> Unwoven:
    """What `host.codes.weaving.unweave` gives, at memory speed: codes of a byte as int8, wider ones
    as int32 if that holds them."""
    if woven.bits + woven.unsigned > 8 or config.lanes % 8:
        return _unweave_wide(woven, config)
    shape = (woven.groups, config.banks, woven.chunks * config.lanes)
    eights = np.empty((woven.groups * config.banks, shape[2] // 8), dtype=np.uint64)
    layout = (config.lanes, config.banks, woven.bits)
    _unweave_bytes(woven.beats.reshape(woven.groups, -1), layout, woven.unsigned, eights)
    return unweave_words(woven, config, eights.view(np.int8).reshape(shape))


@_jit
def _unweave_bytes(
    beats: NDArray[np.uint8],
    layout: tuple[int, int, int],
    unsigned: bool,
    eights: NDArray[np.uint64],
) -> None:
    """Codes of every sample, each a byte of ``eights`` (samples, F / 8)."""
    lanes, banks, bits = layout
    beat_bytes = lanes * banks // 8
    tops = np.uint64(0x8080808080808080)
    signs = tops >> np.uint64(8 - bits)
    extend = bits < 8 and not unsigned
    for sample in range(len(eights)):
        source, row = beats[sample // banks], eights[sample]
        for start in range(len(row)):
            bit = sample % banks * lanes + 8 * start % lanes
            place = (8 * start // lanes * bits + bits - 1) * beat_bytes + bit // 8
            codes = np.uint64(0)
            for weight in range(bits):
                codes |= np.uint64(source[place]) << np.uint64(8 * weight)
                place -= beat_bytes
            codes = _transpose(codes)
            if extend:  # (code ^ sign) - sign, a byte each: the tops keep borrows apart
                codes = (((codes ^ signs) | tops) - signs) ^ tops
            row[start] = codes


def _unweave_wide(woven: Woven, config: EngineConfig) -> Unwoven:
    wide = woven.unsigned and woven.bits == 32
    shape = (woven.groups * config.banks, woven.chunks * config.lanes)
    codes = np.empty(shape, dtype=np.int64 if wide else np.int32)
    _unweave_into(codes, woven, config, 0)
    return unweave_words(woven, config, codes.reshape(woven.groups, config.banks, -1))


def unweave_rows(woven: Woven, config: EngineConfig, start: int, stop: int) -> Codes:
    """Codes (stop - start, F) of some samples: what `host.codes.weaving.unweave` gives, faster."""
    shape = (min(stop, woven.samples) - start, woven.features)
    codes: Codes = np.empty(shape, dtype=code_type(max(woven.bits, 16)))
    _unweave_into(codes, woven, config, start)
    return codes


def _unweave_into(codes: NDArray[Any], woven: Woven, config: EngineConfig, first: int) -> None:
    """The first features of samples from number ``first`` on."""
    beats = woven.beats.reshape(woven.groups, -1)
    _unweave(beats, first, (config.lanes, config.banks, woven.bits), not woven.unsigned, codes)


@_jit
def _unweave(
    beats: NDArray[np.uint8],
    first: int,
    shape: tuple[int, int, int],
    signed: bool,
    codes: NDArray[Any],
) -> None:
    lanes, banks, bits = shape
    unit = min(lanes, 8)
    beat_bytes = lanes * banks // 8
    for sample in range(len(codes)):
        group, bank = (first + sample) // banks, (first + sample) % banks
        source, row = beats[group], codes[sample]
        for start in range(0, len(row), unit):
            bit = bank * lanes + start % lanes
            place = (start // lanes * bits + bits - 1) * beat_bytes + bit // 8
            count = min(unit, len(row) - start)
            row[start : start + count] = 0
            for weight in range(0, bits, 8):
                planes = np.uint64(0)
                top = min(bits - weight, 8)
                for plane in range(top):
                    planes |= np.uint64(source[place] >> bit % 8) << np.uint64(8 * plane)
                    place -= beat_bytes
                planes = _transpose(planes)
                for i in range(count):
                    byte = np.int64(planes >> np.uint64(8 * i) & np.uint64(255))
                    if signed and weight + top == bits:  # the highest bit is the sign
                        byte -= byte >> (top - 1) << top
                    row[start + i] |= byte << weight
