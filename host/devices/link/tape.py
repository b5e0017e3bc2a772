"""Sessions as files: what a user's hardware said becomes a test that needs no hardware. The
environment variable `TAPE_VARIABLE` names the file; the device ``replay:FILE`` plays it back.

A file has a JSON object a line: a head with name and rate of the line, then one for every call:
what was done (``write``, ``read``, ``sleep``, ``reopen``), its bytes in hexadecimal or its seconds,
the time ``at`` which it was done, and ``error`` if it raised `OSError`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TextIO

from zipsgd.hdl.link.codec import DamagedError, Deframer, decode
from zipsgd.hdl.link.frames import Command, Request

from ...errors import DeviceError, InputError
from .client import LinkClient
from .transport import Transport

FORMAT = "zipsgd link 1"
TAPE_VARIABLE = "ZIPSGD_TAPE"


class TapeClock:
    """Time that stands still between calls, so that a replay makes the same decisions."""

    def __init__(self, tape: Recorder | Replay) -> None:
        self._tape = tape

    def now(self) -> float:
        return self._tape.at

    def sleep(self, seconds: float) -> None:
        self._tape.pause(seconds)


class Recorder:
    """A `host.devices.link.transport.Transport` that writes down what goes through another.

    Parameters
    ----------
    transport : Transport
    path : Path
        File to write.

    Raises
    ------
    InputError
        If that is not possible.
    """

    def __init__(self, transport: Transport, path: Path) -> None:
        self._transport = transport
        self.name, self.bytes_per_s = transport.name, transport.bytes_per_s
        self.clock = TapeClock(self)
        self._begin = transport.clock.now()
        self.at = 0.0
        try:
            self._file: TextIO = path.open("w", encoding="utf-8")
        except OSError as fault:
            raise InputError(
                f"{path} cannot be written ({fault.strerror}); let {TAPE_VARIABLE} name another"
            ) from fault
        self._put({"format": FORMAT, "name": self.name, "bytes_per_s": self.bytes_per_s})

    def write(self, data: bytes) -> None:
        try:
            self._transport.write(data)
        except OSError as fault:
            self._note("write", data.hex(), fault)
            raise
        self._note("write", data.hex())

    def read(self, most: int, timeout_s: float) -> bytes:
        try:
            data = self._transport.read(most, timeout_s)
        except OSError as fault:
            self._note("read", "", fault)
            raise
        self._note("read", data.hex())
        return data

    def reopen(self) -> None:
        try:
            self._transport.reopen()
        except OSError as fault:
            self._note("reopen", "", fault)
            raise
        self._note("reopen", "")

    def pause(self, seconds: float) -> None:
        """Sleep, and write it down."""
        self._transport.clock.sleep(seconds)
        self._note("sleep", seconds)

    def close(self) -> None:
        self._transport.close()
        self._file.close()

    def _note(self, call: str, value: str | float, fault: OSError | None = None) -> None:
        self.at = self._transport.clock.now() - self._begin
        error = {} if fault is None else {"error": str(fault)}
        self._put({call: value, "at": self.at, **error})

    def _put(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()  # what counts is what came before a crash


def recorded(link: LinkClient) -> LinkClient:
    """``link``; or one on the same line that is recorded, if `TAPE_VARIABLE` asks for it."""
    path = os.environ.get(TAPE_VARIABLE)
    return LinkClient(Recorder(link.transport, Path(path)), limit_s=link.limit_s) if path else link


class Replay:
    """A `host.devices.link.transport.Transport` that says what a recorded one said.

    Give its ``draw`` to the `host.devices.link.client.LinkClient`: sessions then have the recorded
    numbers.

    Parameters
    ----------
    path : Path
        What a `Recorder` has written.

    Raises
    ------
    InputError
        If the file is not a recording, or the host does something else than it did then.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            head, *self._calls = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            if head["format"] != FORMAT:
                raise ValueError(f"format {head['format']!r} instead of {FORMAT!r}")
            self.name, self.bytes_per_s = str(head["name"]), float(head["bytes_per_s"])
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise InputError(f"{path} is no recording of a link ({fault}); record anew") from fault
        self.clock = TapeClock(self)
        self.at = 0.0
        self._next = 0
        self._sessions = iter(self._recorded_sessions())

    def draw(self) -> int:
        """Number of the next session of the recording."""
        return next(self._sessions, 1)

    def write(self, data: bytes) -> None:
        self._play("write", data.hex())

    def read(self, most: int, timeout_s: float) -> bytes:
        return bytes.fromhex(self._play("read"))

    def reopen(self) -> None:
        self._play("reopen")

    def pause(self, seconds: float) -> None:
        """A sleep takes no time."""
        self._play("sleep")

    def close(self) -> None:
        pass

    def _play(self, call: str, value: str | None = None) -> Any:
        line = f"{self._path}:{self._next + 2}"
        if self._next == len(self._calls):
            raise DeviceError(f"{line}: the recording ends here and the host wants to {call}")
        recorded = self._calls[self._next]
        if call not in recorded or value not in (None, recorded[call]):
            raise InputError(
                f"{line}: the host does something else ({call} {value or ''}) than when this was "
                "recorded; replay with the same commands, data and version"
            )
        self._next += 1
        self.at = recorded["at"]
        if "error" in recorded:
            raise OSError(recorded["error"])
        return recorded[call]

    def _recorded_sessions(self) -> dict[int, None]:
        """Numbers of the sessions that were begun, in order."""
        found: dict[int, None] = {}
        deframer = Deframer()
        for call in self._calls:
            for block in deframer.feed(bytes.fromhex(call.get("write", ""))):
                try:
                    header, _ = decode(Request, block)
                except DamagedError:
                    continue
                if header.command == Command.IDENTIFY:
                    found[header.session] = None
        return found
