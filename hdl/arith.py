"""Arithmetic of the contract as gateware: the twins of the functions in `sim.golden`.

The rounding functions build expressions and no registers; `sum_tree` and `delay` add registers and
say how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from .config import is_power_of_two


def saturate(m: Module, value: Value, bits: int) -> tuple[Value, Value]:
    """The nearest signed ``bits``-bit value, and a flag that says that ``value`` did not fit."""
    if len(value) <= bits:
        return value.as_signed(), Const(0, 1)
    top, overflow, nearest = Signal(len(value) - bits + 1), Signal(), Signal(signed(bits))
    limit = Const((1 << (bits - 1)) - 1, bits) ^ value[-1].replicate(bits)
    m.d.comb += [
        top.eq(value[bits - 1 :]),
        overflow.eq(top.any() & ~top.all()),
        nearest.eq(Mux(overflow, limit, value[:bits])),
    ]
    return nearest, overflow


def clamp(m: Module, value: Value, bits: int) -> Signal:
    """The nearest unsigned ``bits``-bit value to an unsigned one."""
    nearest = Signal(bits)
    m.d.comb += nearest.eq(Mux(value[bits:].any(), (1 << bits) - 1, value[:bits]))
    return nearest


def half(drop: Value, most: int) -> Value:
    """``2**(drop - 1)``, or 0 where ``drop`` is 0; ``drop`` is at most ``most``."""
    return ((Const(1, most + 1) << drop)[: most + 1] >> 1)[:most] if most else Const(0, 1)


def round_nearest(value: Value, drop: Value, most: int) -> Value:
    """``value / 2**drop`` to the nearest integer, ties up; ``drop`` is at most ``most``."""
    return (value + half(drop, most)) >> drop


def dither(random: Value, drop: int, random_bits: int) -> Value:
    """What is added before ``drop`` bits fall: the ``random_bits`` lowest bits of ``random`` on
    top, then half of their last place."""
    below = drop - random_bits
    random = random[:random_bits]
    return Cat(Const(1 << below >> 1, below), random) if below else random


def round_stochastic(value: Value, random: Value, drop: int, random_bits: int) -> Value:
    """``value / 2**drop`` rounded up with a probability equal to the dropped fraction."""
    return (value + dither(random, drop, random_bits)) >> drop


def sum_comb(terms: Sequence[Value]) -> Value:
    """Balanced sum without registers."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return sum_comb(terms[:middle]) + sum_comb(terms[middle:])


def sum_tree(m: Module, terms: Sequence[Value]) -> Value:
    """Balanced sum of 2**n terms with a register after every level (`tree_latency` cycles)."""
    assert is_power_of_two(len(terms)), f"{len(terms)} terms"
    while len(terms) > 1:
        sums = []
        for left, right in zip(terms[::2], terms[1::2], strict=True):
            total = Signal((left + right).shape())
            m.d.sync += total.eq(left + right)
            sums.append(total)
        terms = sums
    return terms[0]


def delay(m: Module, value: Any, cycles: int) -> Any:
    """``value``, ``cycles`` cycles later."""
    for _ in range(cycles):
        later = Signal(value.shape())
        m.d.sync += later.eq(value)
        value = later
    return value
