"""The logistic gradient of a data set, as the host drives the engine: one s2 for all samples.

`tests.host.test_estimator` shows the two terms on one sample with its own s2, to third order. The
host has only p_j, the share of samples whose draws differ, so what s2_i - s2 leaves stays; this
must be small beside what each term removes.
"""

from __future__ import annotations

import numpy as np
import pytest

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import WEIGHT_FRAC
from zipsgd.hdl.contract.job import Epoch, Job, Loss, Step
from zipsgd.host.codes.copies import Part, round_copies
from zipsgd.host.codes.rounding import Ints
from zipsgd.host.codes.scaling import full_scale, with_intercept
from zipsgd.host.codes.weaving import unweave
from zipsgd.host.data.dataset import Floats
from zipsgd.host.options.losses import sigmoid
from zipsgd.host.options.options import Options
from zipsgd.host.training.job_plan import differing_shares, with_margin_variance
from zipsgd.sim import golden

BITS = (3, 4)
SAMPLES, COPIES, LANES = 256, 800, 8
WORDS: Ints = np.rint(np.array([2.1, -1.7, 1.3, -2.4, 1.9, 0.0, 0.0, 0.0]) * 2**16).astype(np.int64)
CONFIG = EngineConfig(lanes=LANES, banks=SAMPLES)


def samples(bits: int) -> Part:
    """Four features whose margins lie on the side of z > 0 where the derivative bends."""
    rng = np.random.default_rng(0)
    n = 2 ** (bits - 1) - 1
    v = with_intercept(rng.uniform(-0.7, 0.7, size=(SAMPLES, 4)))
    # Between two codes of three bits wherever that is, at every precision in the same place.
    cell = 1 - np.abs((v[:, :4] * 3 + 3) % 2 - 1)
    grid = np.floor((v[:, :4] * n + n) / 2)
    v[:, :4] = ((grid + 0.5 + 0.3 * (cell - 0.5)) * 2 - n) / n
    return Part(np.clip(v, -1, 1), -np.ones(SAMPLES), None, "logistic")


def gradients(part: Part, options: Options) -> Floats:
    """The mean gradient over all samples, in the engine's arithmetic, of each copy: (R, 5)."""
    copies = round_copies(part, options)
    job = Job(
        epochs=(Epoch(step=Step(mantissa=5001, shift=16)),),
        bits=options.bits,
        chunks=1,
        groups=1,
        batch_groups=1,
        delay=1,
        sync=False,
        corrected=options.corrected,
        seed=1,
        loss=Loss.LOGISTIC,
    )
    if options.uses_margin_variance:
        job = with_margin_variance(job, WORDS, differing_shares(copies[0], CONFIG), CONFIG)
    (epoch,) = job.epochs
    source = golden.GoldenRandom(CONFIG, 2 * SAMPLES, 0, seed=3)
    weights, zero = np.full(SAMPLES, 1 << WEIGHT_FRAC), np.zeros(SAMPLES, dtype=np.int64)
    found = []
    for copy in copies:
        woven, noise = unweave(copy, CONFIG), source.draw()
        codes, labels = woven.codes[0].astype(np.int64), woven.labels[0]
        z, _ = golden.margin(CONFIG, job, codes, WORDS, zero)
        f, curvature = golden.derivative(CONFIG, job, epoch, z, labels)
        h, _ = golden.scaled_error(CONFIG, job, epoch, f, weights, noise[SAMPLES:])
        c, _ = golden.coefficient(CONFIG, job, epoch, curvature, weights, noise[:SAMPLES])
        errors = golden.Errors(h=h, c=c, decay=zero[0], threshold=zero[0])
        found.append(golden.gradient(CONFIG, job, errors, codes, WORDS)[:5])
    unit = 2.0**-CONFIG.gradient_frac / epoch.step.value / SAMPLES
    return np.array(found, dtype=np.float64) * unit


def bias(bits: int, correction: str) -> tuple[float, float]:
    """Length of the bias of the mean gradient, and its standard error."""
    part = samples(bits)
    options = Options(
        loss="logistic",
        bits=bits,
        epochs=COPIES,
        copies=COPIES,
        correction=correction,  # type: ignore[arg-type]
        lanes=LANES,
        banks=SAMPLES,
    )
    a = part.v * full_scale(bits)
    expected = sigmoid(a @ (WORDS[:5] * 2.0**-16)) @ a / SAMPLES
    drawn = gradients(part, options)
    error = np.sqrt(np.square(drawn.std(axis=0, ddof=1)).sum() / COPIES)
    return float(np.linalg.norm(drawn.mean(axis=0) - expected)), float(error)


@pytest.mark.parametrize("bits", BITS)
def test_each_term_removes_most_of_what_is_left(bits: int) -> None:
    (none, _), (curvature, _), (full, error) = (
        bias(bits, correction) for correction in ("none", "curvature", "full")
    )
    assert curvature < 0.7 * none
    assert full < 0.3 * curvature + 3 * error
    assert none > 10 * error and curvature > 3 * error


def test_what_is_left_falls_with_the_square_of_the_grid() -> None:
    """A bit more halves d; `test_each_term_removes_most_of_what_is_left` has the rest."""
    coarse, fine = (bias(bits, "none")[0] for bits in BITS)
    assert 3 < coarse / fine < 6
