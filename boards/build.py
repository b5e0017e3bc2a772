"""From a board to its bitstream, made once: what was made is found by a digest of all it is of."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import shutil
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from os import cpu_count
from pathlib import Path
from typing import Any

from zipsgd.hdl.lib.source_digest import sources_digest
from zipsgd.sim.build import cached

from . import ecp5
from .description import Board
from .flows import FLOWS, MAPS, TOP, YOSYS
from .place_and_route import (
    ClockReport,
    PathStep,
    RoutedResult,
    bitstream,
    place_and_route,
    routed_file,
    synthesise,
)
from .targets import Family, FpgaPart
from .tools import MissingToolError, RouterStalledError
from .top import BoardTop

RESULT, BITSTREAM = "result.json", "bitstream"
"""What is kept of a seed."""

logger = logging.getLogger(__name__)

CONSTRAINTS = (".lpf", ".pcf", ".cst")
"""Suffixes of the files that say where pins are."""

Names = tuple[tuple[str, ...], tuple[str, ...]]
"""What place and route, and the packer, call an FPGA."""


class MissedError(Exception):
    """No seed reached the clock rate, or the design takes more of the FPGA than it may.

    ``results`` are those of all seeds, the best first.
    """

    def __init__(self, message: str, results: list[RoutedResult]) -> None:
        super().__init__(message)
        self.results = results


@dataclass(frozen=True)
class Built:
    """A bitstream, and what place and route said of it."""

    board: Board
    result: RoutedResult
    bitstream: bytes


class Build:
    """The steps to a board's bitstream. Nothing is done before it is asked for.

    Parameters
    ----------
    board : Board
    keep : Path, optional
        Folder in which all steps are done, nothing found: their files, the tools' logs and their
        own reports stay there.

    Raises
    ------
    MissingToolError
        If amaranth-boards is not installed.
    """

    def __init__(self, board: Board, keep: Path | None = None) -> None:
        if importlib.util.find_spec("amaranth_boards") is None:
            raise MissingToolError("pins and clocks need amaranth-boards")
        self.board, self._keep = board, keep

    @cached_property
    def part(self) -> FpgaPart:
        device, packer = DEVICES[self._family](self.board.platform())
        return FpgaPart(
            family=self._family,
            device=device,
            clock_mhz=self.board.clock_hz / 1e6,
            packer=packer,
        )

    @property
    def _family(self) -> Family:
        family = self.board.family
        if family == "xilinx":
            raise MissingToolError(
                f"{self.board.title}: its bitstream needs the vendor's tools; `zipsgd build "
                f"{self.board.name}` writes what they take"
            )
        return family

    @cached_property
    def design(self) -> tuple[str, str]:
        """The design in Verilog, and where its pins are."""
        platform = self.board.platform()
        plan = platform.prepare(BoardTop(self.board), TOP, emit_src=False, debug_verilog=True)
        constraints = next(
            text for name, text in plan.files.items() if Path(name).suffix in CONSTRAINTS
        )
        # Not its RTLIL, in which memories show what was there before they are written: Yosys would
        # build that around every one.
        return plan.files[f"{TOP}.debug.v"], constraints

    def project(self) -> dict[str, bytes]:
        """The files that the vendor's tools take, by name."""
        plan = self.board.platform().prepare(BoardTop(self.board), TOP, emit_src=False)
        return {
            name: content.encode() if isinstance(content, str) else content
            for name, content in plan.files.items()
        }

    @cached_property
    def netlist(self) -> Path:
        """The synthesised design."""
        verilog, _ = self.design
        flow = FLOWS[self._family]
        parts = (
            verilog,
            flow.synthesis,
            MAPS[self._family].read_text() if self._family in MAPS else "",
            _netlist_code(),
            _version(YOSYS.package),
        )

        def make(work: Path) -> Path:
            return synthesise(verilog, self._family, work)

        return self._step("synthesis", "netlist.json", parts, make)

    def seed(self, seed: int) -> Built:
        """What one seed gives."""
        _, constraints = self.design
        flow, part = FLOWS[self._family], self.part
        # The netlist's content: a new version of Yosys need not change it.
        netlist = self.netlist
        parts = (
            hashlib.sha256(netlist.read_bytes()).hexdigest(),
            constraints,
            repr((part, flow, seed)),
            _netlist_code(),
            _version(flow.place.package),
            _version(flow.pack.package),
        )

        def make(work: Path) -> Path:
            local = work / f"{TOP}.json"
            if local != netlist:
                shutil.copy(netlist, local)
            (result,) = place_and_route(local, part, range(seed, seed + 1), constraints)
            content = bitstream(routed_file(work, part.family, seed), part)
            path = work / "made.zip"
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(RESULT, json.dumps(asdict(result)))
                archive.write(content, BITSTREAM)
            return path

        step = f"place and route, seed {seed}"
        with zipfile.ZipFile(self._step(step, "routed.zip", parts, make)) as archive:
            result = _result(json.loads(archive.read(RESULT)))
            return Built(self.board, result, archive.read(BITSTREAM))

    def seeds(self, seeds: range) -> list[Built]:
        """All of some seeds, as many at a time as there are processors."""
        _ = self.netlist  # once, before they all want it
        with ThreadPoolExecutor(cpu_count() or 1) as pool:
            return list(pool.map(self.seed, seeds))

    def _step(
        self, what: str, name: str, parts: tuple[str, ...], make: Callable[[Path], Path]
    ) -> Path:
        """What ``make`` makes, see `sim.build.cached`."""
        found = True

        def work(folder: Path) -> Path:
            nonlocal found
            found = False
            logger.info("%s: %s, some minutes", self.board.name, what)
            return make(folder)

        if self._keep:
            folder = self._keep / what.replace(" ", "-").replace(",", "")
            folder.mkdir(parents=True, exist_ok=True)
            return work(folder)
        path = cached(name, parts, work)
        if found:
            logger.info("%s: %s was done before", self.board.name, what)
        return path

    def build(self) -> Built:
        """The first seed that reaches the clock rate.

        Raises
        ------
        MissedError
            If none does, or there is too little room in the FPGA.
        MissingToolError, FlowError
            As `synthesise`; a seed with which the router stalls is left for the next.
        """
        tried: list[RoutedResult] = []
        stalled: RouterStalledError | None = None
        for seed in self.board.tried(self.board.seeds):
            try:
                built = self.seed(seed)
            except RouterStalledError as fault:
                logger.info("%s: %s", self.board.name, fault)
                stalled = fault
                continue
            tried.append(built.result)
            used, limit = area(built), self.board.max_area
            if used > limit:
                raise MissedError(
                    f"{self.board.title}: the device takes {used:.1%} of its logic cells and the "
                    f"limit is {limit:.0%}",
                    tried,
                )
            if built.result.clock_mhz >= self.part.clock_mhz:
                return built
        if not tried and stalled:
            raise stalled
        best = max(tried, key=lambda result: result.clock_mhz)
        raise MissedError(
            f"{self.board.title}: {self.part.clock_mhz:g} MHz are wanted and the best of "
            f"{len(tried)} seeds, {best.seed}, reaches {best.clock_mhz:.1f} MHz",
            sorted(tried, key=lambda result: -result.clock_mhz),
        )


