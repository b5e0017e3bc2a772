"""The device's end of the link in Python: the rules that `hdl.link.link.Link` follows, byte for
byte, without its timing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zipsgd.hdl.link.codec import DamagedError, Deframer, decode, encode
from zipsgd.hdl.link.frames import NO_SESSION, SEQUENCE_BITS, Code, Command, Reply, Request

SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1

Execute = Callable[[Any, bytes], tuple[int, bytes]]
"""What a device does with a request's header and payload, and what it answers."""


class LinkModel:
    """Session, sequence and answers of the device.

    Parameters
    ----------
    identity : bytes
        Answer to IDENTIFY.
    execute : Execute
        Called for every command but IDENTIFY and ECHO, in order, once each.

    Attributes
    ----------
    counters : dict
        ``damaged`` and ``repeated`` of `hdl.link.frames.LinkCounters`; without time nothing is
        ever crowded.
    """

    def __init__(self, identity: bytes, execute: Execute) -> None:
        self._identity, self._execute = identity, execute
        self.reset()

    def reset(self) -> None:
        """As after power has come."""
        self._deframer = Deframer()
        self._session, self._expected = NO_SESSION, 0
        self._last = b""
        self.counters = {"damaged": 0, "repeated": 0}

    def receive(self, data: bytes) -> bytes:
        """Bytes from the line; returns those that go back."""
        return b"".join(self._answer(block) for block in self._deframer.feed(data))

    def _answer(self, block: bytes) -> bytes:
        try:
            header, payload = decode(Request, block)
        except DamagedError:
            self.counters["damaged"] += 1
            return b""
        if header.session != self._session or self._session == NO_SESSION:
            if header.command != Command.IDENTIFY:
                known = self._session != NO_SESSION
                return b"" if known else self._reply(header, Code.NO_SESSION)
            self._session, self._expected = header.session, header.sequence
        if header.sequence == self._expected:
            return self._perform(header, payload)
        self.counters["repeated"] += 1
        if header.sequence == (self._expected - 1) & SEQUENCE_MASK:
            return self._reply(header, Code.OK, self._last)
        return self._reply(header, Code.OUT_OF_ORDER)

    def _perform(self, header: Any, payload: bytes) -> bytes:
        if header.command == Command.IDENTIFY:
            code, answer = Code.OK, self._identity
        elif header.command == Command.ECHO:
            code, answer = Code.OK, payload
        else:
            code, answer = self._execute(header, payload)
        if code == Code.OK:
            self._expected = (self._expected + 1) & SEQUENCE_MASK
            self._last = answer
        return self._reply(header, code, answer)

    def _reply(self, header: Any, code: int, payload: bytes = b"") -> bytes:
        fields = {
            "session": header.session,
            "sequence": header.sequence,
            "expected": self._expected,
            "code": code,
        }
        return encode(Reply, fields, payload)
