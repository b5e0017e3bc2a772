"""Plants a fault in a copy of the project and runs a testbench on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from enum import Enum
from pathlib import Path

from tests.faults.fault import Fault
from tests.geometries import GEOMETRIES, SMALL
from tests.hdl.runner import BUILDS, SEED_VARIABLE, SIMULATORS

PROJECT = Path(__file__).parents[2]
COPIED = (
    "zipsgd",
    "hdl",
    "host",
    "sim",
    "boards",
    "tests",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
SIMULATOR = SIMULATORS[-1]
"""Icarus where it is installed: it builds at once, but is slow with a whole engine."""

SEED = "1"
"""The same in every run, unless the environment sets another: a verdict never changes by chance."""

TIMEOUT_S = 240
TAIL_LINES = 25
ASSERTIONS = ("AssertionError", "ViolationError")


class Verdict(Enum):
    """What a testbench says of a design."""

    PASSED = "passed"
    FAILED = "failed"


def copy_project(folder: Path) -> Path:
    """A copy of what the testbenches need, below ``folder``."""
    root = folder / "project"
    root.mkdir()
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(
                source, root / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(source, root / name)
    for runtime in BUILDS.glob("runtime-*"):  # the slow part of a build with Verilator
        shutil.copytree(runtime, root / BUILDS.relative_to(PROJECT) / runtime.name)
    return root


def run_testbench(root: Path, stage: str, geometry: str) -> Verdict:
    """Run the testbench of ``stage`` in the copy ``root``.

    Raises
    ------
    RuntimeError
        If it did not come to a verdict: a design that cannot be built is no fault that was found.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment.setdefault(SEED_VARIABLE, SEED)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += [bench_file(stage), "-k", selected(stage, geometry)]
    done = subprocess.run(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    if done.returncode == 0:
        return Verdict.PASSED
    if done.returncode == 1 and any(kind in done.stdout for kind in ASSERTIONS):
        return Verdict.FAILED
    tail = "\n".join((done.stdout + done.stderr).splitlines()[-TAIL_LINES:])
    raise RuntimeError(f"the testbench of {stage} on {geometry} came to no verdict:\n{tail}")


def bench_file(stage: str) -> str:
    folder, _, name = stage.rpartition("/")
    return f"tests/hdl/{folder}/test_{name}.py"


def selected(stage: str, geometry: str) -> str:
    """Choose the runs of a testbench, in pytest's words: on one simulator, where both would do."""
    if geometry not in GEOMETRIES:
        return geometry  # a test of its own, on the simulator that suits it
    simulator = SIMULATOR if geometry in SMALL and stage != "engine/engine" else "verilator"
    return f"{simulator} and {geometry}"


def find(fault: Fault, folder: Path, testbench: str | None = None) -> Verdict:
    """Plant ``fault`` in a copy below ``folder``; what its testbench, or another, says of it."""
    root = copy_project(folder)
    fault.plant(root)
    return run_testbench(root, testbench or fault.testbench, fault.geometry)
