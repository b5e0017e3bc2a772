"""`hdl.engine.model` against a list of rows."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.model import ModelMemory


@over(("4x2", "16x4", "narrow", "spread", "small"))
def test_model(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(
        ModelMemory(GEOMETRIES[geometry]), "hdl.engine.bench_model", geometry, simulator, tmp_path
    )
