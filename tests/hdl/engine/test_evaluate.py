"""`hdl.engine.evaluate` against `sim.golden.loss_value`."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.evaluate import Evaluate


@over(("4x2", "16x1", "narrow", "32x8"))
def test_evaluate(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(
        Evaluate(GEOMETRIES[geometry]), "hdl.engine.bench_evaluate", geometry, simulator, tmp_path
    )
