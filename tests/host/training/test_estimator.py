"""The estimator: `double` with its correction is unbiased, and the controls show the bias.

The reference is the gradient of unrounded features a = v * full_scale: a f(a.x, b), for least
squares a (a.x - b). For losses whose derivative f bends, two Taylor terms are removed (where Zhang
et al., "ZipML", ICML 2017, section 4, have polynomials).
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import WEIGHT_FRAC
from zipsgd.hdl.contract.job import Epoch, Job, Loss, Step
from zipsgd.host.codes.rounding import Ints, Rounding, round_codes
from zipsgd.host.codes.scaling import full_scale, largest_code
from zipsgd.host.data.dataset import Floats
from zipsgd.sim import golden

BITS = range(2, 9)
CONFIG = EngineConfig(lanes=8, banks=256)
GROUPS = 128
STANDARD_ERRORS = 4
SHOWN = 3 * STANDARD_ERRORS
"""How far off a biased estimator must be: a control that could not fail would control nothing."""

ONE = 1 << WEIGHT_FRAC

X = np.array([45000, -31000, 60000, 52000, -20000, 9000, -17000, 25000], dtype=np.int64)

SMALL_X = X // 8
"""Margins that stay within 1 whatever is drawn."""


def sample(bits: int) -> Floats:
    """A tail, bulk, values below one code, a code that is exact, the intercept.

    Small features and a small error keep the noise of a gradient near the size of the bias.
    """
    n = largest_code(bits)
    return np.array([0.93, -0.61, 0.45 / n, -0.7 / n, 0.31, 0.2 / n, -1 / n, 1.0])


def label(bits: int) -> int:
    """Not far from the sample's margin."""
    return round(float(sample(bits) @ X) * full_scale(bits)) + 300


def job(bits: int, corrected: bool, variance: float = 0.0, **options: Any) -> Job:
    return Job(
        epochs=(Epoch(step=Step(mantissa=5001, shift=16), margin_variance=variance),),
        bits=bits,
        chunks=1,
        groups=1,
        batch_groups=1,
        delay=1,
        sync=False,
        corrected=corrected,
        seed=1,
        **options,
    )


def group_gradient(
    config: EngineConfig, task: Job, codes: Ints, x: Ints, y: int, weight: int, noise: Ints
) -> Floats:
    """Gradient of a group (banks, F) by the engine's arithmetic, as a number, without the step."""
    task.check(config)
    (epoch,), banks = task.epochs, len(codes)
    labels, weights = np.full(banks, y), np.full(banks, weight)
    z, clipped_z = golden.margin(config, task, codes, x, np.zeros_like(labels))
    f, curvature = golden.derivative(config, task, epoch, z, labels)
    h, clipped_h = golden.scaled_error(config, task, epoch, f, weights, noise[banks : 2 * banks])
    c, held = golden.coefficient(config, task, epoch, curvature, weights, noise[:banks])
    assert not clipped_z.any() and not clipped_h.any() and not held.any()
    zero: Any = np.int64(0)
    errors = golden.Errors(h=h, c=c, decay=zero, threshold=zero)
    unit: float = 2.0**-config.gradient_frac / epoch.step.value
    return golden.gradient(config, task, errors, codes, x).astype(np.float64) * unit


def drawn_gradients(
    task: Job, v: Floats, x: Ints, y: int, rounding: Rounding = "double", weight: int = ONE
) -> Floats:
    """Mean gradient of each of GROUPS groups of draws of the sample v."""
    rng, banks = np.random.default_rng(100 + task.bits), CONFIG.banks
    source = golden.GoldenRandom(CONFIG, 2 * banks, 0, seed=7)
    copies = np.tile(v, (banks, 1))
    gradients = np.empty((GROUPS, len(x)))
    for group in range(GROUPS):
        codes = round_codes(copies, task.bits, rounding, rng, unsigned=task.unsigned)
        wide = codes.astype(np.int64)
        gradients[group] = group_gradient(CONFIG, task, wide, x, y, weight, source.draw())
    return gradients / banks


def engine_gradients(bits: int, rounding: Rounding, corrected: bool) -> Floats:
    """Of the least squares loss."""
    return drawn_gradients(job(bits, corrected), sample(bits), X, label(bits), rounding)


