"""Random fields, draw by draw, across restarts with any seed."""

from __future__ import annotations

from typing import Any

from amaranth.lib import data

from tests.hdl.toolkit import Bench, random_bits, test
from zipsgd.hdl.contract.generators import SEED_BITS
from zipsgd.hdl.lib.arith import HANDS
from zipsgd.sim import golden

CYCLES = 600


class RandomBench(Bench):
    """Compares the fields in every cycle in which generators have begun."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.count, self.first = self.parameters["fields"], self.parameters["first"]
        self.seed = self.port("seed", SEED_BITS)
        self.restart, self.draw = self.port("restart"), self.port("draw")
        layout = data.ArrayLayout(self.config.field_bits, self.count)
        self.fields = self.port("fields", layout)
        self.board = self.scoreboard("fields")
        self.twin: golden.GoldenRandom | None = None
        self.present: golden.Ints | None = None
        self.soon: golden.Ints | None = None  # in the next cycle
        self.begun = 0  # cycles since the restart

    def watch(self) -> None:
        if self.present is not None and self.begun >= HANDS:
            self.board.expect(self.present, self.cycle)
            self.board.observe(self.fields.get())
        self.present, self.begun = self.soon, self.begun + 1
        if self.restart.get():
            seed = self.seed.get()
            self.twin = golden.GoldenRandom(self.config, self.count, self.first, seed)
            self.soon, self.begun = self.twin.draw(), 0
        elif self.draw.get() and self.twin is not None:
            self.soon = self.twin.draw()


async def run(dut: Any, gap: float) -> None:
    bench = RandomBench(dut)
    await bench.reset(bench.seed, bench.restart, bench.draw)
    bench.monitor(bench.watch)
    bench.restart.set(1)
    await bench.tick()
    begun = 0
    for _ in range(CYCLES):
        begun += 1
        restart = begun > HANDS and bench.chance(0.01)
        if restart:
            any_seed = random_bits(bench.rng, SEED_BITS)
            bench.seed.set(bench.rng.choice([0, (1 << SEED_BITS) - 1, any_seed]))
            begun = 0
        bench.restart.set(restart)
        bench.draw.set(begun > HANDS and not bench.chance(gap))
        await bench.tick()
    assert bench.board.compared >= CYCLES // 2


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.5)


@test
async def no_gaps(dut: Any) -> None:
    """A draw a cycle."""
    await run(dut, gap=0.0)
