"""A fault of one bit in dot product, gradient or update is found by that stage's testbench."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.datapath import SUMS
from tests.faults.fault import Fault
from tests.faults.planting import PROJECT, Verdict, copy_project, find, run_testbench

BENCHES = sorted({(fault.stage, fault.geometry) for fault in SUMS})


@pytest.mark.parametrize(("stage", "geometry"), BENCHES)
def test_passes_without_fault(stage: str, geometry: str, tmp_path: Path) -> None:
    """The control: the same copy, the same call, no fault."""
    assert run_testbench(copy_project(tmp_path), stage, geometry) == Verdict.PASSED


@pytest.mark.parametrize("fault", SUMS, ids=lambda fault: fault.name)
def test_fault_is_found(fault: Fault, tmp_path: Path) -> None:
    assert find(fault, tmp_path) == Verdict.FAILED


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_fits_the_source(fault: Fault, tmp_path: Path) -> None:
    """The catalogue is up to date, and each fault leaves a module that compiles."""
    module = tmp_path / "hdl" / f"{fault.stage}.py"
    module.parent.mkdir(parents=True)
    shutil.copy(PROJECT / module.relative_to(tmp_path), module)
    fault.plant(tmp_path)
    compile(module.read_text(encoding="utf-8"), module.name, "exec")
