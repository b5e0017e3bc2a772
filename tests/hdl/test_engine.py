"""`hdl.engine` against `sim.golden.Golden`: whole jobs, bit for bit and cycle for cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hdl.engine import Engine
from tests.geometries import GEOMETRIES, SMALL
from tests.hdl.runner import over, simulate

NAMED = ("small", "tiny", "wide", "rapid", "broad", "complete", "medium")
"""Of `hdl.engines`."""

ICARUS, ICARUS_ROUNDS = ("4x2", "narrow"), 4
"""Icarus is slow with a whole engine: it runs fewer of them, and fewer rounds of jobs."""


@over((*SMALL, "16x4", "2bit", "16bit", "32bit", "spread", "lean", "parts", *NAMED), ICARUS)
def test_engine(geometry: str, simulator: str, tmp_path: Path) -> None:
    engine = Engine(GEOMETRIES[geometry])
    fewer: dict[str, Any] = {"rounds": ICARUS_ROUNDS} if simulator == "icarus" else {}
    simulate(engine, "bench_engine", geometry, simulator, tmp_path, **fewer)
