"""The roundings of `hdl.lib.arith` against their twins in `sim.golden`: every value, exhaustively.

Each test builds one circuit whose inputs run through all their values in Amaranth's simulator.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, Value, signed, unsigned
from amaranth.sim import Simulator, SimulatorContext

from zipsgd.hdl.lib import arith
from zipsgd.sim import golden

VALUE_BITS = 6
VALUES = range(-(1 << (VALUE_BITS - 1)), 1 << (VALUE_BITS - 1))
MOST_DROP = 5


def results(
    m: Module, inputs: Sequence[Signal], points: Sequence[tuple[int, ...]], outputs: Sequence[Value]
) -> list[tuple[int, ...]]:
    """The outputs of a combinational circuit at each point."""
    seen = []

    async def visit(ctx: SimulatorContext) -> None:
        for point in points:
            for signal, value in zip(inputs, point, strict=True):
                ctx.set(signal, value)
            seen.append(tuple(ctx.get(output) for output in outputs))

    simulator = Simulator(m)
    simulator.add_testbench(visit)
    simulator.run()
    return seen


def evaluate(
    build: Callable[..., Value], shapes: Sequence[object], points: Sequence[tuple[int, ...]]
) -> list[int]:
    """``build`` of signals with these shapes, at each point."""
    m, inputs = Module(), [Signal(shape, name=f"i{n}") for n, shape in enumerate(shapes)]
    value = Value.cast(build(*inputs))
    # Wider than the expression: the sign, or its absence, must be right as well.
    out = Signal(signed(len(value) + 2))
    m.d.comb += out.eq(value)
    return [result for (result,) in results(m, inputs, points, [out])]


@pytest.mark.parametrize("bits", range(1, VALUE_BITS + 3))
def test_saturate(bits: int) -> None:
    m, value = Module(), Signal(signed(VALUE_BITS))
    nearest, overflow = arith.saturate(m, value, bits)
    out, flag = Signal(signed(VALUE_BITS + 2)), Signal()
    m.d.comb += [out.eq(nearest), flag.eq(overflow)]
    seen = results(m, [value], [(v,) for v in VALUES], [out, flag])
    clipped, flags = golden.saturate(np.array(VALUES), bits)
    assert seen == list(zip(clipped.tolist(), flags.astype(int).tolist(), strict=True))


@pytest.mark.parametrize("most", range(MOST_DROP + 1))
def test_half(most: int) -> None:
    drops = range(most + 1)
    seen = evaluate(lambda drop: arith.half(drop, most), [range(most + 1)], [(d,) for d in drops])
    assert seen == [1 << drop >> 1 for drop in drops]


@pytest.mark.parametrize("most", range(MOST_DROP + 1))
@pytest.mark.parametrize("value_bits", (2, VALUE_BITS))
def test_round_nearest(value_bits: int, most: int) -> None:
    """Every value and every drop at run time; also values narrower than what is dropped."""
    values = range(-(1 << (value_bits - 1)), 1 << (value_bits - 1))
    points = list(itertools.product(values, range(most + 1)))
    seen = evaluate(
        lambda value, drop: arith.round_nearest(value, drop, most),
        [signed(value_bits), range(most + 1)],
        points,
    )
    assert seen == [golden.round_nearest(np.array(v), drop).item() for v, drop in points]


DROPS = [(drop, bits) for drop in range(1, MOST_DROP + 1) for bits in range(1, drop + 1)]


@pytest.mark.parametrize(("drop", "random_bits"), DROPS)
def test_dither(drop: int, random_bits: int) -> None:
    words = np.arange(1 << random_bits)
    seen = evaluate(
        lambda random: arith.dither(random, drop, random_bits),
        [unsigned(random_bits)],
        [(int(word),) for word in words],
    )
    assert seen == golden.dither(words, drop, random_bits).tolist()


@pytest.mark.parametrize(("drop", "random_bits"), DROPS)
@pytest.mark.parametrize("is_signed", (True, False))
def test_round_stochastic(drop: int, random_bits: int, is_signed: bool) -> None:
    """Every value with every random word; the update rounds signed, the coefficient unsigned."""
    shape = signed(VALUE_BITS) if is_signed else unsigned(VALUE_BITS)
    values = VALUES if is_signed else range(1 << VALUE_BITS)
    points = list(itertools.product(values, range(1 << random_bits)))
    seen = evaluate(
        lambda value, random: arith.round_stochastic(value, random, drop, random_bits),
        [shape, unsigned(random_bits)],
        points,
    )
    value, random = np.array(points).T
    assert seen == golden.round_stochastic(value, random, drop, random_bits).tolist()


@pytest.mark.parametrize("terms", range(1, 8))
def test_sum_comb(terms: int) -> None:
    points = list(itertools.product((-2, -1, 0, 1), repeat=terms))[:: max(1, 4 ** (terms - 5))]
    seen = evaluate(lambda *values: arith.sum_comb(values), [signed(2)] * terms, points)
    assert seen == [sum(point) for point in points]


@pytest.mark.parametrize("levels", range(4))
def test_sum_tree_and_delay(levels: int) -> None:
    """A sum in every cycle, ``tree_latency`` cycles later, and a delay of as many beside it."""
    m, terms = Module(), [Signal(signed(3), name=f"term_{n}") for n in range(1 << levels)]
    total, later = arith.sum_tree(m, terms), arith.delay(m, terms[0], levels)
    rows = np.random.default_rng(levels).integers(-4, 4, (40, len(terms)))
    rows[:2] = [[-4] * len(terms), [3] * len(terms)]
    seen = []

    async def visit(ctx: SimulatorContext) -> None:
        for row in rows.tolist():
            for term, value in zip(terms, row, strict=True):
                ctx.set(term, value)
            seen.append((ctx.get(total), ctx.get(later)))
            await ctx.tick()

    m.d.sync += Signal().eq(0)  # a clock also where there is nothing to wait for
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(visit)
    simulator.run()
    assert seen[levels:] == [(sum(row), row[0]) for row in rows[: len(rows) - levels].tolist()]


@pytest.mark.parametrize(("a_bits", "b_bits"), [(4, 4), (5, 3), (3, 5)])
def test_sums_with_carry(a_bits: int, b_bits: int) -> None:
    """Every pair of signed values, either way."""
    ranges = (range(-(1 << (bits - 1)), 1 << (bits - 1)) for bits in (a_bits, b_bits))
    points = list(itertools.product(*ranges, (0, 1)))
    shapes = [signed(a_bits), signed(b_bits), unsigned(1)]
    assert evaluate(arith.sum_with_carry, shapes, points) == [a + b + c for a, b, c in points]
    assert evaluate(arith.add_or_subtract, shapes, points) == [
        a - b if subtract else a + b for a, b, subtract in points
    ]
