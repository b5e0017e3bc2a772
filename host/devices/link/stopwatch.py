"""Where the time of a session with a device goes."""

from __future__ import annotations

from collections import defaultdict

from .transport import Clock


class Stopwatch:
    """Time by phase. A phase is charged at its end with all the time since the last charge, so
    that pauses and preparations count for the phase that they lead to, and nothing is lost.

    Parameters
    ----------
    clock : Clock

    Attributes
    ----------
    seconds : dict of str
        Seconds of every phase since ``restart``; together, from then to the last charge.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Forget what was measured, and begin now."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._since = self._clock.now()

    def charge(self, phase: str) -> None:
        """The time since the last charge, or since the restart, was that of ``phase``."""
        now = self._clock.now()
        self.seconds[phase] += now - self._since
        self._since = now
