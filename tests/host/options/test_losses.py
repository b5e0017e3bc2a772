"""The host's losses are the engine's: value, derivative and curvature of `sim.golden`."""

from __future__ import annotations

import numpy as np
import pytest

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import CURVATURE_FRAC, WEIGHT_FRAC
from zipsgd.hdl.contract.job import Epoch, Job, Loss, Step
from zipsgd.host.data.dataset import Floats
from zipsgd.host.options.choices import LossName
from zipsgd.host.options.losses import LOSSES, mean_loss, sigmoid
from zipsgd.sim import golden

CONFIG = EngineConfig()
NAMES: list[LossName] = list(LOSSES)
TABLE_ERROR = 1e-3
"""Of the logistic loss's tables, see `hdl.contract.tables`; its curvature is one entry, not
interpolated."""


def margins_and_labels(two_classes: bool) -> tuple[Floats, Floats]:
    """Margins on a grid that avoids the kinks, and labels."""
    z = np.linspace(-9, 9, 1441) + 1 / 1024
    labels = np.random.default_rng(0).uniform(-2, 2, size=len(z))
    labels = np.rint(labels * 2**16) / 2**16
    return z, np.where(labels < 0, -1.0, 1.0) if two_classes else labels


def job(loss: Loss) -> Job:
    epoch = Epoch(step=Step(mantissa=1, shift=20))
    return Job(
        epochs=(epoch,),
        bits=4,
        chunks=1,
        groups=1,
        batch_groups=1,
        delay=1,
        sync=False,
        corrected=True,
        seed=0,
        loss=loss,
    )


@pytest.mark.parametrize("name", NAMES)
def test_they_are_what_the_engine_computes(name: LossName) -> None:
    ours = LOSSES[name]
    z, y = margins_and_labels(ours.two_classes)
    one, task = 2.0**CONFIG.model_frac, job(ours.engine)
    words, labels = (np.rint(each * one).astype(np.int64) for each in (z, y))
    z = words / one
    exact = 0.0 if name != "logistic" else TABLE_ERROR
    f, curvature = golden.derivative(CONFIG, task, task.epochs[0], words, labels)
    assert np.abs(f / one - ours.derivative(z, y)).max() <= exact
    if name != "hinge":  # the host spreads the kink over a margin
        entries = curvature / 2**CURVATURE_FRAC - ours.curvature(z, y)
        assert np.abs(entries).max() <= 20 * exact
    value = golden.loss_value(CONFIG, task, words, labels, np.full_like(words, 1 << WEIGHT_FRAC))
    unit = 2.0 ** -(2 * CONFIG.model_frac + 1 + WEIGHT_FRAC)
    assert np.abs(value * unit - ours.value(z, y)).max() <= max(exact, 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_the_slope_of_the_one_before(name: LossName) -> None:
    ours, h = LOSSES[name], 1e-5
    z, y = margins_and_labels(ours.two_classes)
    slope = (ours.value(z + h, y) - ours.value(z - h, y)) / (2 * h)
    assert np.allclose(slope, ours.derivative(z, y), atol=1e-6)
    if name != "hinge":
        bend = (ours.derivative(z + h, y) - ours.derivative(z - h, y)) / (2 * h)
        assert np.allclose(bend, ours.curvature(z, y), atol=1e-6)
    assert ours.curvature(z, y).max() <= ours.bound


def test_large_margins_do_not_overflow() -> None:
    z = np.array([-1e4, 1e4])
    assert sigmoid(z).tolist() == [0, 1]
    assert LOSSES["logistic"].value(z, np.ones(2)).tolist() == [1e4, 0]
    assert LOSSES["logistic"].derivative(z, np.ones(2)).tolist() == [-1, 0]


def test_a_weighted_mean_counts_samples_by_their_weights() -> None:
    z, y = np.array([0.0, 3.0]), np.array([1.0, 1.0])
    assert mean_loss("least-squares", z, y) == (0.5 + 2.0) / 2
    assert mean_loss("least-squares", z, y, np.array([3.0, 1.0])) == (3 * 0.5 + 2.0) / 4
