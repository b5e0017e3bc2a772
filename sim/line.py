"""A line with a device at its end: rate, delay, and faults from a seed, in simulated time or by a
clock that somebody brings."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Protocol

LOST = "the device is not there"


class Endpoint(Protocol):
    """What is at the other end; `sim.link.LinkModel` is one."""

    def receive(self, data: bytes) -> bytes:
        """Bytes from the line; returns those that go back."""

    def reset(self) -> None:
        """As after power has come."""


class LineClock(Protocol):
    """`host.devices.link.transport.Clock`."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SimulatedClock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += max(seconds, 0.0)


class _Way:
    """One direction of the line: pieces arrive in the order of their times."""

    def __init__(self, bytes_per_s: float, delay_s: float) -> None:
        self._bytes_per_s, self._delay_s = bytes_per_s, delay_s
        self._free_at = 0.0
        self._pieces: list[tuple[float, int, bytes]] = []
        self._count = 0

    def send(self, data: bytes, now: float, late_s: float = 0.0) -> None:
        self._free_at = max(self._free_at, now) + len(data) / self._bytes_per_s
        self._count += 1
        arrival = self._free_at + self._delay_s + late_s
        heapq.heappush(self._pieces, (arrival, self._count, data))

    def stall(self, now: float, seconds: float) -> None:
        """Nothing moves for a while."""
        self._free_at = max(self._free_at, now) + seconds

    @property
    def next_at(self) -> float:
        """When the next piece arrives."""
        return self._pieces[0][0] if self._pieces else float("inf")

    def take(self) -> bytes:
        return heapq.heappop(self._pieces)[2]

    def clear(self) -> None:
        self._pieces.clear()


class SimulatedLine:
    """A `host.devices.link.transport.Transport` to ``device``.

    Parameters
    ----------
    device : Endpoint
    bytes_per_s : float
        Rate each way; a 3 Mbaud UART carries 300,000.
    delay_s : float
        From the last bit of a piece to its arrival.
    faults : Faults, optional
    clock : LineClock, optional
        Simulated time; one of its own if there is none.
    """

    name = "simulated line"

    def __init__(
        self,
        device: Endpoint,
        *,
        bytes_per_s: float = 300_000,
        delay_s: float = 1e-3,
        faults: Faults | None = None,
        clock: LineClock | None = None,
    ) -> None:
        self.device, self.bytes_per_s = device, bytes_per_s
        self.clock = clock or SimulatedClock()
        self.faults = faults
        self.up, self.down = _Way(bytes_per_s, delay_s), _Way(bytes_per_s, delay_s)
        self._open = True
        self._there_at = 0.0
        self._arrived = bytearray()
        if faults is not None:
            faults.begin(self)

    def write(self, data: bytes) -> None:
        self._check()
        self._carry(self.up, data)

    def read(self, most: int, timeout_s: float) -> bytes:
        until = self.clock.now() + timeout_s
        while True:
            self._check()
            if self._arrived:
                data = bytes(self._arrived[:most])
                del self._arrived[:most]
                return data
            at = self.next_at
            if at > until:
                self.clock.sleep(until - self.clock.now())
                return b""
            self.clock.sleep(at - self.clock.now())
            if self.down.next_at <= at:
                self._arrived += self.down.take()
            else:
                replies = self.device.receive(self.up.take())
                for piece in split(replies):
                    self._carry(self.down, piece)

    @property
    def next_at(self) -> float:
        """When the next piece arrives at either end."""
        return min(self.up.next_at, self.down.next_at)

    def unplug(self, seconds: float) -> None:
        """Pull the cable; what is on the line is gone."""
        self._open, self._there_at = False, self.clock.now() + seconds
        self.up.clear()
        self.down.clear()
        self._arrived.clear()

    def reopen(self) -> None:
        if self.clock.now() < self._there_at:
            raise OSError(LOST)
        self._open = True

    def close(self) -> None:
        self._open = False

    def _check(self) -> None:
        if not self._open:
            raise OSError(LOST)

    def _carry(self, way: _Way, data: bytes) -> None:
        if self.faults is None or not self.faults.strikes(way is self.up):
            way.send(data, self.clock.now())
        else:
            self.faults.strike(self, way, data)


def split(data: bytes) -> list[bytes]:
    """Frames, with their delimiters, and the rest."""
    pieces = [piece + b"\0" for piece in data.split(b"\0")]
    pieces[-1] = pieces[-1][:-1]
    return [piece for piece in pieces if piece]


