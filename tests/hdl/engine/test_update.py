"""`hdl.engine.update` against `sim.golden.update`."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.update import Update


@over(("4x2", "16x1", "16x4", "narrow", "2bit", "16bit", "32bit", "spread"))
def test_update(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(Update(GEOMETRIES[geometry]), "hdl.engine.bench_update", geometry, simulator, tmp_path)
