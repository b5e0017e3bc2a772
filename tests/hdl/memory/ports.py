"""Both ends of a memory port: an initiator that checks a memory, a memory with random waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import cocotb

from tests.hdl.toolkit import Bench, Scoreboard, Stream, random_bits
from zipsgd.hdl.memory.interface import request_layout

Request = dict[str, int]


class Initiator:
    """Drives the port of a memory, and knows what the memory must hold.

    The reference is fed by what the memory takes: a read is served when every earlier write has had
    its words.
    """

    def __init__(
        self, bench: Bench, name: str, width: int, address_bits: int, longest: int
    ) -> None:
        self.bench, self.width = bench, width
        self.board: Scoreboard = bench.scoreboard("word read")
        layout = request_layout(address_bits, longest)
        self.requests = Stream(bench, f"{name}__requests", layout, self._on_request)
        self.writes = Stream(bench, f"{name}__writes", width, self._on_write)
        self.word = bench.port(f"{name}__reads__payload", width)
        self.valid = bench.port(f"{name}__reads__valid")
        self.words: dict[int, int] = {}
        self.asked_in: list[int] = []
        """Cycles in which requests were taken."""
        self.read_in: list[int] = []
        """Cycles in which words came."""
        self._pending: deque[Request] = deque()
        self._written: deque[int] = deque()
        bench.monitor(self._watch)

    @property
    def inputs(self) -> tuple[Any, ...]:
        sends = (self.requests, self.writes)
        return tuple(port for stream in sends for port in (stream.payload, stream.valid))

    def _on_request(self, request: Request) -> None:
        self.asked_in.append(self.bench.cycle)
        self._pending.append(request)
        self._serve()

    def _on_write(self, word: int) -> None:
        self._written.append(word)
        self._serve()

    def _serve(self) -> None:
        while self._pending:
            request = self._pending[0]
            addresses = range(request["address"], request["address"] + request["length"])
            if request["write"]:
                if len(self._written) < request["length"]:
                    return
                self.words.update({address: self._written.popleft() for address in addresses})
            else:
                for address in addresses:
                    self.board.expect(self.words[address])
            self._pending.popleft()

    def _watch(self) -> None:
        if self.valid.get():
            self.read_in.append(self.bench.cycle)
            self.board.observe(self.word.get())

    def idle(self) -> bool:
        return not self._pending and not self.board.missing

    async def wait(self) -> None:
        """Until every request has been served."""
        await self.bench.until(self.idle, "served")

    def random_words(self, count: int) -> list[int]:
        return [random_bits(self.bench.rng, self.width) for _ in range(count)]


class Responder:
    """Serves the port of an initiator as a memory would, after random waits.

    It holds the initiator to `MemorySignature`: requests of a legal length, inside the memory, and
    words of writes without delay.
    """

    def __init__(
        self,
        bench: Bench,
        name: str,
        width: int,
        address_bits: int,
        longest: int,
        on_request: Callable[[Request], None] | None = None,
    ) -> None:
        self.bench, self.longest, self.depth = bench, longest, 1 << address_bits
        layout = request_layout(address_bits, longest)
        self.requests = Stream(bench, f"{name}__requests", layout, self._take)
        self.writes = Stream(bench, f"{name}__writes", width, self._store)
        self.word = bench.port(f"{name}__reads__payload", width)
        self.valid = bench.port(f"{name}__reads__valid")
        self.contents: dict[int, int] = {}
        self._on_request = on_request
        self._pending: deque[Request] = deque()
        self._stored = 0

    @property
    def inputs(self) -> tuple[Any, ...]:
        return (self.word, self.valid, self.requests.ready, self.writes.ready)

    def _take(self, request: Request) -> None:
        assert 1 <= request["length"] <= self.longest, f"a request of {request['length']} words"
        assert request["address"] + request["length"] <= self.depth, "a request past the end"
        if self._on_request is not None:
            self._on_request(request)
        self._pending.append(request)

    def _store(self, word: int) -> None:
        request = self._pending[0]
        assert request["write"], "a word was taken for a request that reads"
        self.contents[request["address"] + self._stored] = word
        self._stored += 1
        if self._stored == request["length"]:
            self._stored = 0
            self._pending.popleft()

    async def serve(self, wait: int, gap: float) -> None:
        """Serve for ever: up to ``wait`` cycles before a request, gaps with probability ``gap``."""
        cocotb.start_soon(self._accept(gap))
        while True:
            if not self._pending:
                await self.bench.tick()
                continue
            await self.bench.tick(int(self.bench.rng.integers(wait + 1)))
            await (self._write if self._pending[0]["write"] else self._read)(gap)

    async def _accept(self, gap: float) -> None:
        """One request may be taken while another is served, so that words need not rest."""
        while True:
            self.requests.ready.set(len(self._pending) < 2 and not self.bench.chance(gap))
            await self.bench.tick()

    async def _read(self, gap: float) -> None:
        request = self._pending[0]
        for offset in range(request["length"]):
            while self.bench.chance(gap):
                await self.bench.tick()
            self.word.set(self.contents[request["address"] + offset])
            self.valid.set(1)
            if offset == request["length"] - 1:
                self._pending.popleft()
            await self.bench.tick()
            self.valid.set(0)
            self.word.scramble(self.bench.rng)

    async def _write(self, gap: float) -> None:
        request = self._pending[0]
        while self._pending and self._pending[0] is request:
            self.writes.ready.set(not self.bench.chance(gap))
            await self.bench.tick()
        self.writes.ready.set(0)
