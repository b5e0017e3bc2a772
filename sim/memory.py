"""The simulated memory of a compiled device, which ``memory.hpp`` serves from a NumPy array."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zipsgd.hdl.contract.generators import generator_constant
from zipsgd.hdl.memory.interface import MemorySignature, request_layout

MOST_GAPS = 0.99
"""Largest probability of a rest: with 1 nothing would end."""


class MemorySettings(ctypes.Structure):
    """``MemorySettings`` of ``memory.hpp``."""

    _fields_ = (
        ("words", ctypes.c_void_p),
        ("word_count", ctypes.c_uint64),
        ("address_bits", ctypes.c_uint64),
        ("length_bits", ctypes.c_uint64),
        ("most_wait", ctypes.c_uint64),
        ("gap", ctypes.c_uint64),
        ("longest_rest", ctypes.c_uint64),
        ("seed", ctypes.c_uint64),
    )


@dataclass(frozen=True, kw_only=True)
class Waits:
    """How a simulated memory lets its device wait.

    Parameters
    ----------
    most_wait : int
        Cycles that a request may wait for its first word.
    gap : float
        Probability of a rest in a cycle.
    longest_rest : int
        Cycles of rest in a row.
    seed : int
    """

    most_wait: int = 0
    gap: float = 0.0
    longest_rest: int = 8
    seed: int = 0


def service_cycles(lengths: Iterable[int], waits: Waits) -> int:
    """Cycles that the memory takes for reads of so many words, one after the other. A job takes as
    many, and a constant, if its device is faster than its memory.

    Raises
    ------
    ValueError
        If the memory rests at random: then it depends on what the device does meanwhile.
    """
    if waits.gap:
        raise ValueError("the cycles of a memory that rests are not predicted; set gap to 0")
    state, cycles, mask = generator_constant(waits.seed) | 1, 0, (1 << 64) - 1
    for length in lengths:
        cycles += length
        if waits.most_wait:
            state ^= state << 13 & mask
            state ^= state >> 7
            state ^= state << 17 & mask
            cycles += (state >> 32) % (waits.most_wait + 1)
    return cycles


def make_words(port: MemorySignature, count: int) -> NDArray[np.uint8]:
    """An empty memory: (words, bytes of a word as Verilator stores it), least significant first."""
    bits = port.width
    size = next((size for size in (1, 2, 4, 8) if bits <= 8 * size), 4 * (-(-bits // 32)))
    return np.zeros((count, size), dtype=np.uint8)


def memory_settings(
    port: MemorySignature, words: NDArray[np.uint8], waits: Waits | None = None
) -> MemorySettings:
    """What a harness needs to serve ``port`` from ``words``, which must live as long as it does.

    Raises
    ------
    ValueError
        If ``words`` is not what `make_words` makes, or the port cannot address it.
    """
    waits = waits or Waits()
    expected = make_words(port, 0)
    if words.dtype != np.uint8 or words.ndim != 2 or words.shape[1:] != expected.shape[1:]:
        raise ValueError(
            f"words of shape {words.shape} and type {words.dtype} are not a memory of "
            f"{port.width} bits: that is (words, {expected.shape[1]}) of uint8"
        )
    if not words.flags.c_contiguous or len(words) > 1 << port.address_bits:
        raise ValueError(
            f"{len(words)} words are more than {port.address_bits} address bits reach, or not "
            "contiguous"
        )
    if not 0.0 <= waits.gap <= MOST_GAPS:
        raise ValueError(f"gap must be a probability from 0 to {MOST_GAPS}, not {waits.gap}")
    layout = request_layout(port.address_bits, port.longest)
    return MemorySettings(
        words=words.ctypes.data,
        word_count=len(words),
        address_bits=port.address_bits,
        length_bits=layout["length"].width,
        most_wait=waits.most_wait,
        gap=round(waits.gap * 2**32),
        longest_rest=waits.longest_rest,
        seed=generator_constant(waits.seed),
    )
