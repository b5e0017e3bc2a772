"""Arithmetic as gateware: `saturate` and the roundings are twins of functions in `sim.golden`.

The rounding functions build expressions and no registers; `sum_tree` and `delay` add registers and
say how many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.memory import ReadPort

from ..contract.config import is_power_of_two

HANDS = 8
"""Most cycles that `fanout_chain` takes, fewer than from a job's start to its first update."""

DSP_BITS = 18
"""Signed operands that one multiplier of an FPGA takes, the usual width."""


LONG_PRODUCT_CYCLES = 3
"""Latency of `long_product`: a register after the pieces' products, and one after each of up to two
levels of sums."""

ADDED_BITS = 4
"""A factor of so few bits is not worth a DSP block."""


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


def sum_tree(
    m: Module, terms: Sequence[Value], levels: int = 1, *, registered: bool = True
) -> Value:
    """Balanced sum of 2**n terms, a register after every ``levels`` levels and, if ``registered``,
    after the last (then it takes `tree_latency` cycles)."""
    assert is_power_of_two(len(terms)), f"{len(terms)} terms"
    level = 0
    while len(terms) > 1:
        level += 1
        terms = [left + right for left, right in zip(terms[::2], terms[1::2], strict=True)]
        if registered if len(terms) == 1 else level % levels == 0:
            terms = [delay(m, term, 1) for term in terms]
    return terms[0]


def sum_with_carry(a: Value, b: Value, carry: Value) -> Value:
    """a + b + carry (signed) in a single carry chain: the carry enters as a place below."""
    total = Cat(carry, a).as_signed() + Cat(carry, b).as_signed()
    return total[1:].as_signed()


def add_or_subtract(a: Value, b: Value, subtract: Value) -> Value:
    """a + b, or a - b where ``subtract`` (signed), in a single carry chain."""
    flipped = b.as_unsigned() ^ subtract.replicate(len(b))
    return sum_with_carry(a, flipped.as_signed(), subtract)


def fold_plane(folded: Value, term: Value, first: Value, carry: Value) -> Value:
    """What a plane's ``term`` makes of the planes before it, by Horner's rule: 2 * folded + term;
    the first one takes their place.

    Where a term is to be subtracted, it comes complemented, and ``carry`` is set with the plane
    after it and with it adds what the complement is short of: 2 there, or 1 of its own and 1 for
    the carry of a complemented sum. So the mux joins the adder's LUTs, which adding to zero could
    not, and the first plane needs no carry.
    """
    joined = sum_with_carry(Cat(carry, folded).as_signed(), term, carry)
    return Mux(first, term, joined)


def registered_product(m: Module, a: Value, b: Value) -> Signal:
    """a * b, a cycle later, from a register without reset: what a DSP block's output register
    can be. If ``a`` has but a few bits, adders make the product."""
    value = a * b
    if len(a) <= ADDED_BITS and not a.shape().signed:
        value = sum_comb([Mux(a[place], b, 0) << place for place in range(len(a))])
    product = Signal(value.shape(), reset_less=True)
    m.d.sync += product.eq(value)
    return product


def partial_products(m: Module, a: Value, b: Value) -> Value:
    """a * b, a cycle later; ``b`` is cut in two where a DSP block is too narrow for it. The parts'
    products are in registers, their sum is not."""
    if len(b) + (not b.shape().signed) <= DSP_BITS:
        return registered_product(m, a, b)
    place = len(b) // 2
    high = b[place:].as_signed() if b.shape().signed else b[place:]
    low = registered_product(m, a, b[:place])
    return (registered_product(m, a, high) << place) + low


def long_product(m: Module, a: Value, b: Value) -> Value:
    """a * b (unsigned), three cycles later: two factors of up to two pieces of DSP blocks, or one
    of up to four and one of a single piece. Sums have a register each."""
    piece = DSP_BITS - 1
    terms, cycles = [], 1
    for place in range(0, len(a), piece):
        for at in range(0, len(b), piece):
            product = registered_product(m, a[place : place + piece], b[at : at + piece])
            terms.append(product << place + at)
    while len(terms) > 1:
        cycles += 1
        terms = [delay(m, sum_comb(terms[n : n + 2]), 1) for n in range(0, len(terms), 2)]
    assert cycles <= LONG_PRODUCT_CYCLES, f"{len(a)} x {len(b)} bits"
    return delay(m, terms[0], LONG_PRODUCT_CYCLES - cycles)


def registered_read(m: Module, read: ReadPort, read_latency: int) -> Any:
    """What a memory's port shows ``read_latency`` cycles after its address. The register is without
    reset, so that it can be the memory's own."""
    if read_latency == 1:
        return read.data
    register = Signal(read.data.shape(), reset_less=True)
    m.d.sync += register.eq(read.data)
    return register


def fanout_chain(m: Module, value: Value, lanes: int, sharing: int = 4) -> list[Value]:
    """``value`` for each of ``lanes`` lanes: one that stands still during a job, or a pulse from
    one job to the next.

    It goes from a few lanes, ``sharing`` or more, to the next through registers, `HANDS` at most,
    so that no wire spans all of them.
    """
    sharing = max(sharing, math.ceil(lanes / HANDS))
    copies: list[Value] = []
    for lane in range(lanes):
        if lane % sharing == 0:
            value = delay(m, value, 1)
        copies.append(value)
    return copies


def fanout_tree(m: Module, value: Value, cycles: int, users: int) -> list[Value]:
    """``value`` for each of many ``users``, ``cycles`` cycles later, through a tree of registers:
    every cycle there are twice as many, so that none drives users far from each other.

    Neighbours in the tree begin differently, or synthesis would make one register of them: what
    they begin with must not matter.
    """
    shape = value.shape()
    ones = -1 if shape.signed else (1 << shape.width) - 1
    copies = [value]
    for _ in range(cycles):
        wanted, above = min(2 * len(copies), users), copies
        copies = [Signal(shape, init=ones * (place % 2)) for place in range(wanted)]
        for place, copy in enumerate(copies):
            m.d.sync += copy.eq(above[place * len(above) // wanted])
    return [copies[user * len(copies) // users] for user in range(users)]


def delay(m: Module, value: Any, cycles: int, *, reset_less: bool = False) -> Any:
    """``value``, ``cycles`` cycles later; from registers without reset, so that they can be those
    of a block, if ``reset_less``."""
    for _ in range(cycles):
        later = Signal(value.shape(), reset_less=reset_less)
        m.d.sync += later.eq(value)
        value = later
    return value
