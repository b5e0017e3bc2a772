"""`hdl.evaluate` against `sim.golden.loss_value`."""

from __future__ import annotations

from pathlib import Path

from hdl.evaluate import Evaluate
from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate


@over(("4x2", "16x1", "narrow", "32x8"))
def test_evaluate(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(Evaluate(GEOMETRIES[geometry]), "bench_evaluate", geometry, simulator, tmp_path)
