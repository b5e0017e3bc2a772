"""`hdl.engine.correction` against `correction` and `dither` of `sim.golden`."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES, SMALL
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.correction import Correction


@over((*SMALL, "32x8", "spread", "16bit", "32bit"))
def test_correction(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(
        Correction(GEOMETRIES[geometry]),
        "hdl.engine.bench_correction",
        geometry,
        simulator,
        tmp_path,
    )
