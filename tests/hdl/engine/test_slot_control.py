"""`hdl.engine.slot_control` against the slot rule and the cycle model of `sim.golden`."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES, SMALL
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.slot_control import SlotController


@over((*SMALL, "32x8", "spread", "broad", "2bit", "small", "lean"))
def test_slots(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(
        SlotController(GEOMETRIES[geometry]),
        "hdl.engine.bench_slot_control",
        geometry,
        simulator,
        tmp_path,
    )
