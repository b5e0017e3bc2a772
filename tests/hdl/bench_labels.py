"""Label words gathered from their beats, in the cycle after the last."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.lib import data

from hdl.config import LABEL_WORD_BITS
from hdl.protocol import label_layout, token_layout
from tests.hdl.toolkit import (
    Bench,
    Ints,
    pack_plane,
    plain,
    random_bits,
    test,
    unpack_plane,
)

GROUPS = 60
FIELDS = ("first", "last", "first_chunk", "last_chunk", "replay", "commit")


class LabelsBench(Bench):
    """Sends label words, bits without meaning among them; the monitor reads the words' bits."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        self.layout = label_layout(config)
        self.token = self.port("token", token_layout(config))
        self.beat = self.port("beat", config.beat_bits)
        self.labels = self.port("labels", data.ArrayLayout(self.layout, config.banks))
        self.valid = self.port("valid")
        self.board = self.scoreboard("labels")
        self.beats: list[Ints] = []

    def watch_beats(self) -> None:
        token = self.token.get()
        if not token["live"] or not token["label"]:
            return
        self.beats.append(unpack_plane(self.config, self.beat.get()))
        if token["group_end"]:
            bits = np.hstack(self.beats)[:, :LABEL_WORD_BITS]
            words = (bits << np.arange(LABEL_WORD_BITS)).sum(axis=1)
            self.board.expect(
                [plain(self.layout.from_bits(int(word))) for word in words], self.cycle + 1
            )
            self.beats = []

    def watch_labels(self) -> None:
        if self.valid.get():
            self.board.observe(self.labels.get())

    async def send_group(self, gap: float) -> None:
        config = self.config
        words = [random_bits(self.rng, LABEL_WORD_BITS) for _ in range(config.banks)]
        for number in range(config.label_beats):
            await self.rest(gap)
            shifts = number * config.lanes + np.arange(config.lanes)
            self.token.set(
                {
                    "live": 1,
                    "label": 1,
                    "group_end": number == config.label_beats - 1,
                    **{name: self.chance(0.5) for name in FIELDS},
                }
            )
            self.beat.set(pack_plane(np.array([[w >> int(s) & 1 for s in shifts] for w in words])))
            await self.tick()

    async def rest(self, gap: float) -> None:
        """Cycles that must not matter: planes of codes, empty slots, or nothing."""
        while self.chance(gap):
            live = self.chance(0.5)
            noise = {name: self.chance(0.5) for name in FIELDS}
            self.token.set({"live": live, "label": not live, "group_end": not live, **noise})
            self.beat.scramble(self.rng)
            await self.tick()


async def run(dut: Any, gap: float) -> None:
    bench = LabelsBench(dut)
    await bench.reset(bench.token, bench.beat)
    bench.monitor(bench.watch_beats)
    bench.monitor(bench.watch_labels)
    for _ in range(GROUPS):
        await bench.send_group(gap)
    bench.token.set(0)
    await bench.finish()


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.3)


@test
async def no_gaps(dut: Any) -> None:
    """A beat a cycle."""
    await run(dut, gap=0.0)
