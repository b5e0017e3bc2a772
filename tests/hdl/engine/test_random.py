"""`hdl.engine.random` against `sim.golden.GoldenRandom`, and the numbers themselves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.engine.random import RandomSource
from zipsgd.sim import golden

DRAWS = 20_000
SEEDS = (0, 1, 0xFFFF_FFFF)

BOUND = 5.0
"""Standard errors within which statistics must lie; the draws are the same in every run."""


@over(("4x2", "16x4", "narrow", "2bit", "16bit"))
def test_random(geometry: str, simulator: str, tmp_path: Path) -> None:
    """The source of the updates; once that of the errors: two fields a bank, and two."""
    config = GEOMETRIES[geometry]
    fields, first = config.lanes, 0
    if geometry == "16bit":
        fields, first = 2 * config.banks + 2, config.generators(config.lanes)
    source = RandomSource(config, fields, first)
    simulate(
        source, "hdl.engine.bench_random", geometry, simulator, tmp_path, fields=fields, first=first
    )


@pytest.fixture(scope="module", params=SEEDS)
def draws(request: pytest.FixtureRequest) -> golden.Ints:
    """Draws (DRAWS, lanes) of the default engine's updates."""
    config = EngineConfig()
    source = golden.GoldenRandom(config, config.lanes, 0, request.param)
    return np.array([source.draw() for _ in range(DRAWS)])


def standardised(draws: golden.Ints) -> NDArray[Any]:
    """The draws with the mean and variance of a uniform integer taken out."""
    values = 1 << EngineConfig().field_bits
    return (draws - (values - 1) / 2) / math.sqrt((values**2 - 1) / 12)


def test_mean_of_every_field(draws: golden.Ints) -> None:
    means = standardised(draws).mean(axis=0) * math.sqrt(DRAWS)
    assert np.abs(means).max() < BOUND


def test_serial_correlation_of_every_field(draws: golden.Ints) -> None:
    """A field and the same field one to eight draws later (a shift register read as words: 0.5)."""
    values = standardised(draws)
    for lag in range(1, 9):
        products = (values[lag:] * values[:-lag]).mean(axis=0) * math.sqrt(DRAWS - lag)
        assert np.abs(products).max() < BOUND, f"lag {lag}"


def test_correlation_between_fields(draws: golden.Ints) -> None:
    """Two fields of one draw, and of one draw and the next."""
    values = standardised(draws)
    for lag in (0, 1):
        products = values[lag:].T @ values[: DRAWS - lag] / math.sqrt(DRAWS - lag)
        np.fill_diagonal(products, 0)
        assert np.abs(products).max() < BOUND, f"lag {lag}"


def test_sources_of_one_engine_differ() -> None:
    config = EngineConfig()
    lanes = config.generators(config.lanes)
    updates = golden.GoldenRandom(config, config.lanes, 0, seed=1)
    errors = golden.GoldenRandom(config, 2 * config.banks + 2, lanes, seed=1)
    assert not set(updates.state.tolist()) & set(errors.state.tolist())
