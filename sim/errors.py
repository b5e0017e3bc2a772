"""What can go wrong with a simulated engine. Each message says what, where, why and what to do."""

from __future__ import annotations


class SimulationError(Exception):
    """Base of this package's errors."""


class ToolNotFoundError(SimulationError):
    """A program that compiles the engine is not installed.

    Members
    -------
    tool : str
        Its name.
    fix : str
        The command that installs it.
    """

    def __init__(self, tool: str, fix: str) -> None:
        super().__init__(
            f"{tool} is needed to compile the simulated engine and is not installed: {fix}"
        )
        self.tool, self.fix = tool, fix


class CompileError(SimulationError):
    """The engine's Verilog could not be turned into a library."""


class StalledError(SimulationError):
    """The engine made no progress; the message says what it was waited for."""
