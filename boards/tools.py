"""Runs the open tools, each in a process of its own, and says what went wrong."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .flows import YOSYS, Tool

TIMEOUT_S = 2 * 3600
POLL_S = 5
"""Between looks at the log of a tool that may stall."""
YOSYS_LOG = "yosys.log"
LOG_TAIL_LINES = 12


class MissingToolError(Exception):
    """A tool is not installed."""


class FlowError(Exception):
    """A tool failed, because the design does not fit for instance, or it took too long."""


class RouterStalledError(FlowError):
    """A tool was ended because it made no progress."""


def run(
    tool: Tool,
    arguments: list[str],
    folder: Path,
    what: str,
    stalls: Callable[[str], bool] | None = None,
) -> None:
    """Run a tool's entry point; its log stays in ``folder``.

    Parameters
    ----------
    tool : Tool
    arguments : list of str
    folder : Path
        Where it runs.
    what : str
        What is being done, for errors.
    stalls : callable, optional
        From its log so far to whether it makes no progress.

    Raises
    ------
    MissingToolError
        If it is not installed.
    RouterStalledError
        If it was ended because of ``stalls``.
    FlowError
        If it fails, or takes longer than `TIMEOUT_S`.
    """
    package = tool.package.replace("_", "-")
    if not _installed(tool.package):
        raise MissingToolError(f"{what} needs {package}")
    module, arguments_of_it = tool.module or tool.package, "" if tool.module else "sys.argv[1:]"
    call = f"import sys, {module}; sys.exit({module}.{tool.function}({arguments_of_it}))"
    log = folder / f"{tool.function.removeprefix('run_')}.log"
    with (
        log.open("w") as stream,
        subprocess.Popen(
            [sys.executable, "-c", call, *arguments],
            cwd=folder,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        ) as process,
    ):
        try:
            _wait(process, what, lambda: bool(stalls and stalls(_text(log))))
        except BaseException:
            process.kill()
            raise
    if process.returncode < 0:
        raise FlowError(
            f"{what} was ended by signal {-process.returncode}; if nobody did, there was too "
            "little memory: end other programs, then try again"
        )
    if process.returncode:
        detail = folder / YOSYS_LOG
        if tool == YOSYS and detail.exists():
            log = detail
        lines = _text(log).splitlines()
        said = [line for line in lines if line.startswith("ERROR")] or lines[-LOG_TAIL_LINES:]
        silent = f"{package} ended with code {process.returncode} and said nothing"
        raise FlowError(f"{what} failed: " + ("\n".join(said) or silent))


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _wait(process: subprocess.Popen[bytes], what: str, stalls: Callable[[], bool]) -> None:
    """Until it ends."""
    end = time.monotonic() + TIMEOUT_S
    while True:
        try:
            process.wait(max(0, min(POLL_S, end - time.monotonic())))
            return
        except subprocess.TimeoutExpired as fault:
            if time.monotonic() >= end:
                raise FlowError(f"{what} was not done after {TIMEOUT_S:,} s") from fault
        if stalls():
            raise RouterStalledError(f"{what} makes no progress; another seed may do")


def _text(log: Path) -> str:
    return log.read_text(errors="replace")
