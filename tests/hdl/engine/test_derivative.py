"""`hdl.engine.derivative` against `sim.golden.derivative`."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.derivative import Derivative


@over(("4x2", "narrow", "parts", "spread"))
def test_derivative(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(
        Derivative(GEOMETRIES[geometry]),
        "hdl.engine.bench_derivative",
        geometry,
        simulator,
        tmp_path,
    )
