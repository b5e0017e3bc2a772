"""`hdl.engine.scaled_error` against `scaled_error` and `coefficient` of `sim.golden`."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.scaled_error import ScaledError


@over(("4x2", "narrow", "2bit", "16bit", "32bit", "spread"))
def test_scaled_error(geometry: str, simulator: str, tmp_path: Path) -> None:
    component = ScaledError(GEOMETRIES[geometry])
    simulate(component, "hdl.engine.bench_scaled_error", geometry, simulator, tmp_path)
