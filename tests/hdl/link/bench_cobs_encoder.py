"""Frames come out as the ``cobs`` package encodes them."""

from __future__ import annotations

from typing import Any

import cocotb
from cobs import cobs

from tests.hdl.link.frames import LENGTHS, random_frame
from tests.hdl.toolkit import PATIENCE_CYCLES, Bench, Stream, test
from zipsgd.hdl.link.frames import DELIMITER, FrameByte

FRAMES = 20


class EncoderBench(Bench):
    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.line = self.scoreboard("byte")
        self.i = Stream(self, "i", FrameByte, self.watch_items)
        self.o = Stream(self, "o", 8, self.line.observe)
        self.frame = bytearray()

    def watch_items(self, item: dict[str, int]) -> None:
        if not item["end"]:
            self.frame.append(item["data"])
            return
        for byte in cobs.encode(bytes(self.frame)) + bytes([DELIMITER]):
            self.line.expect(byte)
        self.frame.clear()

    def items(self, frame: bytes) -> list[dict[str, int]]:
        """What is in ``sound``, and in the data of an end, does not matter."""
        flags, last = self.rng.integers(2, size=len(frame) + 1), int(self.rng.integers(256))
        return [
            *({"data": b, "end": 0, "sound": s} for b, s in zip(frame, flags[1:], strict=True)),
            {"data": last, "end": 1, "sound": flags[0]},
        ]


async def run(dut: Any, gap: float) -> None:
    bench = EncoderBench(dut)
    await bench.reset(bench.i.valid, bench.i.payload, bench.o.ready)
    cocotb.start_soon(bench.o.drain(gap))
    frames = [bytes(n) for n in LENGTHS[:3]] + [b"\xff" * n for n in LENGTHS]
    frames += [random_frame(bench.rng) for _ in range(FRAMES)]
    for frame in frames:
        begin = bench.cycle
        await bench.i.send(bench.items(frame), gap)
        for _ in range(PATIENCE_CYCLES):
            if not bench.line.missing:
                break
            await bench.tick()
        blocks = frame.count(0) + len(frame) // 254 + 1
        assert gap or bench.cycle - begin <= 2 * len(frame) + 2 * blocks + 3
    await bench.finish()


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.4)


@test
async def no_gaps(dut: Any) -> None:
    """Two cycles a byte, and two for a block."""
    await run(dut, gap=0.0)
