"""Errors that a user may meet, each with an exit code.

A message is one sentence: what, where, why, and what to do.
"""

from __future__ import annotations


class ZipsgdError(Exception):
    """Base class; the command line prints the message and exits with ``exit_code``."""

    exit_code = 1


class DeviceError(ZipsgdError):
    """The device or the link to it failed."""


class InputError(ZipsgdError):
    """The input or an option cannot be used."""

    exit_code = 2


class ToolMissingError(ZipsgdError):
    """A program that the command needs is not installed."""

    exit_code = 3


class BuildError(ZipsgdError):
    """A tool failed to build the engine, or the build missed its timing."""

    exit_code = 4


class MismatchError(ZipsgdError):
    """Two devices that must agree bit for bit do not."""

    exit_code = 5
