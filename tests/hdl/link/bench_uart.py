"""Bytes on the wire with exact, fast and slow bits, glitches and missing stop bits."""

from __future__ import annotations

from typing import Any

import cocotb

from tests.hdl.toolkit import Bench, Scoreboard, Stream, random_bits, test
from zipsgd.hdl.link.uart import FRAME_BITS

BYTES = 40
TOLERANCE = 0.02
"""By how much the other end's rate may differ, at the fewest cycles a bit."""


class UartBench(Bench):
    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.bit_cycles = self.parameters["clock_hz"] / self.parameters["baud"]
        self.rx, self.tx = self.port("rx"), self.port("tx")
        self.sent, self.received = self.scoreboard("sent byte"), self.scoreboard("received byte")
        self.i = Stream(self, "i", 8, self.sent.expect)
        self.valid, self.payload = self.port("o__valid"), self.port("o__payload", 8)
        self.began: int | None = None  # cycle of the start bit's edge
        self.first: int | None = None
        self.samples: list[int] = []

    def check_only(self, board: Scoreboard) -> None:
        """Nothing moves the other way."""
        self._scoreboards = [board]

    async def begin(self) -> None:
        await self.reset(self.i.valid, self.i.payload)
        self.rx.set(1)
        await self.tick(4)
        self.monitor(self.watch_received)
        self.monitor(self.watch_sent)

    def watch_received(self) -> None:
        if self.valid.get():
            self.received.observe(self.payload.get())

    def watch_sent(self) -> None:
        """Sample the middles of an ideal clock's bits, from the edge of the start bit on."""
        if self.began is None and not self.tx.get():
            self.began = self.cycle
            self.first = self.first or self.cycle
        if self.began is None:
            return
        middle = self.began + (len(self.samples) + 0.5) * self.bit_cycles
        if self.cycle >= int(middle):
            self.samples.append(self.tx.get())
            if len(self.samples) == FRAME_BITS:
                start, *bits, stop = self.samples
                assert (start, stop) == (0, 1), "start or stop bit is wrong"
                self.sent.observe(sum(bit << place for place, bit in enumerate(bits)))
                self.began, self.samples = None, []

    async def put(self, bits: list[int], rate: float = 1.0, begin: float = 0.0) -> None:
        """Drive ``bits``, each of ``bit_cycles / rate`` cycles, in time on the whole."""
        done = 0
        for number, bit in enumerate(bits):
            self.rx.set(bit)
            end = int(begin + (number + 1) * self.bit_cycles / rate)
            await self.tick(end - done)
            done = end

    async def put_byte(self, byte: int, rate: float, stop: int = 1) -> None:
        bits = [0, *(byte >> place & 1 for place in range(8)), stop]
        await self.put(bits, rate, float(self.rng.random()))
        if stop:
            self.received.expect(byte)


@test
async def receive(dut: Any) -> None:
    """Back to back and after pauses, at the rates of the tolerance."""
    bench = UartBench(dut)
    await bench.begin()
    bench.check_only(bench.received)
    for rate in (1.0, 1 - TOLERANCE, 1 + TOLERANCE):
        for _ in range(BYTES):
            await bench.put_byte(random_bits(bench.rng, 8), rate)
            await bench.tick(bench.chance(0.3) * int(bench.rng.integers(20)))
    # A glitch shorter than half a bit is no start bit; a byte without stop bit is dropped, and the
    # next one begins after the line has been high.
    bench.rx.set(0)
    await bench.tick(int(bench.bit_cycles / 2) - 1)
    bench.rx.set(1)
    await bench.tick(int(2 * bench.bit_cycles))
    await bench.put_byte(0x55, 1.0, stop=0)
    await bench.put([0] * 15 + [1])
    await bench.put_byte(0xA7, 1.0)
    await bench.tick(int(FRAME_BITS * bench.bit_cycles))
    await bench.finish()


@test
async def send(dut: Any) -> None:
    """Bytes are read by an ideal clock, and without gaps take `FRAME_BITS` bits each."""
    bench = UartBench(dut)
    await bench.begin()
    bench.check_only(bench.sent)
    for number, gap in enumerate((0.0, 0.99)):
        bench.first = None
        cocotb.start_soon(bench.i.send(bench.rng.bytes(BYTES), gap))
        while bench.sent.compared < (number + 1) * BYTES:
            await bench.tick()
        if not gap:
            assert bench.first is not None
            cycles = bench.cycle - bench.first
            assert abs(cycles - (BYTES * FRAME_BITS - 0.5) * bench.bit_cycles) <= 3
    await bench.tick(int(2 * FRAME_BITS * bench.bit_cycles))
    await bench.finish()
