"""The command ``zipsgd report``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer import Option

from ..errors import BuildError, InputError, ToolMissingError
from ..json_lines import json_line
from ..options.engine_choice import engine_config

if TYPE_CHECKING:
    from zipsgd.boards.place_and_route import PathStep, RoutedResult
    from zipsgd.hdl.contract.config import EngineConfig

Words = Annotated[int | None, Option(show_default="that of the target")]
TARGET = "ecp5-85k"


def report_command(
    board: Annotated[
        str | None,
        typer.Argument(metavar="[BOARD]", help="Its whole bitstream, instead of a bare engine."),
    ] = None,
    *,
    target: Annotated[
        str | None,
        Option(help="FPGA: ecp5-85k, ecp5-25k or ice40-up5k.", show_default=TARGET),
    ] = None,
    engine: Annotated[
        str | None,
        Option(
            metavar="NAME[,FIELD=VALUE...]",
            help="Engine, as for train.",
            show_default="that of the target",
        ),
    ] = None,
    lanes: Words = None,
    banks: Words = None,
    max_bits: Words = None,
    max_chunks: Words = None,
    replay_beats: Words = None,
    model_bits: Words = None,
    model_frac: Words = None,
    error_bits: Words = None,
    error_frac: Words = None,
    adder_levels: Words = None,
    fanout_stages: Words = None,
    seeds: Annotated[int, Option(help="Runs of place and route, each with its own seed.")] = 3,
    min_mhz: Annotated[
        float | None, Option(help="Exit 4 if the worst seed is below this clock rate.")
    ] = None,
    aim_mhz: Annotated[
        float | None,
        Option(
            help="Clock rate that the bare engine is placed and routed for; far above what can be "
            "reached, the router tries for many minutes."
        ),
    ] = None,
    keep: Annotated[
        Path | None, Option(help="Folder for Verilog, netlist, logs and the tools' own reports.")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Write one JSON object a line.")] = False,
) -> None:
    """Place and route a board, or the bare engine, and print area, clock rates and critical path,
    the worst seed first."""
    if board is not None and target is not None:
        raise InputError(f"{board} has an FPGA of its own; leave --target {target} out")
    if board is not None and aim_mhz is not None:
        raise InputError(f"{board} has a clock of its own; leave --aim-mhz out")
    if aim_mhz is not None and aim_mhz <= 0:
        raise InputError(f"--aim-mhz {aim_mhz:g}: a clock rate is above 0")
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: place and route runs once at least")
    given = {
        "lanes": lanes,
        "banks": banks,
        "max_bits": max_bits,
        "max_chunks": max_chunks,
        "replay_beats": replay_beats,
        "model_bits": model_bits,
        "model_frac": model_frac,
        "error_bits": error_bits,
        "error_frac": error_frac,
        "adder_levels": adder_levels,
        "fanout_stages": fanout_stages,
    }
    changed = Changed(engine, {name: value for name, value in given.items() if value is not None})
    if board is not None:
        name, results = _board(board, changed, seeds, keep)
    else:
        name, results = _bare(target or TARGET, changed, range(1, seeds + 1), keep, aim_mhz)
    results.sort(key=lambda result: result.clock_mhz)
    _show(results, as_json)
    worst = results[0]
    if min_mhz is not None and worst.clock_mhz < min_mhz:
        raise BuildError(
            f"{name}: seed {worst.seed} reaches {worst.clock_mhz:.1f} MHz and {min_mhz:g} MHz were "
            "asked for; the critical path above says what limits it"
        )


class Changed(NamedTuple):
    """An engine by its name, if it has one, and changes of it."""

    engine: str | None
    fields: dict[str, int]

    def of(self, usual: EngineConfig) -> EngineConfig:
        """The engine that is reported; ``usual`` is that of the FPGA."""
        return _engine(engine_config(self.engine) if self.engine else usual, self.fields)


def _board(
    name: str, changed: Changed, seeds: int, keep: Path | None
) -> tuple[str, list[RoutedResult]]:
    """A board's name with its geometry, and what its seeds give."""
    from zipsgd.boards.build import Build

    from ..devices.boards import building, find_board

    found = find_board(name)
    chosen = replace(found, engine=changed.of(found.engine))
    with building(name), _folder(keep):
        results = [built.result for built in Build(chosen, keep).seeds(chosen.tried(seeds))]
    return f"{name}, {chosen.engine.lanes} x {chosen.engine.banks}", results


def _bare(
    target: str, changed: Changed, seeds: range, keep: Path | None, aim_mhz: float | None
) -> tuple[str, list[RoutedResult]]:
    """The same of an engine without a board."""
    from zipsgd.boards.bare import Bare
    from zipsgd.boards.flows import TOP
    from zipsgd.boards.place_and_route import place_and_route, synthesise
    from zipsgd.boards.targets import TARGETS
    from zipsgd.boards.tools import FlowError, MissingToolError
    from zipsgd.hdl.engine.engine import Engine
    from zipsgd.hdl.lib.verilog import to_verilog

    from ..devices.boards import INSTALL

    if target not in TARGETS:
        raise InputError(f"there is no target {target}; take one of {', '.join(TARGETS)}")
    chosen = TARGETS[target]
    if aim_mhz is not None:
        chosen = replace(chosen, clock_mhz=aim_mhz)
    config = changed.of(chosen.engine)
    name = f"{target}, {config.lanes} x {config.banks}"
    try:
        with _folder(keep), tempfile.TemporaryDirectory() as scratch:
            folder = keep or Path(scratch)
            source = to_verilog(Bare(Engine(config)), TOP)
            netlist = synthesise(source, chosen.family, folder)
            return name, list(place_and_route(netlist, chosen, seeds, chosen.constraints))
    except MissingToolError as fault:
        raise ToolMissingError(f"{fault}: {INSTALL}") from fault
    except FlowError as fault:
        raise BuildError(
            f"{name}: {fault}; try fewer --lanes or --banks, or look at the logs with --keep FOLDER"
        ) from fault


@contextmanager
def _folder(keep: Path | None) -> Iterator[None]:
    """Makes the folder that files are kept in."""
    try:
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as fault:
        raise InputError(f"{keep}: {fault.strerror}; name another folder") from fault


def _engine(config: EngineConfig, given: dict[str, Any]) -> EngineConfig:
    try:
        return replace(config, **given)
    except ValueError as fault:
        raise InputError(f"no such engine: {fault}") from fault


def _show(results: list[RoutedResult], as_json: bool) -> None:
    from zipsgd.boards.critical_path import in_words

    from ..devices.boards import area, clocks

    for result in results:
        if as_json:
            words = {"critical_path": in_words(result.path)}
            typer.echo(json_line(asdict(result) | words))
        else:
            typer.echo(f"seed {result.seed}: {result.clock_mhz:.1f} MHz{clocks(result)}")
    if as_json:
        return
    worst = results[0]
    for line in area(worst):
        typer.echo(line)
    typer.echo(f"critical path of seed {worst.seed}: {in_words(worst.path)}")
    for step in _joined(worst.path):
        typer.echo(f"{step.delay_ns:7.2f} ns  {step.kind:10} {step.cell}")


def _joined(path: tuple[PathStep, ...]) -> list[PathStep]:
    """Without steps that take no time, as in the middle of a carry chain."""
    return [step for step in path if step.delay_ns > 0.08]
