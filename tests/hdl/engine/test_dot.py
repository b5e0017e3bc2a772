"""`hdl.engine.dot` against `sim.golden.dot`."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import ALL, GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.dot import Dot


@over(ALL)
def test_dot(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(Dot(GEOMETRIES[geometry]), "hdl.engine.bench_dot", geometry, simulator, tmp_path)
