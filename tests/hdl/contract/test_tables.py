"""`hdl.contract.tables` against the functions themselves: its error bounds, at every margin."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.geometries import GEOMETRIES
from tests.hdl.random_jobs import any_job
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import CURVATURE_FRAC, TABLE_STEP_BITS
from zipsgd.hdl.contract.job import Epoch, Loss, Step
from zipsgd.hdl.contract.tables import ENTRIES, RANGE_BITS, fraction_bits, rows
from zipsgd.sim import golden

CONFIGS = {"default": EngineConfig(), "narrow": GEOMETRIES["narrow"]}
STEP = 2.0**-TABLE_STEP_BITS

SIGMA_CHORD, SOFTPLUS_CHORD = 1.2e-5, 3.1e-5
"""How far a chord of the table is from its function, as the module says."""


@pytest.fixture(params=list(CONFIGS))
def config(request: pytest.FixtureRequest) -> EngineConfig:
    return CONFIGS[request.param]


def every_margin(config: EngineConfig) -> golden.Ints:
    """All |z| below the end of the table, both signs, and some beyond."""
    end = 1 << (config.model_frac + RANGE_BITS)
    limit = 1 << (config.model_bits - 1)
    z = np.arange(-min(end, limit), min(end, limit - 1) + 1)
    return np.concatenate([z, [-limit, limit - 1]])


def places(config: EngineConfig) -> float:
    """A table entry and the interpolation are each rounded by half a last place."""
    return 2.0**-config.model_frac


def sigma(z: NDArray[Any]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = 1 / (1 + np.exp(-z))
    return values


def logistic(config: EngineConfig, z: golden.Ints, variance: float) -> list[golden.Ints]:
    """F without the label's part, and f', for every z."""
    job = any_job(config, loss=Loss.LOGISTIC)
    epoch = Epoch(step=Step(mantissa=1, shift=0), margin_variance=variance)
    return list(golden.derivative(config, job, epoch, z, np.full_like(z, -1)))


def test_chords_are_as_near_as_stated() -> None:
    """h**2 / 8 times the largest second derivative, found on a grid."""
    z = np.linspace(0, 16, 100_001)
    s = sigma(z)
    assert STEP**2 / 8 * np.abs(s * (1 - s) * (1 - 2 * s)).max() < SIGMA_CHORD
    assert STEP**2 / 8 * (s * (1 - s)).max() < SOFTPLUS_CHORD


def test_sigma_at_every_margin(config: EngineConfig) -> None:
    z = every_margin(config)
    found = logistic(config, z, 0.0)[0] * 2.0**-config.model_frac
    exact = sigma(z * 2.0**-config.model_frac)
    assert np.abs(found - exact).max() < SIGMA_CHORD + places(config)
    assert (found >= 0).all() and (found <= 1).all()


def test_sigma_is_symmetric_and_rises(config: EngineConfig) -> None:
    z = every_margin(config)[:-2]
    found = logistic(config, z, 0.0)[0]
    assert (np.diff(found) >= 0).all()
    middle = z[(z > 0) & (z < -z[0])]
    upper, lower = (logistic(config, part, 0.0)[0] for part in (middle, -middle))
    assert (upper + lower == 1 << config.model_frac).all()


def test_softplus_at_every_margin(config: EngineConfig) -> None:
    z = every_margin(config)
    job = any_job(config, loss=Loss.LOGISTIC)
    value = golden.loss_value(config, job, z, np.full_like(z, 1), np.ones_like(z))
    assert not (value % (1 << (config.model_frac + 1))).any()
    found = (value >> (config.model_frac + 1)) * 2.0**-config.model_frac
    exact = np.logaddexp(0, -z * 2.0**-config.model_frac)
    assert np.abs(found - exact).max() < SOFTPLUS_CHORD + places(config)


def test_derivatives_are_those_of_an_intervals_middle(config: EngineConfig) -> None:
    """f' is within half its last place there, and half a step times max |f''| elsewhere."""
    z = every_margin(config)
    curvature = logistic(config, z, 0.0)[1] * 2.0**-CURVATURE_FRAC
    s = sigma(z * 2.0**-config.model_frac)
    assert np.abs(curvature - s * (1 - s)).max() < STEP / 2 * 0.0963 + 2.0**-CURVATURE_FRAC / 2


@pytest.mark.parametrize("variance", (0.25, 1.0, 3.99))
def test_margin_variance_term(config: EngineConfig, variance: float) -> None:
    """-f'' / 2 s2, whose slope is at most s2 / 16, from the middle of an interval."""
    z = every_margin(config)
    plain, moved = (logistic(config, z, v)[0] for v in (0.0, variance))
    term = (moved - plain) * 2.0**-config.model_frac
    s = sigma(z * 2.0**-config.model_frac)
    exact = -s * (1 - s) * (1 - 2 * s) / 2 * variance
    slack = (STEP / 2 / 16 + 2.0**-config.model_frac / 2 + 2.0**-9) * variance
    assert np.abs(term - exact).max() < slack + places(config)


def test_table_ends_where_the_functions_are_flat() -> None:
    assert ENTRIES * STEP == 16
    assert 1 - 1 / (1 + math.exp(-16)) < 1.2e-7
    assert math.log1p(math.exp(-16)) < 1.2e-7


def test_entries_join(config: EngineConfig) -> None:
    """Rise and fall lead to the next entry: no jump between intervals."""
    table = rows(config)
    assert fraction_bits(config) == config.model_frac - TABLE_STEP_BITS
    for row, after in pairwise(table):
        assert row.sigma + row.sigma_rise == after.sigma
        assert row.softplus - row.softplus_fall == after.softplus
