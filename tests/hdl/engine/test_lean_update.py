"""`hdl.engine.lean_update` against `sim.golden`: gradient, correction and update."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.lean_update import LeanUpdate


@over(("lean", "tiny"))
def test_lean_update(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(
        LeanUpdate(GEOMETRIES[geometry]),
        "hdl.engine.bench_lean_update",
        geometry,
        simulator,
        tmp_path,
    )
