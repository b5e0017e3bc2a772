"""`hdl.lean_update` against `sim.golden`: gradient, correction and update."""

from __future__ import annotations

from pathlib import Path

from hdl.lean_update import LeanUpdate
from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate


@over(("lean", "tiny"))
def test_lean_update(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(LeanUpdate(GEOMETRIES[geometry]), "bench_lean_update", geometry, simulator, tmp_path)
