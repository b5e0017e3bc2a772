"""`hdl.transfer` between a stream and rows of model words."""

from __future__ import annotations

from pathlib import Path

from hdl.transfer import Transfer
from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate


@over(("4x2", "2x4", "16x4", "small"))
def test_transfer(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(Transfer(GEOMETRIES[geometry]), "bench_transfer", geometry, simulator, tmp_path)
