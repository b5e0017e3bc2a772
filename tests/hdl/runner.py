"""Builds a component with Verilator or Icarus and runs a cocotb testbench on it.

Builds are kept in ``build/tests``, one folder a name, and made anew when the Verilog or a tool
changes. The random seed is new in every run unless ``ZIPSGD_TEST_SEED`` sets it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import find_libpython
import pytest
from amaranth.lib import wiring
from cocotb_tools import runner
from filelock import FileLock

from tests.faults.catalogue import FAULTS
from tests.geometries import SMALL
from zipsgd.hdl.lib.verilog import WAIVERS, to_verilog
from zipsgd.sim.build import find_verilator

SIMULATORS = ("verilator", "icarus") if shutil.which("iverilog") else ("verilator",)

SEED_VARIABLE = "ZIPSGD_TEST_SEED"
TIMESCALE = ("1ns", "1ps")
BUILDS = Path(__file__).parents[2] / "build" / "tests"
LOCK_TIMEOUT_S = 600
LOG_TAIL_LINES = 15

VERILATOR_FLAGS = (
    *("--no-timing", "--x-assign", "fast", "--x-initial", "fast", "--output-split", "0"),
    str(WAIVERS),  # every other warning is an error
)
ICARUS_FLAGS = ("-g2005",)  # as SystemVerilog, initial values would not wake what depends on them
RUNTIME = ("verilated.o", "verilated_vpi.o", "verilated_threads.o")
"""Objects of Verilator's own runtime: the same for every design, most of a small one's build."""
HEADERS = "verilated.h", "verilated_vpi.h"
"""What every file of a build begins with: most of the rest of a small one's."""
FEATURES = ("COVERAGE", "SC", "TIMING", "TRACE", "TRACE_FST", "TRACE_VCD", "TRACE_SAIF")

VERSIONS = tuple(importlib.metadata.version(name) for name in ("verilator", "cocotb"))


class PackagedVerilator(runner.Verilator):
    """The Verilator of the Python package, on designs of which only the ports are visible."""

    def _simulator_in_path_build_only(self) -> None:
        root = find_verilator()
        self.executable = str(root / "bin" / "verilator_bin")
        self.env["VERILATOR_ROOT"] = str(root)

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        at = verilate.index("--public-flat-rw")  # slows large designs
        verilate[at : at + 1] = ["--public-depth", "1"]
        # The package's makefile leaves the first empty and looks for `python` on PATH.
        make += ["CFG_CXXFLAGS_PCH_I=-include", f"PYTHON3={sys.executable}"]
        # The testbench is slower than any design.
        make += [f"OPT_FAST=-O0 -include {_compiled_headers()}"]
        for name in RUNTIME:
            if (self.build_dir / name).is_file():
                make += ["--old-file", name]
        return [verilate, make]


def simulate(
    component: wiring.Component,
    bench: str,
    geometry: str,
    simulator: str,
    results: Path,
    netlist: str | None = None,
    **parameters: int,
) -> None:
    """Run every cocotb test of a bench on ``component``; fail with what they say.

    Parameters
    ----------
    bench : str
        Module below `tests`.
    geometry : str
        Name of the component's configuration in `tests.geometries`.
    simulator : str
        One of `SIMULATORS`.
    results : Path
        Folder for log and results.
    netlist : str, optional
        Verilog to simulate instead of the component's own: what tools have made of it.
    parameters : int
        What the testbench is told besides (`tests.hdl.toolkit.Bench.parameters`).
    """
    if find_libpython.find_libpython() is None:
        pytest.fail(
            "the simulator loads Python as a shared library and this Python comes without one; "
            "apt-get install libpython3-dev, or use a Python built with --enable-shared",
            pytrace=False,
        )
    name = "-".join([bench, geometry, *map(str, parameters.values()), *["netlist"] * bool(netlist)])
    build = _build(netlist or to_verilog(component, "top"), name, simulator)
    seed = int(os.environ.get(SEED_VARIABLE, secrets.randbits(32)))
    log, report = results / "log.txt", results / "results.xml"
    environment = {
        "ZIPSGD_TEST_GEOMETRY": geometry,
        "ZIPSGD_TEST_PARAMETERS": json.dumps(parameters),
        "COCOTB_ANSI_OUTPUT": "0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # cocotb rewrites assertions as pytest does
    }
    passed = True
    try:
        _runner(simulator).test(
            test_module=f"tests.{bench}",
            hdl_toplevel="top",
            hdl_toplevel_lang="verilog",
            seed=seed,
            build_dir=build,
            test_dir=results,
            results_xml=str(report),
            extra_env=environment,
            timescale=TIMESCALE,
            log_file=log,
        )
    except SystemExit:
        passed = False
    if not passed:
        node = os.environ["PYTEST_CURRENT_TEST"].rsplit(" ", 1)[0]
        pytest.fail(
            f"{_failures(report, log)}\n\nlog: {log}\nrepeat with:\n"
            f"  {SEED_VARIABLE}={seed} pytest '{node}'",
            pytrace=False,
        )


def _runner(simulator: str) -> runner.Runner:
    return PackagedVerilator() if simulator == "verilator" else runner.Icarus()


