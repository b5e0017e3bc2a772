"""`hdl.engine.lean_loss` against what `hdl.engine.loss` is held to."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.lean_loss import LeanLoss


@over(("small", "tiny"))
def test_lean_loss(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(LeanLoss(GEOMETRIES[geometry]), "hdl.engine.bench_loss", geometry, simulator, tmp_path)