def full_precision_gradient(bits: int) -> Floats:
    a, unit = sample(bits) * full_scale(bits), 2.0**-CONFIG.model_frac
    gradient: Floats = a * (a @ X - label(bits)) * unit
    return gradient


def bias(bits: int, grid_step: int, share: float) -> Floats:
    """``share`` of diag(Var) X, for a stochastic rounding to every ``grid_step``-th code."""
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


# Losses whose derivative bends.

FINE = EngineConfig(
    lanes=4,
    banks=2,
    max_delay=1,
    model_frac=18,
    error_frac=22,
    coefficient_bits=18,
    coefficient_frac=22,
)
"""Enough fractional bits to see the third order."""

FEATURES = np.array([0.9, -0.55, 0.4, 1.0])
BETWEEN = np.array([0.3, 0.5, 0.62, 0.0])
"""Where the features lie between the two grid points next to them: the same at every precision."""

DIRECTION = np.array([1.6, -1.3, 1.1, -0.7])
SPREAD = 4.0
"""sum_j p_j x_j**2, which makes the margin variance d**2 SPREAD exact in the engine's format."""

CURVED_BITS = (3, 4, 5)


def numbers(words: Ints, config: EngineConfig) -> Floats:
    """What model words stand for."""
    values: Floats = words.astype(np.float64) * 2.0**-config.model_frac
    return values


def curved_model(config: EngineConfig) -> Ints:
    """A model with the spread `SPREAD`."""
    spread = float(2 * BETWEEN * (1 - BETWEEN) @ DIRECTION**2)
    words: Ints = np.rint(DIRECTION * np.sqrt(SPREAD / spread) * 2**config.model_frac)
    return words.astype(np.int64)


def lower_codes(bits: int) -> Ints:
    """The odd codes below `FEATURES`."""
    n = largest_code(bits)
    position = FEATURES * 2 ** (bits - 1) - 2 * BETWEEN
    odd = 2 * np.rint((position - 1) / 2).astype(np.int64) + 1
    return np.where(BETWEEN == 0, n, odd.clip(-n, n - 2))


def curved_features(bits: int) -> Floats:
    """The unrounded features a."""
    features: Floats = (lower_codes(bits) + 2 * BETWEEN) * 2.0 ** -(bits - 1)
    return features


def logistic_slopes(bits: int, x: Floats) -> tuple[float, float, float]:
    """f(a.x), f' and f'' of the logistic loss for the label -1."""
    sigma = 1 / (1 + math.exp(-float(curved_features(bits) @ x)))
    return sigma, sigma * (1 - sigma), sigma * (1 - sigma) * (1 - 2 * sigma)


def exact_bias(bits: int, corrected: bool, variance: bool) -> Floats:
    """E g - a f(a.x), over all codes with their probabilities, in the engine's arithmetic."""
    words = curved_model(FINE)
    s2 = SPREAD * 4.0 ** -(bits - 1) if variance else 0.0
    task = job(bits, corrected, s2, loss=Loss.LOGISTIC)
    noise = np.full(2, 1 << (FINE.random_bits - 1))  # rounds to nearest
    mean = np.zeros(len(words))
    for ups in product((0, 1, 2), repeat=3):
        k = np.array([*ups, 0])
        chance = np.prod(
            np.choose(k, [(1 - BETWEEN) ** 2, 2 * BETWEEN * (1 - BETWEEN), BETWEEN**2])
        )
        codes = (lower_codes(bits) + k)[None]
        y = -1 << FINE.model_frac
        mean += chance * group_gradient(FINE, task, codes, words, y, ONE, noise)
    f, _, _ = logistic_slopes(bits, numbers(words, FINE))
    bias: Floats = mean - curved_features(bits) * f
    return bias


def largest(bias: Floats) -> float:
    return float(np.abs(bias).max())


def test_logistic_bias_falls_by_the_predicted_order() -> None:
    """A bit more halves d. Without the margin-variance term the bias is of second order, with it of
    the third or higher."""
    for corrected, variance, least, most in (
        (False, False, 3, 6),
        (True, False, 3, 6),
        (True, True, 7, 30),
    ):
        sizes = [largest(exact_bias(bits, corrected, variance)) for bits in CURVED_BITS]
        ratios = np.array(sizes[:-1]) / sizes[1:]
        assert (ratios > least).all() and (ratios < most).all(), f"{sizes}"


