"""The command ``zipsgd report``."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from .engines import engine_config
from .errors import BuildError, InputError, ToolMissingError

if TYPE_CHECKING:
    from boards.place_and_route import Result, Step
    from hdl.config import EngineConfig

Words = Annotated[int | None, Option(show_default="that of the target")]


def report_command(
    target: Annotated[str, Option(help="FPGA: ecp5-85k, ecp5-25k or ice40-up5k.")] = "ecp5-85k",
    *,
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
    seeds: Annotated[int, Option(help="Runs of place and route, each with its own seed.")] = 3,
    min_mhz: Annotated[
        float | None, Option(help="Exit 4 if the worst seed is below this clock rate.")
    ] = None,
    keep: Annotated[
        Path | None, Option(help="Folder for Verilog, netlist, logs and the tools' own reports.")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Write one JSON object a line.")] = False,
) -> None:
    """Place and route the bare engine, and print its area and clock rate, the worst seed first."""
    from boards.bare import Bare
    from boards.flows import TOP
    from boards.place_and_route import (
        FlowError,
        MissingToolError,
        Source,
        place_and_route,
        synthesise,
    )
    from boards.targets import TARGETS
    from hdl.engine import Engine
    from hdl.verilog import to_verilog

    if target not in TARGETS:
        raise InputError(f"there is no target {target}; take one of {', '.join(TARGETS)}")
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: place and route runs once at least")
    chosen = TARGETS[target]
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
    }
    base = chosen.engine if engine is None else engine_config(engine)
    config = _engine(base, {name: v for name, v in given.items() if v is not None})
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = keep or Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            source = Source(to_verilog(Bare(Engine(config)), TOP))
            netlist = synthesise(source, chosen.family, folder)
            results = list(
                place_and_route(netlist, chosen, range(1, seeds + 1), chosen.constraints)
            )
    except MissingToolError as fault:
        raise ToolMissingError(f"{fault}: pip install 'zipsgd[boards]'") from fault
    except FlowError as fault:
        raise BuildError(
            f"{target}, {config.lanes} x {config.banks}: {fault}; try fewer --lanes or --banks, or "
            "look at the logs with --keep FOLDER"
        ) from fault
    except OSError as fault:
        raise InputError(f"{keep}: {fault.strerror}; name another folder") from fault
    results.sort(key=lambda result: result.clock_mhz)
    _show(results, as_json)
    worst = results[0]
    if min_mhz is not None and worst.clock_mhz < min_mhz:
        raise BuildError(
            f"{target}, {config.lanes} x {config.banks}: seed {worst.seed} reaches "
            f"{worst.clock_mhz:.1f} MHz and {min_mhz:g} MHz were asked for; the critical path "
            "above says what limits it"
        )


def _engine(config: EngineConfig, given: dict[str, Any]) -> EngineConfig:
    try:
        return replace(config, **given)
    except ValueError as fault:
        raise InputError(f"no such engine: {fault}") from fault


def _show(results: list[Result], as_json: bool) -> None:
    for result in results:
        if as_json:
            typer.echo(json.dumps(asdict(result)))
        else:
            typer.echo(f"seed {result.seed}: {result.clock_mhz:.1f} MHz")
    if as_json:
        return
    worst = results[0]
    for kind, used in worst.used.items():
        available = worst.available[kind]
        typer.echo(f"{kind:16}{used:8,} of {available:8,} ({used / available:.0%})")
    typer.echo(f"critical path of seed {worst.seed}:")
    for step in _joined(worst.path):
        typer.echo(f"{step.delay_ns:7.2f} ns  {step.kind:10} {step.cell}")


def _joined(path: tuple[Step, ...]) -> list[Step]:
    """Without steps that take no time, as in the middle of a carry chain."""
    return [step for step in path if step.delay_ns > 0.08]
