"""Requests on their way over a link, and what may become of them."""

from __future__ import annotations

from dataclasses import dataclass

from zipsgd.hdl.link.frames import CRC_BYTES, REQUEST_BYTES, Command

from ...errors import DeviceError


class SessionLostError(DeviceError):
    """The device has been reset: what was in it is gone, and the work must begin anew."""


class NoAnswerError(DeviceError):
    """The limit has passed without progress."""


class RefusedError(DeviceError):
    """The device refused a request.

    Attributes
    ----------
    code : int
        A `Code`.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Traffic:
    """What a link has seen so far.

    Attributes
    ----------
    frames, payload_bytes : int
        Requests and bytes of payload that were answered.
    retries : int
        Requests that were sent again.
    damaged, stale : int
        Replies that were unsound, or not to anything that was waiting.
    reopened : int
        Times that the line was lost and found again.
    """

    frames: int = 0
    payload_bytes: int = 0
    retries: int = 0
    damaged: int = 0
    stale: int = 0
    reopened: int = 0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request without its place in the session."""

    command: int
    payload: bytes = b""
    address: int = 0
    count: int = 0

    @property
    def size(self) -> int:
        """Bytes that it takes in the device's buffer."""
        return REQUEST_BYTES + len(self.payload) + CRC_BYTES

    def __str__(self) -> str:
        return f"{Command(self.command).name} at byte {self.address:#x}"


@dataclass(frozen=True)
class Sent:
    """A request that waits for its answer."""

    asked: Asked
    sequence: int
    frame: bytes

    def __str__(self) -> str:
        return f"frame {self.sequence}, {self.asked}"
