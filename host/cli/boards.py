"""The commands ``zipsgd boards``, ``build``, ``flash`` and ``detect``."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from ..errors import DeviceError, InputError
from ..json_lines import json_line
from .common import Json

if TYPE_CHECKING:
    from zipsgd.boards.description import Board
    from zipsgd.boards.place_and_route import RoutedResult

BoardName = Annotated[str, Argument(metavar="BOARD", help="As `zipsgd boards` calls it.")]


def boards_command(as_json: Json = False) -> None:
    """List the boards that bitstreams can be built for."""
    from zipsgd.boards.catalogue import BOARDS

    records = [_record(board) for board in BOARDS.values()]
    if as_json:
        for record in records:
            typer.echo(json_line(record))
        return
    typer.echo(f"{'board':16}{'MHz':>5}  {'engine':9}{'Mbaud':>5}  {'samples in':22}what")
    for record in records:
        typer.echo(
            f"{record['board']:16}{record['clock_hz'] / 1e6:5g}  "
            f"{record['lanes']:>3} x {record['banks']:<3}{record['baud'] / 1e6:5g}  "
            f"{record['memory']:22}{record['title']}: {record['note']}"
        )


def _record(board: Board) -> dict[str, Any]:
    return {
        "board": board.name,
        "title": board.title,
        "family": board.family,
        "clock_hz": board.clock_hz,
        "lanes": board.engine.lanes,
        "banks": board.engine.banks,
        "memory": str(board.samples),
        "memory_bytes": board.samples.bytes,
        "baud": board.baud,
        "note": board.note,
    }


def build_command(
    board: BoardName,
    *,
    output: Annotated[
        Path | None,
        Option(
            "-o",
            "--output",
            help="Bitstream; a folder, if it takes a vendor's tools.",
            show_default="the board's name",
        ),
    ] = None,
    keep: Annotated[
        Path | None,
        Option(help="Folder for netlist, logs and reports: everything is done anew there."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build a board's bitstream: minutes the first time, then it is found again.

    Exit 4 if no seed of place and route reaches the clock rate, or the FPGA is too full.
    """
    from zipsgd.boards.critical_path import in_words
    from zipsgd.boards.flows import FLOWS

    from ..devices.boards import area, build_board, clocks, find_board
    from ..files import replacing

    chosen = find_board(board)
    if chosen.family == "xilinx":
        _write_project(chosen, output or Path(chosen.name))
        return
    file = output or Path(chosen.name + FLOWS[chosen.family].suffix)
    with replacing(file) as stream:
        built = build_board(chosen, keep)
        stream.write(built.bitstream)
    result: RoutedResult = built.result
    if as_json:
        typer.echo(json_line({"board": chosen.name, "file": str(file), **asdict(result)}))
        return
    wanted = chosen.clock_hz / 1e6
    typer.echo(
        f"{file}: {len(built.bitstream):,} bytes for {chosen.title}, seed {result.seed}, "
        f"{result.clock_mhz:.1f} MHz and {wanted:g} wanted{clocks(result)}"
    )
    for line in area(result):
        typer.echo(line)
    typer.echo(f"critical path: {in_words(result.path)}")


def _write_project(board: Board, folder: Path) -> None:
    """What the vendor's tools take."""
    from zipsgd.boards.build import Build

    from ..devices.boards import building
    from ..files import replacing

    with building(board.name):
        files = Build(board).project()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise InputError(f"{folder}: {fault.strerror}; name another folder with -o") from fault
    for name, content in files.items():
        with replacing(folder / name) as stream:
            stream.write(content)
    typer.echo(
        f"{folder}: {', '.join(sorted(files))}. No open tool makes the bitstream of "
        f"{board.title}; Vivado does: cd {folder} && vivado -mode batch -source top.tcl, then "
        f"zipsgd flash {board.name} --file {folder}/top.bit"
    )


def flash_command(
    board: BoardName,
    *,
    file: Annotated[
        Path | None,
        Option(help="Bitstream.", show_default="what `zipsgd build` makes"),
    ] = None,
    permanent: Annotated[
        bool, Option("--permanent", help="Write the flash that the board starts from.")
    ] = False,
) -> None:
    """Put a bitstream on a board, by openFPGALoader; without --permanent until its power goes."""
    from zipsgd.boards.flows import FLOWS

    from ..devices import loader
    from ..devices.boards import build_board, find_board

    chosen = find_board(board)
    loader.find_loader()  # before minutes of building
    permanent = permanent or not chosen.programmer.sram
    if file is not None:
        if not file.is_file():
            raise InputError(f"{file}: there is no such file; `zipsgd build {board}` makes one")
        loader.flash(chosen, file, permanent)
    elif chosen.family == "xilinx":
        raise InputError(
            f"the bitstream of {chosen.title} needs the vendor's tools; `zipsgd build {board}` "
            "writes what they take. Pass the result with --file"
        )
    else:
        built = build_board(chosen)
        with tempfile.TemporaryDirectory() as folder:
            # The loader knows what it is by its suffix.
            made = Path(folder, chosen.name + FLOWS[chosen.family].suffix)
            made.write_bytes(built.bitstream)
            loader.flash(chosen, made, permanent)
    until = "from now on" if permanent else "until its power goes"
    typer.echo(
        f"{chosen.title} is a zipsgd device {until}; next: zipsgd selftest --device serial:PORT, "
        f"then {' '.join(('zipsgd train DATA --device serial:PORT', chosen.train_options)).strip()}"
    )


def detect_command(as_json: Json = False) -> None:
    """Show what is connected: serial ports that answer, USB bridges, and FPGAs behind them."""
    from ..devices.detect import detect

    known = False
    for finding in detect():
        known = known or finding.good
        if as_json:
            typer.echo(json_line(asdict(finding)))
            continue
        fits = f"; fits {' and '.join(finding.boards)}" if finding.boards else ""
        typer.echo(f"{finding.kind:8}{finding.place:16} {finding.found}{fits}")
    if not known:
        raise DeviceError(
            "no board was found; connect one by USB and switch it on. `zipsgd doctor` says whether "
            "this machine could see it"
        )
