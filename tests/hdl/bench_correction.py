"""The parity correction and the dither, a chunk in every cycle."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from hdl.config import CORRECTION_LATENCY
from hdl.protocol import error_layout, row_layout
from sim import golden
from tests.hdl.toolkit import Bench, Ints, random_bits, random_signed, test, unpack_plane

CYCLES = 400


class CorrectionBench(Bench):
    """Anything on every input in every cycle; the random words are read where they are used up."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        self.beat = self.port("beat", config.beat_bits)
        self.errors = self.port("errors", data.ArrayLayout(error_layout(config), config.banks))
        self.x = self.port("x", row_layout(config))
        self.random = self.port("random", data.ArrayLayout(config.random_bits, config.lanes))
        width = signed(config.correction_bits)
        self.terms = self.port("terms", data.ArrayLayout(width, config.lanes))
        self.board = self.scoreboard("terms")
        self.corrections: deque[Ints] = deque()

    def watch(self) -> None:
        config = self.config
        coefficients = np.array([error["coefficient"] for error in self.errors.get()])
        codes = unpack_plane(config, self.beat.get())  # parities, which is all that matters
        correction = golden.correction(coefficients, codes, self.x.array())
        self.corrections.append(correction << config.gradient_frac - config.correction_frac)
        if len(self.corrections) == CORRECTION_LATENCY:
            noise = golden.dither(self.random.array(), config.gradient_drop, config.random_bits)
            due = self.cycle - (CORRECTION_LATENCY - 1) + config.gradient_latency
            self.board.expect(noise - self.corrections.popleft(), due)
        if self.board.due:
            self.board.observe(self.terms.get())

    def drive(self) -> None:
        rng, config = self.rng, self.config
        shared = rng.choice([0, (1 << config.coefficient_bits) - 1, -1])
        self.errors.set(
            [
                {
                    "error": int(random_signed(rng, config.error_bits, ())),
                    "coefficient": random_bits(rng, config.coefficient_bits)
                    if shared < 0
                    else int(shared),
                }
                for _ in range(config.banks)
            ]
        )
        if self.chance(0.2):
            self.beat.set(0)  # every code is even
        else:
            self.beat.scramble(rng)
        self.x.set(random_signed(rng, config.model_bits, config.lanes))
        self.random.scramble(rng)


@test
async def every_cycle(dut: Any) -> None:
    bench = CorrectionBench(dut)
    await bench.reset(bench.beat, bench.errors, bench.x, bench.random)
    bench.monitor(bench.watch)
    for _ in range(CYCLES):
        bench.drive()
        await bench.tick()
    bench.board.require(CYCLES - bench.config.gradient_latency)
