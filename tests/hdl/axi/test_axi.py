"""`hdl.axi` with independent AXI models on its ports, against `sim.golden.Golden`, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.geometries import GEOMETRIES
from tests.hdl.runner import SIMULATORS, simulate
from zipsgd.hdl.axi.engine import AxiEngine


@pytest.mark.parametrize(
    ("geometry", "simulator"),
    [
        ("4x2", "verilator"),
        ("narrow", SIMULATORS[-1]),
        ("parts", "verilator"),
        ("small", "verilator"),
    ],
)
def test_axi(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(AxiEngine(GEOMETRIES[geometry]), "hdl.axi.bench_axi", geometry, simulator, tmp_path)
