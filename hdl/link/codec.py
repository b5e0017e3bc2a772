"""Frames as bytes, in Python: what host and model of the device share with each other."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from cobs import cobs

from .frames import CRC_BYTES, DELIMITER, MAX_REQUEST, byte_count, from_bytes, to_bytes

DELIMITER_BYTE = bytes([DELIMITER])
MAX_BLOCK = MAX_REQUEST + MAX_REQUEST // 254 + 1
"""Bytes of the longest frame on the line, without its delimiter."""


class DamagedError(ValueError):
    """Bytes that are not a sound frame."""


def encode(layout: Any, header: Mapping[str, Any], payload: bytes = b"") -> bytes:
    """A frame as it goes over the line; the header's ``length`` is that of the payload."""
    body = to_bytes(layout, {**header, "length": len(payload)}) + payload
    check = zlib.crc32(body).to_bytes(CRC_BYTES, "little")
    encoded: bytes = cobs.encode(body + check)
    return encoded + DELIMITER_BYTE


def decode(layout: Any, block: bytes) -> tuple[Any, bytes]:
    """Header, a constant of ``layout``, and payload of a frame without its delimiter.

    Raises
    ------
    DamagedError
        If COBS, length or CRC is wrong.
    """
    try:
        frame: bytes = cobs.decode(block)
    except cobs.DecodeError as fault:
        raise DamagedError(f"no COBS: {fault}") from fault
    body, check = frame[:-CRC_BYTES], frame[-CRC_BYTES:]
    size = byte_count(layout)
    if len(body) < size or zlib.crc32(body) != int.from_bytes(check, "little"):
        raise DamagedError(f"a frame of {len(frame)} bytes with a wrong CRC")
    header, payload = from_bytes(layout, body), body[size:]
    if len(payload) != header.length or len(frame) > MAX_REQUEST:
        raise DamagedError(f"a payload of {len(payload)} bytes where the header says otherwise")
    return header, payload


class Deframer:
    """Cuts a stream of bytes at its delimiters; what is longer than any frame comes out cut."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The blocks that ``data`` completes, without delimiters and without empty ones."""
        *ended, rest = data.split(DELIMITER_BYTE)
        for piece in ended:
            self._keep(piece)
            if self._rest:
                yield bytes(self._rest)
            self._rest.clear()
        self._keep(rest)

    def _keep(self, piece: bytes) -> None:
        """Of an endless block one byte too many is kept, so that it is never taken for a frame."""
        self._rest += piece[: MAX_BLOCK + 1 - len(self._rest)]
