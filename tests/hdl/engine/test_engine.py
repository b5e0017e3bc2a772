"""`hdl.engine.engine` against `sim.golden.Golden`: whole jobs, bit for bit and cycle for cycle."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.engine import Engine

OFTEN = ("4x2", "narrow", "parts", "spread", "rapid", "small")
"""Plain, saturating, without parts, with fan-out stages, the fastest, the smallest."""

RARELY = (
    *("16x1", "2x4", "16x4", "2bit", "16bit", "32bit", "lean"),
    *("tiny", "wide", "broad", "complete", "medium"),
)

ICARUS = ("4x2",)
"""It is slow with a whole engine: it runs fewer of them."""

ROUNDS = 4
"""One of every kind of job; seeds are new in every run."""


@over((*OFTEN, *RARELY), ICARUS, first=len(OFTEN))
def test_engine(geometry: str, simulator: str, tmp_path: Path) -> None:
    engine = Engine(GEOMETRIES[geometry])
    simulate(engine, "hdl.engine.bench_engine", geometry, simulator, tmp_path, rounds=ROUNDS)
