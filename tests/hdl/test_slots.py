"""`hdl.slots` against the slot rule and the cycle model of `sim.golden`."""

from __future__ import annotations

from pathlib import Path

from hdl.slots import SlotController
from tests.geometries import GEOMETRIES, SMALL
from tests.hdl.runner import over, simulate


@over((*SMALL, "32x8", "spread", "broad", "2bit", "small", "lean"))
def test_slots(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(SlotController(GEOMETRIES[geometry]), "bench_slots", geometry, simulator, tmp_path)
