"""`hdl.engine.margin` against `sim.golden.margin`."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.margin import Margin


@over(("4x2", "narrow", "2bit", "16bit", "32bit", "spread", "rapid"))
def test_margin(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(Margin(GEOMETRIES[geometry]), "hdl.engine.bench_margin", geometry, simulator, tmp_path)
