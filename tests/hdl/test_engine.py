"""`hdl.engine` against `sim.golden.Golden`: whole jobs, bit for bit and cycle for cycle."""

from __future__ import annotations

from pathlib import Path

from hdl.engine import Engine
from tests.geometries import GEOMETRIES, SMALL
from tests.hdl.runner import over, simulate


@over(
    (*SMALL, "16x4", "2bit", "16bit", "32bit", "spread", "small", "tiny", "wide", "lean", "parts")
)
def test_engine(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(Engine(GEOMETRIES[geometry]), "bench_engine", geometry, simulator, tmp_path)
