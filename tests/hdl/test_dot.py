"""`hdl.dot` against `sim.golden.dot`."""

from __future__ import annotations

from pathlib import Path

from hdl.dot import Dot
from tests.geometries import ALL, GEOMETRIES
from tests.hdl.runner import over, simulate


@over(ALL)
def test_dot(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(Dot(GEOMETRIES[geometry]), "bench_dot", geometry, simulator, tmp_path)
