"""`hdl.derivative` against `sim.golden.derivative`."""

from __future__ import annotations

from pathlib import Path

from hdl.derivative import Derivative
from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate


@over(("4x2", "narrow", "parts", "spread"))
def test_derivative(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(Derivative(GEOMETRIES[geometry]), "bench_derivative", geometry, simulator, tmp_path)
