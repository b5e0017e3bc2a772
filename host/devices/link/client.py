"""The client: requests that arrive once and in order over a line that loses and changes bytes."""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

from zipsgd.boards.digest import board_digest
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.lib.source_digest import design_digest
from zipsgd.hdl.link.codec import DELIMITER_BYTE, DamagedError, Deframer, decode, encode
from zipsgd.hdl.link.frames import (
    MAX_PAYLOAD,
    MAX_REQUEST,
    NO_SESSION,
    SEQUENCE_BITS,
    SESSION_BITS,
    Code,
    Command,
    Reply,
    Request,
)
from zipsgd.hdl.link.identity import Identity

from ...errors import DeviceError
from .requests import Asked, NoAnswerError, RefusedError, Sent, SessionLostError, Traffic
from .stopwatch import Stopwatch
from .transport import Transport

LIMIT_S = 5.0
"""Longest wait for any progress."""

RETRY_S = 0.1
"""Wait for an answer, beyond the time that its bytes take, before a request is sent again; doubled
every time. USB bridges add up to 16 ms."""

REOPEN_S = 0.05
"""Between two attempts to open a port that was unplugged."""

READ_BYTES = 4096
ATTEMPTS = 3
SEQUENCE_MASK = (1 << SEQUENCE_BITS) - 1

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Is told how many bytes are done, and of how many."""

logger = logging.getLogger(__name__)


def draw_session() -> int:
    """A number that no earlier session is likely to have had."""
    return 1 + secrets.randbelow((1 << SESSION_BITS) - 1)


class LinkClient:
    """A session with a device.

    Requests without an answer of interest are sent ahead, as many as the device's buffer holds, so
    that the line is always full; after a loss everything from the lost one on is sent again
    (go-back-N). Requests are executed in the order of the calls, each once; a call returns when its
    last one has been executed. A call that raises ends the session; the next begins another.

    Parameters
    ----------
    transport : Transport
        Closed by ``close``.
    limit_s : float
        Longest wait for any progress, unplugged ports included.
    draw : callable
        Draws the numbers of sessions: 1 or more, `SESSION_BITS` bits.

    Attributes
    ----------
    traffic : Traffic
    watch : Stopwatch
        Of the phases of the calls.

    Every call raises

    DeviceError
        If there is no progress within the limit, or the device refuses (`RefusedError`).
    SessionLostError
        If the device was reset since the session began.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        limit_s: float = LIMIT_S,
        draw: Callable[[], int] = draw_session,
    ) -> None:
        self.transport = transport
        self.limit_s = limit_s
        self._draw = draw
        self.traffic = Traffic()
        self.watch = Stopwatch(transport.clock)
        self._session, self._sequence = NO_SESSION, 0
        self._window = MAX_REQUEST
        self._begin_line()

    def connect(
        self, config: EngineConfig | None = None, *, limit_s: float | None = None
    ) -> Identity:
        """Begin a session, whatever may still be on the line; who is there?

        Raises
        ------
        DeviceError
            If it is not a device of this host's design, and of geometry ``config`` if that is
            given.
        """
        self._session, self._sequence = self._draw(), 0
        self._window = MAX_REQUEST
        asked, phase = Asked(command=Command.IDENTIFY), "connecting"
        raw = self._exchange([asked], phase, True, limit_s=limit_s)
        where = f"{self.transport.name}: while {phase} (frame 0, {asked})"
        try:
            identity = Identity.from_bytes(raw)
        except ValueError as fault:
            self._session = NO_SESSION
            raise DeviceError(f"{where}: what answers there {fault}") from fault
        wanted = replace(identity, config=config or identity.config)
        known = (design_digest(wanted.config), board_digest(wanted.config))
        if identity != wanted or identity.digest not in known:
            wanted = replace(wanted, digest=known[-1])
            self._session = NO_SESSION
            raise DeviceError(
                f"{where}: the bitstream is {identity.describe()} and this host "
                f"wants {wanted.describe()}; build and flash it with this version of zipsgd, or "
                "choose its geometry"
            )
        self._window = identity.buffer_bytes
        return identity

    def request(
        self,
        command: int,
        payload: bytes = b"",
        *,
        phase: str,
        address: int = 0,
        count: int = 0,
    ) -> bytes:
        """One request; returns its answer. ``phase`` says in errors what was going on."""
        asked = Asked(command=command, payload=payload, address=address, count=count)
        return self._exchange([asked], phase, True)

    def write(
        self,
        command: int,
        data: bytes | memoryview,
        *,
        phase: str,
        address: int = 0,
        progress: Progress | None = None,
    ) -> None:
        """Send ``data`` in as many requests as it takes."""
        view = memoryview(data)
        pieces = (
            Asked(
                command=command,
                payload=bytes(view[begin : begin + MAX_PAYLOAD]),
                address=address + begin,
            )
            for begin in range(0, len(view), MAX_PAYLOAD)
        )
        self._exchange(pieces, phase, False, progress=progress, total=len(view))

    def read(
        self,
        command: int,
        count: int,
        *,
        phase: str,
        address: int = 0,
        progress: Progress | None = None,
    ) -> bytes:
        """``count`` bytes, in as many requests as it takes."""
        data = bytearray()
        while len(data) < count:
            most = min(count - len(data), MAX_PAYLOAD)
            piece = self.request(command, phase=phase, address=address + len(data), count=most)
            if len(piece) != most:
                raise DeviceError(
                    f"{self.transport.name}: {Command(command).name} at byte "
                    f"{address + len(data):#x} gave "
                    f"{len(piece)} bytes instead of {most} while {phase}; its bitstream is at "
                    "fault, report it"
                )
            data += piece
            if progress is not None:
                progress(len(data), count)
        return bytes(data)

    def close(self) -> None:
        """Give the line back; the link cannot be used afterwards."""
        self._session = NO_SESSION
        self.transport.close()

    def _exchange(
        self,
        requests: Iterable[Asked],
        phase: str,
        wants_answer: bool,
        *,
        progress: Progress | None = None,
        total: int = 0,
        limit_s: float | None = None,
    ) -> bytes:
        """Have ``requests`` executed; returns the answer, if that is wanted, to the only one."""
        if self._session == NO_SESSION:
            self.connect()
        exchange = _Exchange(self, iter(requests), phase, wants_answer, limit_s or self.limit_s)
        done = False
        try:
            for count in exchange.run():
                if progress is not None:
                    progress(count, total)
            done = True
        finally:
            self.watch.charge(phase)
            if not done:
                self._session = NO_SESSION
        return exchange.answer

    # The line, as `_Exchange` sees it.

    def _begin_line(self) -> None:
        """Nothing of what came before belongs to what will come."""
        self._deframer = Deframer()
        self._blocks: Iterator[bytes] = iter(())

    def _seal(self, asked: Asked) -> Sent:
        """Give a request its place in the session."""
        header = {
            "session": self._session,
            "sequence": self._sequence,
            "command": asked.command,
            "count": asked.count,
            "address": asked.address,
        }
        sent = Sent(asked, self._sequence, encode(Request, header, asked.payload))
        self._sequence = (self._sequence + 1) & SEQUENCE_MASK
        return sent

    def _receive(self, until: float) -> tuple[Any, bytes] | None:
        """The next sound reply of this session, unless the time is over."""
        clock = self.transport.clock
        while True:
            for block in self._blocks:
                try:
                    reply, payload = decode(Reply, block)
                except DamagedError as fault:
                    self.traffic.damaged += 1
                    logger.debug("%s: %s", self.transport.name, fault)
                    continue
                if reply.session == self._session:
                    return reply, payload
                self.traffic.stale += 1
            left_s = until - clock.now()
            if left_s <= 0:
                return None
            self._blocks = self._deframer.feed(self.transport.read(READ_BYTES, left_s))


