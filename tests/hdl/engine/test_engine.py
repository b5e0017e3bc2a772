"""`hdl.engine.engine` against `sim.golden.Golden`: whole jobs, bit for bit and cycle for cycle."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES, SMALL
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.engine import Engine

NAMED = ("small", "tiny", "wide", "rapid", "broad", "complete", "medium")
"""Of `hdl.contract.presets`."""

ICARUS = ("4x2", "narrow")
"""It is slow with a whole engine: it runs fewer of them."""

ROUNDS = 4
"""One of every kind of job; seeds are new in every run."""


@over((*SMALL, "16x4", "2bit", "16bit", "32bit", "spread", "lean", "parts", *NAMED), ICARUS)
def test_engine(geometry: str, simulator: str, tmp_path: Path) -> None:
    engine = Engine(GEOMETRIES[geometry])
    simulate(engine, "hdl.engine.bench_engine", geometry, simulator, tmp_path, rounds=ROUNDS)
