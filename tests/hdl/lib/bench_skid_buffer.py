"""What goes in comes out, in order; nothing passes through in the same cycle."""

from __future__ import annotations

from typing import Any

import cocotb

from tests.hdl.toolkit import Bench, Stream, random_bits, test

WIDTH, ITEMS = 9, 400


class SkidBufferBench(Bench):
    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        board = self.scoreboard("item")
        self.i = Stream(self, "i", WIDTH, lambda item: board.expect(item))
        self.o = Stream(self, "o", WIDTH, board.observe)
        self.clear = self.port("clear")
        self.items = [random_bits(self.rng, WIDTH) for _ in range(ITEMS)]
        self.board = board


async def start(dut: Any) -> SkidBufferBench:
    bench = SkidBufferBench(dut)
    await bench.reset(bench.i.valid, bench.i.payload, bench.o.ready, bench.clear)
    return bench


@test
async def random_gaps(dut: Any) -> None:
    bench = await start(dut)
    cocotb.start_soon(bench.o.drain(0.4))
    await bench.i.send(bench.items, 0.4)
    await bench.finish()


@test
async def no_gaps(dut: Any) -> None:
    """An item a cycle."""
    bench = await start(dut)
    cocotb.start_soon(bench.o.drain(0.0))
    begin = bench.cycle
    await bench.i.send(bench.items, 0.0)
    assert bench.cycle - begin == ITEMS
    await bench.finish()


@test
async def two_wait_and_are_forgotten(dut: Any) -> None:
    bench = await start(dut)
    await bench.i.send(bench.items[:2], 0.0)
    bench.i.rest()
    await bench.tick(2)
    assert not bench.i.ready.get(), "a third item has no room"
    bench.clear.set(1)
    bench.board.drop()
    bench.o.drop()
    await bench.tick()
    bench.clear.set(0)
    bench.o.drop()
    cocotb.start_soon(bench.o.drain(0.0))
    await bench.i.send(bench.items[2:], 0.2)
    await bench.finish()
