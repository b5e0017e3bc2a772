"""The estimator: `double` with its correction is unbiased, and the controls show the bias.

The reference is the gradient of unrounded features a = v * full_scale: a (a.x - b).
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.config import EngineConfig, Job, Step
from host.dataset import Floats
from host.rounding import Rounding, round_codes
from host.scaling import full_scale, largest_code
from sim import golden

BITS = range(2, 9)
CONFIG = EngineConfig(lanes=8, banks=256)
GROUPS = 128
STANDARD_ERRORS = 4
SHOWN = 3 * STANDARD_ERRORS
"""How far off a biased estimator must be: a control that could not fail would control nothing."""

X = np.array([45000, -31000, 60000, 52000, -20000, 9000, -17000, 25000], dtype=np.int64)


def sample(bits: int) -> Floats:
    """A tail, bulk, values below one code, a code that is exact, the intercept.

    Small features and a small error keep the noise of a gradient near the size of the bias.
    """
    n = largest_code(bits)
    return np.array([0.93, -0.61, 0.45 / n, -0.7 / n, 0.31, 0.2 / n, -1 / n, 1.0])


def label(bits: int) -> int:
    """Not far from the sample's margin."""
    return round(float(sample(bits) @ X) * full_scale(bits)) + 300


def job(bits: int, corrected: bool) -> Job:
    return Job(
        bits=bits,
        chunks=1,
        groups=1,
        batch_groups=1,
        delay=1,
        sync=False,
        step=Step(mantissa=5001, shift=16),
        corrected=corrected,
        seed=1,
    )


def engine_gradients(bits: int, rounding: Rounding, corrected: bool) -> Floats:
    """Mean gradient of each of GROUPS groups of draws of one sample, in the engine's arithmetic."""
    task, rng = job(bits, corrected), np.random.default_rng(100 + bits)
    task.check(CONFIG)
    source = golden.RandomSource(CONFIG, CONFIG.banks, 0, seed=7)
    copies, labels = np.tile(sample(bits), (CONFIG.banks, 1)), np.full(CONFIG.banks, label(bits))
    gradients = np.empty((GROUPS, len(X)))
    for group in range(GROUPS):
        codes = round_codes(copies, bits, rounding, rng).astype(np.int64)
        z, clipped_z = golden.margin(CONFIG, task, golden.dot(codes, X))
        h, clipped_h = golden.scaled_error(CONFIG, task, z, labels)
        assert not clipped_z.any() and not clipped_h.any()
        c = golden.coefficient(CONFIG, task, source.draw())
        gradients[group] = golden.gradient(CONFIG, task, h, c, codes, X)
    unit: float = 2.0**-CONFIG.gradient_frac / (task.step.value * CONFIG.banks)
    return gradients * unit


def full_precision_gradient(bits: int) -> Floats:
    a, unit = sample(bits) * full_scale(bits), 2.0**-CONFIG.model_frac
    gradient: Floats = a * (a @ X - label(bits)) * unit
    return gradient


def bias(bits: int, grid_step: int, share: float) -> Floats:
    """``share`` of diag(Var) x, for a stochastic rounding to every ``grid_step``-th code."""
    n = largest_code(bits)
    up = (sample(bits) * n + n) / grid_step % 1
    variance = up * (1 - up) * grid_step**2 / 4.0 ** (bits - 1)
    product: Floats = share * variance * X * 2.0**-CONFIG.model_frac
    return product


def distance(gradients: Floats, expected: Floats) -> float:
    """Of the mean gradient from ``expected``, in standard errors; the worst feature's."""
    standard_error = gradients.std(axis=0, ddof=1) / np.sqrt(len(gradients))
    return float((np.abs(gradients.mean(axis=0) - expected) / standard_error).max())


@pytest.mark.parametrize("bits", BITS)
def test_double_is_unbiased(bits: int) -> None:
    gradients = engine_gradients(bits, "double", corrected=True)
    assert distance(gradients, full_precision_gradient(bits)) < STANDARD_ERRORS


@pytest.mark.parametrize("bits", BITS)
def test_single_is_biased_by_its_variance_times_the_model(bits: int) -> None:
    gradients, unbiased = engine_gradients(bits, "single", False), full_precision_gradient(bits)
    assert distance(gradients, unbiased + bias(bits, 1, 1.0)) < STANDARD_ERRORS
    assert distance(gradients, unbiased) > SHOWN


@pytest.mark.parametrize("bits", BITS)
def test_double_without_its_correction_is_biased_by_half_the_variance(bits: int) -> None:
    gradients, unbiased = engine_gradients(bits, "double", False), full_precision_gradient(bits)
    assert distance(gradients, unbiased + bias(bits, 2, 0.5)) < STANDARD_ERRORS
    assert distance(gradients, unbiased) > SHOWN


units = st.floats(-1, 1)


@given(
    bits=st.integers(2, 8),
    rows=st.lists(st.tuples(units, units), min_size=1, max_size=4),
    b=st.floats(-2, 2),
)
def test_the_expectation_over_all_codes_is_exactly_the_full_precision_gradient(
    bits: int, rows: list[tuple[float, float]], b: float
) -> None:
    v, x = np.array(rows).T
    n, d = largest_code(bits), 2.0 ** -(bits - 1)
    lower = np.clip(2 * np.floor((v * n + n) / 2) - n, -n, n - 2)
    p = (v * n - lower) / 2
    expected = np.zeros_like(x)
    for ups in product((0, 1, 2), repeat=len(v)):
        up = np.array(ups)
        chance = np.prod(np.choose(up, [(1 - p) ** 2, 2 * p * (1 - p), p**2]))
        codes = lower + up
        m = codes * d
        expected += chance * (m * (m @ x - b) - d**2 * (codes % 2 == 0) * x)
    a = v * full_scale(bits)
    assert np.allclose(expected, a * (a @ x - b), rtol=0, atol=1e-12)


@pytest.mark.parametrize("bits", BITS)
def test_its_variance_is_below_that_of_two_samples_symmetrised(bits: int) -> None:
    """Sharing one code must not cost noise: (Q1 (Q2.x - b) + Q2 (Q1.x - b)) / 2 needs two."""
    rng, n, d = np.random.default_rng(bits), largest_code(bits), 2.0 ** -(bits - 1)
    x, b = X * 2.0**-CONFIG.model_frac, label(bits) * 2.0**-CONFIG.model_frac
    uniform = rng.random((2, 20_000, len(x)))
    position = (sample(bits) * n + n) / 2
    q1, q2 = (2 * np.floor(position + uniform) - n).clip(-n, n) * d
    symmetrised = (q1 * (q2 @ x - b)[:, None] + q2 * (q1 @ x - b)[:, None]) / 2
    m = (q1 + q2) / 2
    ours = m * (m @ x - b)[:, None] - d**2 * (q1 != q2) * x
    for gradients in (ours, symmetrised):
        assert distance(gradients, full_precision_gradient(bits)) < STANDARD_ERRORS
    assert ours.var(axis=0).sum() < symmetrised.var(axis=0).sum()
