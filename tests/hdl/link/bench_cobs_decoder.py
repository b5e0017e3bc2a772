"""Sound frames, damaged ones and noise come out as the ``cobs`` package decodes them."""

from __future__ import annotations

from typing import Any

import cocotb
from cobs import cobs

from tests.hdl.link.frames import random_frame
from tests.hdl.toolkit import Bench, Stream, test
from zipsgd.hdl.link.frames import DELIMITER, FrameByte

FRAMES = 40


class DecoderBench(Bench):
    """A monitor on the input cuts frames out of it and lets the package decode them."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.frames = self.scoreboard("frame")
        self.i = Stream(self, "i", 8, self.watch_line)
        self.o = Stream(self, "o", FrameByte, self.watch_items)
        self.block, self.decoded = bytearray(), bytearray()
        self.sound = self.broken = 0

    def watch_line(self, byte: int) -> None:
        if byte != DELIMITER:
            self.block.append(byte)
        elif self.block:
            try:
                self.frames.expect(list(cobs.decode(bytes(self.block))))
                self.sound += 1
            except cobs.DecodeError:
                self.frames.expect("damaged")
                self.broken += 1
            self.block.clear()

    def watch_items(self, item: dict[str, int]) -> None:
        if item["end"]:
            self.frames.observe(list(self.decoded) if item["sound"] else "damaged")
            self.decoded.clear()
        else:
            self.decoded.append(item["data"])

    def random_line(self) -> bytes:
        """A frame, a frame with some of its bytes lost or changed, or noise."""
        kind = self.rng.random()
        if kind < 0.2:
            return self.rng.bytes(int(self.rng.integers(20))) + bytes([DELIMITER])
        line = bytearray(cobs.encode(random_frame(self.rng)))
        if kind < 0.4:
            place = int(self.rng.integers(len(line)))
            del line[place : place + 1 + int(self.rng.integers(9))]
        elif kind < 0.5:
            line[int(self.rng.integers(len(line)))] = int(self.rng.integers(256))
        return bytes(line) + bytes([DELIMITER]) * int(self.rng.integers(1, 3))


async def run(dut: Any, gap: float) -> None:
    bench = DecoderBench(dut)
    await bench.reset(bench.i.valid, bench.i.payload, bench.o.ready)
    cocotb.start_soon(bench.o.drain(gap))
    line = b"".join(bench.random_line() for _ in range(FRAMES)) + bytes([DELIMITER])
    begin = bench.cycle
    await bench.i.send(line, gap)
    if not gap:
        assert bench.cycle - begin <= len(line) + 1, "less than a byte a cycle"
    await bench.finish()
    assert bench.sound > FRAMES // 4
    assert bench.broken


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.4)


@test
async def no_gaps(dut: Any) -> None:
    """A byte a cycle."""
    await run(dut, gap=0.0)
