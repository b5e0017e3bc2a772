"""Serial ports."""

from __future__ import annotations

import contextlib

import serial

from ...errors import DeviceError
from .client import LIMIT_S, LinkClient
from .requests import NoAnswerError
from .transport import SystemClock

BAUDS = (3_000_000, 2_000_000, 1_000_000, 921_600, 460_800, 230_400, 115_200)
"""Rates that are tried, the fastest first: a bitstream has one of them built in."""

SEARCH_S = 0.4
"""Longest wait for an answer at each."""

LINE_BITS = 10
"""Of a byte: with start and stop bit."""


class SerialPort:
    """A `host.devices.link.transport.Transport` over a serial port.

    Parameters
    ----------
    path : str
        As the system calls it.
    baud : int
        Bits a second.

    Raises
    ------
    DeviceError
        If the port cannot be opened.
    """

    def __init__(self, path: str, baud: int) -> None:
        self.name, self.clock = path, SystemClock()
        self.set_baud(baud)
        try:
            self._port = self._open()
        except OSError as fault:
            raise DeviceError(
                f"{path} cannot be opened ({fault}); plug the board in, or add yourself to the "
                "group that the port belongs to (`zipsgd doctor` lists the ports)"
            ) from fault

    def set_baud(self, baud: int) -> None:
        """Use another rate from now on."""
        self._baud, self.bytes_per_s = baud, baud / LINE_BITS
        if hasattr(self, "_port"):
            self._port.baudrate = baud

    def write(self, data: bytes) -> None:
        self._port.write(data)

    def read(self, most: int, timeout_s: float) -> bytes:
        self._port.timeout = timeout_s
        first: bytes = self._port.read(1)
        waiting = min(self._port.in_waiting, most - 1) if first else 0
        return first + self._port.read(waiting)

    def reopen(self) -> None:
        self.close()
        self._port = self._open()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it may be gone
            self._port.close()

    def _open(self) -> serial.Serial:
        return serial.Serial(self.name, self._baud, write_timeout=LIMIT_S, exclusive=True)


def open_serial(path: str, baud: int | None = None, *, limit_s: float = LIMIT_S) -> LinkClient:
    """A link over a serial port that a device has answered on, at ``baud`` or at the first of
    `BAUDS` at which it does.

    Raises
    ------
    DeviceError
        If the port cannot be opened, if nothing answers, or if what answers is of another design.
    """
    port = SerialPort(path, baud or BAUDS[0])
    link = LinkClient(port, limit_s=limit_s)
    try:
        if baud:
            link.connect()
            return link
        for rate in BAUDS:
            port.set_baud(rate)
            with contextlib.suppress(NoAnswerError):
                link.connect(limit_s=SEARCH_S)
                return link
        raise DeviceError(
            f"{path}: no answer to IDENTIFY at {', '.join(map(str, BAUDS))} baud, "
            f"{SEARCH_S:g} s each; check power and cable, and that the board has a zipsgd "
            "bitstream, or give the rate as PORT@BAUD"
        )
    except BaseException:
        link.close()
        raise
