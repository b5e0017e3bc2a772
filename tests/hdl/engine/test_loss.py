"""`hdl.engine.loss` against the functions of `sim.golden` from margin to threshold."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.loss import LossPipeline


@over(("4x2", "16x1", "narrow", "2bit", "16bit", "32bit", "wide", "spread", "rapid"))
def test_loss(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(
        LossPipeline(GEOMETRIES[geometry]), "hdl.engine.bench_loss", geometry, simulator, tmp_path
    )
