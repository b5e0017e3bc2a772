"""`hdl.jobs` against `Job.check`."""

from __future__ import annotations

from pathlib import Path

from hdl.jobs import JobController
from tests.geometries import GEOMETRIES, SMALL
from tests.hdl.runner import over, simulate


@over((*SMALL, "2bit", "32bit", "small"))
def test_jobs(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(JobController(GEOMETRIES[geometry]), "bench_jobs", geometry, simulator, tmp_path)
