"""`hdl.model` against a list of rows."""

from __future__ import annotations

from pathlib import Path

from hdl.model import Model
from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate


@over(("4x2", "16x4", "narrow", "spread", "small"))
def test_model(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(Model(GEOMETRIES[geometry]), "bench_model", geometry, simulator, tmp_path)
