"""The same over a pseudo-terminal: the real serial port, in real time."""

from __future__ import annotations

import os
import random
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from host.errors import DeviceError, InputError
from host.link.client import Link, recovering
from host.link.serial_port import BAUDS, SerialPort, open_serial
from host.selftest import open_linked
from sim.line import CHANGES, KINDS, Endpoint, split
from tests.host.hash_device import HashDevice
from tests.host.test_link_faults import RUNS, abandon_link, train, undisturbed

PTY_RUNS = max(RUNS // 10, 1)
FAULTS = 2
SPREAD = 20
PAUSE_S = 0.15


class Board(threading.Thread):
    """A device behind a pseudo-terminal, which ``path`` leads to while it is plugged in."""

    def __init__(self, path: Path, device: Endpoint, kind: str = "", seed: int = 0) -> None:
        super().__init__(daemon=True)
        self.path, self.device, self.kind = path, device, kind
        self._rng = random.Random(f"{kind} {seed}")
        self.faults, self._wait = FAULTS, 0
        self.struck = 0
        self._ends = threading.Event()
        self._plug()

    def _plug(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        self._slave = slave

    def _unplug(self) -> None:
        os.close(self._slave)
        os.close(self._master)

    def run(self) -> None:
        while not self._ends.is_set():
            if not select.select([self._master], [], [], 0.01)[0]:
                continue
            for piece in split(os.read(self._master, 4096)):
                reply = self.device.receive(self._carry(piece))
                for part in split(reply):
                    self._send(self._carry(part))
        self._unplug()

    def _send(self, data: bytes) -> None:
        if data:
            os.write(self._master, data)

    def _carry(self, data: bytes) -> bytes:
        """What becomes of a piece of the traffic."""
        self._wait -= 1
        if not self.kind or not self.faults or self._wait >= 0:
            return data
        self._wait = self._rng.randrange(SPREAD)
        self.faults -= 1
        self.struck += 1
        if self.kind in CHANGES:
            return CHANGES[self.kind](self._rng, data)
        if self.kind == "device reset":
            self.device.reset()
        elif self.kind == "unplug and replug":
            self._unplug()
            self._ends.wait(PAUSE_S)
            self._plug()
            return b""
        elif self.kind != "stale bytes":
            self._ends.wait(PAUSE_S)  # replies do not overtake each other on a terminal
        return data

    def stop(self) -> None:
        self._ends.set()
        self.join(5)


@contextmanager
def board(
    path: Path, kind: str = "", seed: int = 0, device: Endpoint | None = None
) -> Iterator[Board]:
    """A running board."""
    running = Board(path, device or HashDevice(), kind, seed)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "reordered replies"])
def test_recovers_bit_for_bit(kind: str, tmp_path: Path) -> None:
    path, right = tmp_path / "tty", undisturbed()
    for seed in range(PTY_RUNS):
        with board(path, kind, seed) as running:
            link = Link(SerialPort(str(path), BAUDS[0]))
            if kind == "stale bytes":
                abandon_link(link)
                os.write(running._master, b"\x00\x07left over\x00half")
            assert recovering(link, lambda link=link: train(link)) == right  # type: ignore[misc]
            link.close()
            assert running.struck


def test_rate_is_found(tmp_path: Path) -> None:
    """The device understands one rate alone; at others all is noise to both."""
    path = tmp_path / "tty"
    with board(path) as running:
        receive, rate = running.device.receive, 1_000_000

        def hear(data: bytes) -> bytes:
            return receive(data) if link_rate() == rate else b"\xf0" * 3

        def link_rate() -> int:
            return rates[-1]

        rates: list[int] = []
        set_baud = SerialPort.set_baud

        def note(port: SerialPort, baud: int) -> None:
            rates.append(baud)
            set_baud(port, baud)

        running.device.receive = hear  # type: ignore[method-assign]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SerialPort, "set_baud", note)
            link = open_serial(str(path))
            assert link_rate() == rate
            assert train(link) == undisturbed()
            link.close()
            running.device.receive = lambda data: b""  # type: ignore[method-assign]
            with pytest.raises(
                DeviceError, match=r"tty: no answer to IDENTIFY at 3000000, 2000000"
            ):
                open_serial(str(path))
            with pytest.raises(DeviceError, match=r"while connecting \(frame 0, IDENTIFY"):
                open_serial(str(path), baud=115_200, limit_s=0.3)


def test_no_port() -> None:
    with pytest.raises(InputError, match="golden has no link that could be tested; use serial:"):
        open_linked("golden")
    with pytest.raises(DeviceError, match=r"/dev/ttyNONE cannot be opened"):
        open_linked("serial:/dev/ttyNONE")
    with pytest.raises(DeviceError, match=r"/dev/ttyNONE cannot be opened .*; plug the board in"):
        open_serial("/dev/ttyNONE")
