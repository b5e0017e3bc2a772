"""`hdl.engine.gradient` against `sim.golden.code_sum`."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES, SMALL
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.gradient import Gradient


@over((*SMALL, "32x8", "spread", "2bit", "16bit", "32bit", "small"))
def test_gradient(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(
        Gradient(GEOMETRIES[geometry]), "hdl.engine.bench_gradient", geometry, simulator, tmp_path
    )
