"""`hdl.engine.job_control` against `Job.check`."""

from __future__ import annotations

from pathlib import Path

from tests.geometries import GEOMETRIES, SMALL
from tests.hdl.runner import over, simulate
from zipsgd.hdl.engine.job_control import JobController


@over((*SMALL, "2bit", "32bit", "small"))
def test_jobs(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(
        JobController(GEOMETRIES[geometry]),
        "hdl.engine.bench_job_control",
        geometry,
        simulator,
        tmp_path,
    )