Change = Callable[[random.Random, bytes], bytes]


def flip(rng: random.Random, data: bytes) -> bytes:
    """One to three bits."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def burst(rng: random.Random, data: bytes) -> bytes:
    """A run of bytes of noise."""
    begin = rng.randrange(len(data))
    noise = rng.randbytes(min(rng.randint(2, 40), len(data) - begin))
    return data[:begin] + noise + data[begin + len(noise) :]


def drop(rng: random.Random, data: bytes) -> bytes:
    """A few bytes are gone."""
    begin = rng.randrange(len(data))
    return data[:begin] + data[begin + rng.randint(1, 3) :]


def double(rng: random.Random, data: bytes) -> bytes:
    """A run of bytes, or all of them, twice."""
    if rng.random() < 0.5:
        return data * 2
    begin = rng.randrange(len(data))
    run = data[begin : begin + rng.randint(1, 20)]
    return data[:begin] + run + data[begin:]


def insert(rng: random.Random, data: bytes) -> bytes:
    """Bytes from nowhere."""
    begin = rng.randrange(len(data) + 1)
    return data[:begin] + rng.randbytes(rng.randint(1, 20)) + data[begin:]


def truncate(rng: random.Random, data: bytes) -> bytes:
    """The end is missing, delimiter included."""
    return data[: rng.randrange(len(data))]


CHANGES: dict[str, Change] = {
    "bit flips": flip,
    "bursts": burst,
    "dropped bytes": drop,
    "doubled bytes": double,
    "inserted bytes": insert,
    "truncated frames": truncate,
}
EVENTS = ("reordered replies", "stalls", "device reset", "unplug and replug", "stale bytes")
KINDS = (*CHANGES, *EVENTS)
FOR_GOOD = ("unplugged for good", "another device")


class Faults:
    """Faults of one kind, at pieces of the traffic that the seed chooses.

    Parameters
    ----------
    kind : str
        One of `KINDS`, which pass, or of `FOR_GOOD`.
    seed : int
    other : Endpoint, optional
        What takes the device's place in "another device".
    """

    MOST = 5
    SPREAD = 30
    """The first strikes one of so many pieces, every other so many later."""

    LONGEST_S = 2.0
    """Of stalls and of unplugged cables."""

    def __init__(self, kind: str, seed: int, other: Endpoint | None = None) -> None:
        self._other = other
        self.kind, self._rng = kind, random.Random(f"{kind} {seed}")
        self.struck = 0
        self._left = self._rng.randint(1, self.MOST)
        self._wait = self._rng.randrange(self.SPREAD // 2)

    def begin(self, line: SimulatedLine) -> None:
        """What is there before the host comes."""
        if self.kind != "stale bytes":
            return
        rng = self._rng
        for _ in range(rng.randint(1, 4)):
            line.device.receive(rng.randbytes(rng.randint(1, 200)))
            line.down.send(rng.randbytes(rng.randint(1, 200)), 0.0)
        self.struck = 1

    def strikes(self, up: bool) -> bool:
        """Whether the next piece is one of those."""
        eligible = not up if self.kind == "reordered replies" else self.kind != "stale bytes"
        if not eligible or not self._left:
            return False
        self._wait -= 1
        return self._wait < 0

    def strike(self, line: SimulatedLine, way: _Way, data: bytes) -> None:
        """Send ``data`` on its way with a fault."""
        rng, now = self._rng, line.clock.now()
        self.struck += 1
        self._left -= 1
        self._wait = rng.randrange(self.SPREAD)
        if self.kind in CHANGES:
            way.send(CHANGES[self.kind](rng, data), now)
        elif self.kind == "reordered replies":
            way.send(data, now, late_s=rng.uniform(0.0, 0.3))
        elif self.kind == "stalls":
            way.stall(now, rng.uniform(0.0, self.LONGEST_S))
            way.send(data, now)
        elif self.kind == "device reset":
            way.send(data, now)
            line.device.reset()
        elif self.kind == "unplugged for good":
            line.unplug(float("inf"))
        elif self._other is not None:
            line.device, self._left = self._other, 0
            line.unplug(rng.uniform(0.0, self.LONGEST_S))
        else:
            way.send(data[: rng.randrange(len(data) + 1)], now)
            if rng.random() < 0.5:  # a board that the bus powers
                line.device.reset()
            line.unplug(rng.uniform(0.0, self.LONGEST_S))