def area(built: Built) -> float:
    """Share of the FPGA's logic cells that is used."""
    cells = FLOWS[_placed(built.board)].cells
    return built.result.used[cells] / built.result.available[cells]


def _placed(board: Board) -> Family:
    assert board.family != "xilinx"
    return board.family


def _result(content: dict[str, Any]) -> RoutedResult:
    path = tuple(PathStep(**step) for step in content.pop("path"))
    clocks = tuple(ClockReport(**clock) for clock in content.pop("clocks"))
    return RoutedResult(path=path, clocks=clocks, **content)


def _netlist_code() -> str:
    """Digest of our code that changes what the tools have made."""
    folder = Path(ecp5.__file__).parent
    return sources_digest(folder, folder.glob("*.py")).hex()


def _version(package: str) -> str:
    name = package.replace("_", "-")
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError as fault:
        raise MissingToolError(f"the build needs {name}") from fault


def _ecp5_names(platform: Any) -> Names:
    """Such as LFE5U-85F, BG381, 6."""
    size = platform.device.removeprefix("LFE5U-").removesuffix("F")
    package = platform.package.replace("BG", "CABGA")
    return (f"--{size}k", "--package", package, "--speed", platform.speed), ()


def _ice40_names(platform: Any) -> Names:
    """Such as iCE40UP5K, SG48."""
    name = platform.device.removeprefix("iCE40").lower()
    return (f"--{name}", "--package", platform.package.lower()), ()


def _gowin_names(platform: Any) -> Names:
    """Such as GW1NR-LV9QN88PC6/I5 of the family GW1NR-9C, which is a GW1N-9C and more memory."""
    family = platform.family.replace("GW1NR", "GW1N")
    return ("--device", platform.part, "--vopt", f"family={family}"), ("-d", family)


DEVICES: dict[Family, Callable[[Any], Names]] = {
    "ecp5": _ecp5_names,
    "ice40": _ice40_names,
    "gowin": _gowin_names,
}
