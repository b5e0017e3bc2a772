"""What carries bytes to a device and back."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """The time by which a transport's waits are measured; a simulated one has its own."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class SystemClock:
    """Real time."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Transport(Protocol):
    """Bytes both ways, in order; some may be lost, changed or added.

    Every call but ``close`` raises `OSError` while the other end is not there, and after that until
    ``reopen`` has succeeded.

    Attributes
    ----------
    name : str
        What messages call it.
    bytes_per_s : float
        Rate of the line each way, ``math.inf`` if it has none.
    clock : Clock
    """

    @property
    def name(self) -> str: ...

    @property
    def bytes_per_s(self) -> float: ...

    @property
    def clock(self) -> Clock: ...

    def write(self, data: bytes) -> None:
        """Send ``data``; may return before it has gone."""

    def read(self, most: int, timeout_s: float) -> bytes:
        """What has come: up to ``most`` bytes, none if nothing comes within ``timeout_s``."""

    def reopen(self) -> None:
        """Open the line again after it was lost."""

    def close(self) -> None:
        """Release the line; may be called again."""
