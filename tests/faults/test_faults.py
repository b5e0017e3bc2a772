"""A fault of one bit in dot product, gradient or update is found by that stage's testbench."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.catalogue import FAULTS
from tests.faults.datapath import SUMS
from tests.faults.fault import Fault
from tests.faults.planting import (
    PROJECT,
    Verdict,
    bench_file,
    copy_project,
    find,
    run_testbench,
    selected,
)

BENCHES = sorted({(fault.stage, fault.geometry) for fault in SUMS})


@pytest.mark.parametrize(("stage", "geometry"), BENCHES)
def test_passes_without_fault(stage: str, geometry: str, tmp_path: Path) -> None:
    """The control: the same copy, the same call, no fault."""
    assert run_testbench(copy_project(tmp_path), stage, geometry) == Verdict.PASSED


@pytest.mark.parametrize("fault", SUMS, ids=lambda fault: fault.name)
def test_fault_is_found(fault: Fault, tmp_path: Path) -> None:
    assert find(fault, tmp_path) == Verdict.FAILED


def test_make_test_runs_what_finds_each_fault() -> None:
    """Not one of the testbenches that faults are planted for is left to `make test-long`."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "no:xdist", "tests/hdl"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    tests = [line for line in done.stdout.splitlines() if "::" in line]
    assert len(tests) > 500, done.stdout + done.stderr
    for fault in FAULTS:
        file = bench_file(fault.testbench)
        words = selected(fault.testbench, fault.geometry).split(" and ")
        names = [test.partition("[")[2] for test in tests if test.startswith(file)]
        assert any(all(word in name for word in words) for name in names), fault.name


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_fits_the_source(fault: Fault, tmp_path: Path) -> None:
    """The catalogue is up to date, and each fault leaves a module that compiles."""
    module = tmp_path / "hdl" / f"{fault.stage}.py"
    module.parent.mkdir(parents=True)
    shutil.copy(PROJECT / module.relative_to(tmp_path), module)
    fault.plant(tmp_path)
    compile(module.read_text(encoding="utf-8"), module.name, "exec")