@pytest.mark.parametrize("bits", CURVED_BITS)
def test_each_term_removes_what_the_expansion_says(bits: int) -> None:
    """Second order: f' Var x by the curvature term, a f'' / 2 s2 by the margin-variance term."""
    x, d = numbers(curved_model(FINE), FINE), 2.0 ** -(bits - 1)
    _, slope, bend = logistic_slopes(bits, x)
    by_curvature = slope * d**2 * 2 * BETWEEN * (1 - BETWEEN) * x
    by_variance = curved_features(bits) * bend / 2 * SPREAD * d**2
    third_order = 0.08 * d**3
    neither, curvature, both = (
        exact_bias(bits, *terms) for terms in ((False, False), (True, False), (True, True))
    )
    assert largest(neither - by_curvature - by_variance) < third_order
    assert largest(curvature - by_variance) < third_order
    assert largest(both) < third_order < largest(by_variance) / 2
    assert largest(by_curvature) > 2 * third_order


@pytest.mark.parametrize("bits", (3, 4))
def test_drawn_logistic_gradients_are_those_of_full_precision(bits: int) -> None:
    """The mean over draws by `host.codes.rounding`, and the controls that lack a term."""
    words = curved_model(CONFIG)
    v = curved_features(bits) / full_scale(bits)
    f, _, _ = logistic_slopes(bits, numbers(words, CONFIG))
    expected = curved_features(bits) * f
    pad = np.zeros(CONFIG.lanes - len(words), dtype=np.int64)
    s2 = SPREAD * 4.0 ** -(bits - 1)

    def distance_with(corrected: bool, variance: float) -> float:
        task = job(bits, corrected, variance, loss=Loss.LOGISTIC)
        y = -1 << CONFIG.model_frac
        padded = np.concatenate([v, pad])
        gradients = drawn_gradients(task, padded, np.concatenate([words, pad]), y)
        return distance(gradients[:, : len(words)], expected)

    assert distance_with(True, s2) < STANDARD_ERRORS
    assert distance_with(True, 0.0) > SHOWN
    assert distance_with(False, 0.0) > SHOWN


@pytest.mark.parametrize("loss", (Loss.SQUARED_HINGE, Loss.HUBER))
@pytest.mark.parametrize("bits", BITS)
def test_piecewise_quadratic_losses_are_unbiased(bits: int, loss: Loss) -> None:
    """Where no draw crosses a kink: a margin short of 1, a residual below 1."""
    a, unit = sample(bits) * full_scale(bits), 2.0**-CONFIG.model_frac
    y = round(float(a @ SMALL_X)) + 300
    if loss == Loss.SQUARED_HINGE:
        y = 1 << CONFIG.model_frac  # its only labels are -1 and +1
    gradients = drawn_gradients(job(bits, True, loss=loss), sample(bits), SMALL_X, y)
    assert distance(gradients, a * (a @ SMALL_X - y) * unit) < STANDARD_ERRORS
    uncorrected = drawn_gradients(job(bits, False, loss=loss), sample(bits), SMALL_X, y)
    biased = a * (a @ SMALL_X - y) * unit + bias(bits, 2, 0.5) * SMALL_X / X
    assert distance(uncorrected, biased) < STANDARD_ERRORS


@pytest.mark.parametrize("weight", (0, 77, ONE, 4095))
def test_weights_scale_gradient_and_correction(weight: int) -> None:
    gradients = drawn_gradients(job(4, True), sample(4), X, label(4), weight=weight)
    if not weight:
        assert not gradients.any()
        return
    expected = full_precision_gradient(4) * weight / ONE
    assert distance(gradients, expected) < STANDARD_ERRORS


@pytest.mark.parametrize("bits", BITS)
def test_unsigned_double_is_unbiased(bits: int) -> None:
    """Features in [0, 1], whose even codes are where the draws agree."""
    v = (sample(bits) + 1.05) / 2.05
    a = v * full_scale(bits, unsigned=True)
    y = round(float(a @ X)) + 300
    expected = a * (a @ X - y) * 2.0**-CONFIG.model_frac
    gradients = drawn_gradients(job(bits, True, unsigned=True), v, X, y)
    assert distance(gradients, expected) < STANDARD_ERRORS
    if bits <= 4:  # features near 1 are noisy: beyond, the bias is too small to be seen
        biased = drawn_gradients(job(bits, False, unsigned=True), v, X, y)
        assert distance(biased, expected) > SHOWN
