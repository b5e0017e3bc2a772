"""Which boards are connected, and which of their serial ports answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from zipsgd.boards.catalogue import BOARDS
from zipsgd.boards.description import Board
from zipsgd.hdl.link.identity import Identity

from ..errors import ZipsgdError
from . import loader
from .doctor import serial_ports
from .link.serial_port import open_serial


@dataclass(frozen=True, kw_only=True)
class Connected:
    """Something that is connected.

    Parameters
    ----------
    kind : {"usb", "fpga", "serial"}
    place : str
        Where: bus and device, openFPGALoader's name of a board, or the port.
    found : str
        What it is, or why that is not known.
    good : bool
        Whether it is known.
    boards : tuple of str
        Names of the boards that it may be of.
    """

    kind: Literal["usb", "fpga", "serial"]
    place: str
    found: str
    good: bool = True
    boards: tuple[str, ...] = ()


def detect() -> Iterator[Connected]:
    """Serial ports first: asking an FPGA takes their bridge away for a moment."""
    for port in serial_ports():
        yield _ask_port(str(port))
    try:
        found, closed = loader.probes()
    except ZipsgdError as fault:
        yield Connected(kind="usb", place="-", found=str(fault), good=False)
        return
    for reason in closed:
        yield Connected(kind="usb", place="-", found=str(reason), good=False)
    candidates: dict[str, Board] = {}
    for probe in found:
        fitting = _fitting(probe)
        candidates |= {board.programmer.name: board for board in fitting if board.programmer.chip}
        yield Connected(
            kind="usb",
            place=probe.place,
            found=f"{probe.usb} {probe.text}",
            boards=tuple(board.name for board in fitting),
        )
    for board in candidates.values():
        yield _ask_chip(board)


def _fitting(probe: loader.Probe) -> list[Board]:
    """Boards that a bridge may be of; if it says of which, only those."""
    fitting = [board for board in BOARDS.values() if probe.fits(board.programmer)]
    named = [board for board in fitting if board.programmer.product]
    return named or fitting


def _ask_chip(asked: Board) -> Connected:
    name = asked.programmer.name
    try:
        chip = loader.chip(asked)
    except ZipsgdError as fault:
        return Connected(kind="fpga", place=name, found=str(fault), good=False)
    boards = tuple(
        board.name
        for board in BOARDS.values()
        if board.programmer.name == name and chip.startswith(board.programmer.chip)
    )
    return Connected(kind="fpga", place=name, found=chip, boards=boards)


def _ask_port(port: str) -> Connected:
    try:
        with closing(open_serial(port)) as link:
            identity = link.connect()
    except ZipsgdError as fault:
        return Connected(kind="serial", place=port, found=str(fault), good=False)
    boards = tuple(board.name for board in BOARDS.values() if _built_for(identity, board))
    megahertz = identity.clock_hz / 1e6
    found = f"{identity.describe()}, {megahertz:g} MHz, {identity.memory_bytes:,} bytes of samples"
    return Connected(kind="serial", place=port, found=found, boards=boards)


def _built_for(identity: Identity, board: Board) -> bool:
    return (identity.config, identity.clock_hz, identity.memory_bytes) == (
        board.engine,
        board.clock_hz,
        board.samples.bytes,
    )
