"""The compiled losses against the golden model's, margin by margin: a job's updates round most of a
last place away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.geometries import GEOMETRIES
from tests.hdl.random_jobs import any_job
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Loss
from zipsgd.sim import fast, golden

MARGINS = 2000


@pytest.mark.parametrize("config", [GEOMETRIES["4x2"], GEOMETRIES["narrow"]], ids=["4x2", "narrow"])
@pytest.mark.parametrize("loss", list(Loss), ids=lambda loss: loss.name)
@pytest.mark.parametrize("variance", [0.0, 0.7])
def test_losses(config: EngineConfig, loss: Loss, variance: float) -> None:
    rng = np.random.default_rng(loss)
    plain = any_job(config, loss=loss)
    job = replace(plain, epochs=(replace(plain.epochs[0], margin_variance=variance),))
    limit, one = 1 << (config.model_bits - 1), 1 << config.model_frac
    spans = np.array([one, limit])[rng.integers(2, size=MARGINS)]  # within the tables, and anywhere
    z = (rng.uniform(-1, 1, MARGINS) * (spans - 1)).astype(np.int64)
    label = rng.choice(np.array([-one, one, 0, one // 3]), MARGINS)
    constants, table = fast._constants(config, job), fast._table(config)
    scales = fast.Scales(*fast._scales(config, job, 0))
    found = [
        fast._derivative(*pair, table, scales, constants) for pair in zip(z, label, strict=True)
    ]
    values = [fast._loss_value(*pair, table, constants) for pair in zip(z, label, strict=True)]
    expected = golden.derivative(config, job, job.epochs[0], z, label)
    assert np.array_equal(np.array(found).T, np.array(expected))
    ones = np.ones_like(z)
    assert np.array_equal(values, golden.loss_value(config, job, z, label, ones))