def _build(verilog: str, name: str, simulator: str) -> Path:
    """The folder with the simulation of ``verilog``; built if it is missing or old."""
    folder = BUILDS / "-".join([name, simulator] + ["waves"] * _waves())
    # The flags are in this file; a simulation is linked with the libraries of its environment.
    parts = (verilog, *VERSIONS, sys.prefix, Path(__file__).read_text(), WAIVERS.read_text())
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    stamp = folder / "digest"
    BUILDS.mkdir(parents=True, exist_ok=True)
    with FileLock(BUILDS / f"{folder.name}.lock", timeout=LOCK_TIMEOUT_S):
        if stamp.is_file() and stamp.read_text() == digest:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        source = folder / "top.v"
        source.write_text(verilog)
        if simulator == "verilator":
            _fetch_runtime(folder)
        try:
            _runner(simulator).build(
                sources=[source],
                hdl_toplevel="top",
                build_dir=folder,
                build_args=VERILATOR_FLAGS if simulator == "verilator" else ICARUS_FLAGS,
                timescale=TIMESCALE,
                log_file=folder / "build.log",
            )
        except RuntimeError as error:
            pytest.fail(f"{error}\n{_tail(folder / 'build.log')}", pytrace=False)
        if simulator == "verilator":
            _share_runtime(folder)
        stamp.write_text(digest)
    return folder


def _runtime_folder() -> Path:
    kind = ["runtime", *VERSIONS] + ["waves"] * _waves()
    folder = BUILDS / "-".join(kind)
    folder.mkdir(exist_ok=True)
    return folder


def _waves() -> bool:
    """Whether signals are recorded: cocotb's own variable."""
    return os.environ.get("WAVES", "0") != "0"


def _fetch_runtime(folder: Path) -> None:
    """Spare make the objects that an earlier build has made."""
    for name in RUNTIME:
        kept = _runtime_folder() / name
        if kept.is_file():
            shutil.copyfile(kept, folder / name)


def _compiled_headers() -> Path:
    """A header that the compiler has read before; if it could not keep that, it reads it again."""
    header = _runtime_folder() / "headers.h"
    compiled = header.with_suffix(".h.gch")
    with FileLock(header.with_suffix(".lock"), timeout=LOCK_TIMEOUT_S):
        if not compiled.is_file():
            header.write_text("".join(f'#include "{name}"\n' for name in HEADERS))
            include = find_verilator() / "include"
            # As Verilator's makefile has them; with others the compiler would not take it.
            flags = [f"-I{include}", f"-I{include / 'vltstd'}", "-DVERILATOR=1", "-O0"]
            flags += [f"-DVM_{feature}=0" for feature in FEATURES]
            new = compiled.with_suffix(".new")
            command = ["c++", *flags, "-x", "c++-header", str(header), "-o", str(new)]
            if subprocess.run(command, timeout=LOCK_TIMEOUT_S).returncode == 0:
                new.replace(compiled)
    return header


def _share_runtime(folder: Path) -> None:
    """Keep the runtime's objects, and of the rest only what runs."""
    for name in RUNTIME:
        kept = _runtime_folder() / name
        if not kept.is_file():
            (folder / name).replace(kept)
    for path in folder.iterdir():
        if path.name not in ("top", "top.v", "build.log"):
            path.unlink()


def _failures(report: Path, log: Path) -> str:
    """What the failed tests say, or the end of the log if the simulation died."""
    if not report.is_file():
        return "the simulation ended without results\n" + _tail(log)
    messages = []
    for case in ElementTree.parse(report).iter("testcase"):
        for failure in (*case.iter("failure"), *case.iter("error")):
            messages.append(f"{case.get('name')}: {failure.get('error_msg', failure.text)}")
    return "\n".join(messages) or _tail(log)


def _tail(path: Path) -> str:
    lines: Sequence[str] = path.read_text(errors="replace").splitlines() if path.is_file() else ()
    return "\n".join(lines[-LOG_TAIL_LINES:])


def over(geometries: Sequence[str], icarus: Sequence[str] = SMALL, *, first: int = 2) -> Any:
    """Decorator: run a test on each of ``geometries``.

    On the ``first`` ones, and on those that a fault of the catalogue is planted for, `make test`
    runs it; `make test-long` on the others. Of the former, the first runs on every simulator and
    those of ``icarus`` on Icarus where it is installed: it is quick on small ones.
    """

    def decorate(test: Any) -> Any:
        room, _, module = test.__module__.removeprefix("tests.hdl.").rpartition(".")
        bench = f"{room.replace('.', '/')}/{module.removeprefix('test_')}"
        planted = {fault.geometry for fault in FAULTS if fault.testbench == bench}
        cases = []
        for place, geometry in enumerate(geometries):
            often = place < first or geometry in planted
            quick = SIMULATORS[-1] if geometry in icarus else "verilator"
            for simulator in SIMULATORS:
                if simulator == "icarus" and geometry not in icarus:
                    continue
                short = often and (place == 0 or simulator == quick)
                marks = [] if short else [pytest.mark.long]
                cases.append(
                    pytest.param(geometry, simulator, id=f"{geometry}-{simulator}", marks=marks)
                )
        return pytest.mark.parametrize(("geometry", "simulator"), cases)(test)

    return decorate
