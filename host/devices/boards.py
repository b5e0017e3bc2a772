"""Boards, as commands use them: by name, built, and what goes wrong as errors of the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zipsgd.boards.build import Build, Built, MissedError
from zipsgd.boards.catalogue import BOARDS
from zipsgd.boards.critical_path import in_words
from zipsgd.boards.description import Board
from zipsgd.boards.place_and_route import RoutedResult
from zipsgd.boards.tools import FlowError, MissingToolError
from zipsgd.sim.errors import CompileError

from ..errors import BuildError, InputError, ToolMissingError

INSTALL = "pip install 'zipsgd[boards]'"
"""Brings every tool that boards need."""


def find_board(name: str) -> Board:
    """The board of a name; raises `InputError` if there is none."""
    if name not in BOARDS:
        raise InputError(f"there is no board {name}; take one of {', '.join(BOARDS)}")
    return BOARDS[name]


@contextmanager
def building(name: str) -> Iterator[None]:
    """Raises what a build of ``name`` may raise as errors that a user may meet."""
    try:
        yield
    except MissingToolError as fault:
        raise ToolMissingError(f"{fault}: {INSTALL}") from fault
    except MissedError as fault:
        raise BuildError(
            f"{fault}; its critical path goes {in_words(fault.results[0].path)}. `zipsgd report "
            f"{name}` shows every seed"
        ) from fault
    except FlowError as fault:
        raise BuildError(f"{name}: {fault}") from fault
    except ValueError as fault:  # of a clock rate or memory that cannot be had
        raise BuildError(f"{name} cannot be built: {fault}") from fault
    except CompileError as fault:  # a cache that cannot be written
        raise BuildError(str(fault)) from fault


def build_board(board: Board, keep: Path | None = None) -> Built:
    """A board's bitstream, from the cache if it was made before.

    Raises
    ------
    ToolMissingError, BuildError
    """
    with building(board.name):
        return Build(board, keep).build()


def area(result: RoutedResult) -> list[str]:
    """A line for every kind of cell that is used."""
    return [
        f"{kind:16}{used:8,} of {result.available[kind]:8,} ({used / result.available[kind]:.0%})"
        for kind, used in result.used.items()
    ]


def clocks(result: RoutedResult) -> str:
    """Every clock of a design that has several."""
    if len(result.clocks) < 2:
        return ""
    each = (f"{one.name} {one.achieved_mhz:.1f} of {one.wanted_mhz:g}" for one in result.clocks)
    return f" ({', '.join(each)})"