class _Exchange:
    """Some requests on their way: what is unanswered, and when to lose patience."""

    def __init__(
        self,
        link: LinkClient,
        requests: Iterator[Asked],
        phase: str,
        wants_answer: bool,
        limit_s: float,
    ) -> None:
        self.answer = b""
        self._link, self._requests, self._phase = link, requests, phase
        self._wants_answer, self._limit_s = wants_answer, limit_s
        self._next = next(requests, None)
        self._unanswered: deque[Sent] = deque()
        self._outstanding = 0  # bytes of them in the device's buffer, at most
        self._done = 0  # bytes of payload that were answered
        self._gap: int | None = None  # the request from which on all was sent again
        self._retry_s = RETRY_S
        self._renew()

    def run(self) -> Iterator[int]:
        """Yields the bytes of payload done so far, after each progress."""
        transport = self._link.transport
        again = self._link._sequence == 0  # a session begins on a line with anything on it
        while True:
            try:
                if again:
                    self._send_again()
                    again = False
                self._send_ahead()
                if not self._unanswered:
                    return
                received = self._link._receive(min(self._retry_at, self._give_up_at))
            except OSError as fault:
                self._reopen(fault)
                again = True
                continue
            if received is not None:
                before = len(self._unanswered)
                again = self._judge(*received)
                if len(self._unanswered) < before:
                    self._renew()
                    yield self._done
            elif transport.clock.now() >= self._give_up_at:
                raise NoAnswerError(self._explain(f"no answer for {self._limit_s:g} s"))
            else:
                again = True
                self._retry_s *= 2

    def _renew(self) -> None:
        """There was progress: patience is as long as ever."""
        now = self._link.transport.clock.now()
        self._give_up_at = now + self._limit_s
        self._retry_s = RETRY_S
        self._expect_by(now)

    def _expect_by(self, now: float) -> None:
        """When to send again, if nothing of what is unanswered comes."""
        line_s = 2 * (self._outstanding + MAX_REQUEST) / self._link.transport.bytes_per_s
        self._retry_at = now + self._retry_s + line_s

    def _send_ahead(self) -> None:
        """Whatever fits in the device's buffer."""
        link = self._link
        while self._next is not None:
            size = self._next.size
            if self._unanswered and self._outstanding + size > link._window:
                return
            sent = link._seal(self._next)
            self._next = next(self._requests, None)
            self._unanswered.append(sent)
            self._outstanding += size
            if len(self._unanswered) == 1:
                self._expect_by(link.transport.clock.now())
            link.transport.write(sent.frame)

    def _send_again(self) -> None:
        """All that is unanswered, behind a delimiter that ends what may be half there."""
        self._gap = self._unanswered[0].sequence if self._unanswered else None
        self._link.traffic.retries += len(self._unanswered)
        self._expect_by(self._link.transport.clock.now())
        frames = b"".join(sent.frame for sent in self._unanswered)
        self._link.transport.write(DELIMITER_BYTE + frames)

    def _judge(self, reply: Any, payload: bytes) -> bool:
        """Take note of a reply; returns whether requests must be sent again at once."""
        if reply.code == Code.NO_SESSION:
            raise SessionLostError(self._explain("the device has been reset"))
        base = self._unanswered[0].sequence
        executed = (reply.expected - base) & SEQUENCE_MASK
        place = (reply.sequence - base) & SEQUENCE_MASK
        waiting = len(self._unanswered)
        if executed > waiting or (place >= waiting and not executed):
            self._link.traffic.stale += 1
            return False
        if self._wants_answer and executed:
            # That it was executed is not enough: the answer itself is wanted.
            if place or reply.code != Code.OK:
                return False
            self.answer = payload
        self._drop(executed)
        if reply.code == Code.OUT_OF_ORDER:
            # Something came after a request that did not: send again, but once.
            return not executed and place > 0 and self._gap != base
        if reply.code != Code.OK:
            self._refuse(reply.code)
        return False

    def _drop(self, executed: int) -> None:
        for _ in range(executed):
            asked = self._unanswered.popleft().asked
            self._outstanding -= asked.size
            self._done += len(asked.payload)
            self._link.traffic.frames += 1
            self._link.traffic.payload_bytes += len(asked.payload)

    def _refuse(self, number: int) -> None:
        try:
            code = Code(number)
            why = f"{code.name}: {WHY.get(code, '')}"
        except ValueError:
            why = f"code {number}"
        raise RefusedError(self._explain(f"the device refused ({why})"), number)

    def _reopen(self, fault: OSError) -> None:
        """Wait for a line that is gone, as long as there is patience."""
        link, transport = self._link, self._link.transport
        logger.warning("%s: %s; waiting for it", transport.name, fault)
        while transport.clock.now() < self._give_up_at:
            transport.clock.sleep(REOPEN_S)
            try:
                transport.reopen()
            except OSError as still:
                fault = still
                continue
            link._begin_line()
            link.traffic.reopened += 1
            return
        raise NoAnswerError(
            self._explain(f"the line has been gone for {self._limit_s:g} s ({fault})")
        ) from fault

    def _explain(self, what: str) -> str:
        where = self._unanswered[0] if self._unanswered else f"before {self._next}"
        return (
            f"{self._link.transport.name}: {what} while {self._phase} ({where}); check power, "
            "cable and bitstream, then run again"
        )


WHY = {
    Code.UNKNOWN: "it does not know this command",
    Code.RANGE: "address or length does not fit",
    Code.BUSY: "a job is under way or a queue is full",
}


def recovering(link: LinkClient, work: Callable[[], T], attempts: int = ATTEMPTS) -> T:
    """What ``work`` returns. It is done anew, from its beginning, when the device has been reset
    in the middle of it; the last attempt's error is the caller's."""
    for _ in range(attempts - 1):
        try:
            return work()
        except SessionLostError as fault:
            logger.warning("%s; beginning anew", fault)
            link.connect()
    return work()
