"""`hdl.lean_loss` against what `hdl.loss` is held to."""

from __future__ import annotations

from pathlib import Path

from hdl.lean_loss import LeanLoss
from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate


@over(("small", "tiny"))
def test_lean_loss(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(LeanLoss(GEOMETRIES[geometry]), "bench_loss", geometry, simulator, tmp_path)
