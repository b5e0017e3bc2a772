"""`hdl.engine.labels` against the definition of the label beats."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.labels import Labels


@over(("4x2", "16x1", "2x4", "32x8", "64x1", "spread", "broad"))
def test_labels(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(Labels(GEOMETRIES[geometry]), "hdl.engine.bench_labels", geometry, simulator, tmp_path)
