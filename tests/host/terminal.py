"""A line that ends in a pseudo-terminal, so that the host opens it as it opens a board's port."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zipsgd.host.devices.link.serial_port import BAUDS, SerialPort
from zipsgd.host.devices.link.transport import SystemClock
from zipsgd.sim.line import Endpoint, Faults, SimulatedLine, split

READ_BYTES = 4096
LOOK_S = 0.002
"""Between two looks at whether it should end, in real time."""

REPLUG_S = 0.02
"""Between two looks at whether the cable is back, by the line's clock."""


class HastyClock(SystemClock):
    """Real time, of which ``haste`` seconds pass in one."""

    def __init__(self, haste: float = 1.0) -> None:
        self.haste = haste

    def now(self) -> float:
        return self.haste * super().now()

    def sleep(self, seconds: float) -> None:
        super().sleep(max(seconds, 0.0) / self.haste)


class HastyPort(SerialPort):
    """A serial port whose waits are by a `HastyClock`."""

    def __init__(self, path: Path, clock: HastyClock) -> None:
        super().__init__(str(path), BAUDS[0])
        self.clock: HastyClock = clock

    def read(self, most: int, timeout_s: float) -> bytes:
        return super().read(most, timeout_s / self.clock.haste)


class Terminal(threading.Thread):
    """Carries bytes between a line and a pseudo-terminal.

    Parameters
    ----------
    line : SimulatedLine
    clock : HastyClock
        The line's.
    path : Path
        Of a link to the terminal, which is there while the line is.
    """

    def __init__(self, line: SimulatedLine, clock: HastyClock, path: Path) -> None:
        super().__init__(daemon=True)
        self._line, self.clock, self._path = line, clock, path
        self._ends = threading.Event()
        self._plug()

    def run(self) -> None:
        try:
            while not self._ends.is_set():
                self._carry()
        finally:
            self._pull()

    def stop(self) -> None:
        """End it."""
        self._ends.set()
        self.join(5)
        assert not self.is_alive()

    def _plug(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._path.symlink_to(os.ttyname(self._slave))

    def _pull(self) -> None:
        self._path.unlink(missing_ok=True)
        for end in (self._slave, self._master):
            with contextlib.suppress(OSError):  # pulled before
                os.close(end)

    def _carry(self) -> None:
        """What there is to carry, or nothing for a while."""
        due_s = (self._line.next_at - self.clock.now()) / self.clock.haste
        pause_s = min(max(due_s, 0.0), LOOK_S)
        heard = b""
        if select.select([self._master], [], [], pause_s)[0]:
            heard = os.read(self._master, READ_BYTES)
        try:
            for piece in split(heard):
                self._line.write(piece)
            answer = self._line.read(READ_BYTES, 0.0)
        except OSError:
            self._replug()
            return
        with contextlib.suppress(BlockingIOError):  # a UART does not wait for its host either
            os.write(self._master, answer)

    def _replug(self) -> None:
        self._pull()
        while not self._ends.is_set():
            self.clock.sleep(REPLUG_S)
            with contextlib.suppress(OSError):
                self._line.reopen()
                self._plug()
                return


@contextmanager
def terminal(
    path: Path, device: Endpoint, faults: Faults | None = None, haste: float = 1.0
) -> Iterator[tuple[SimulatedLine, Terminal]]:
    """A line to ``device`` behind a terminal at ``path``. It carries nothing before ``start``."""
    clock = HastyClock(haste)
    line = SimulatedLine(device, faults=faults, clock=clock)
    carrier = Terminal(line, clock, path)
    try:
        yield line, carrier
    finally:
        if carrier.ident is None:
            carrier.start()
        carrier.stop()
