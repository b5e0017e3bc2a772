"""Label words gathered from their beats, in the cycle after the last."""

from __future__ import annotations

from typing import Any

import numpy as np
from amaranth.lib import data

from tests.hdl.toolkit import Bench, Ints, pack_plane, random_bits, test, unpack_plane
from zipsgd.hdl.contract.formats import LABEL_WORD_BITS, WEIGHT_FRAC
from zipsgd.hdl.contract.job import PARTS
from zipsgd.hdl.contract.protocol import (
    MAX_LABEL_WORDS,
    job_layout,
    label_layout,
    offset_layout,
    sample_layout,
    token_layout,
    weight_layout,
)

GROUPS = 30
WORDS = ((0,), (0, 1), (0, 2), (0, 1, 2))
"""The words of each job: label, weight, offset; without ``sample_words``, of the first job only."""

FIELDS = ("first", "last", "first_chunk", "replay", "commit")


class LabelsBench(Bench):
    """Sends label words, bits without meaning among them; the monitor reads the words' bits."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        config = self.config
        self.job = self.port("job", job_layout(config))
        self.token = self.port("token", token_layout(config))
        self.beat = self.port("beat", config.beat_bits)
        layout = data.ArrayLayout(sample_layout(config), config.banks)
        self.samples = self.port("samples", layout)
        self.valid = self.port("valid")
        self.board = self.scoreboard("labels")
        self.beats: dict[int, list[Ints]] = {}

    def watch_beats(self) -> None:
        token = self.token.get()
        if not token["live"] or not token["label"]:
            return
        bits = unpack_plane(self.config, self.beat.get())
        self.beats.setdefault(token.get("word", 0), []).append(bits)
        if token["group_end"]:
            words = {number: words_of(beats) for number, beats in self.beats.items()}
            job, banks = self.job.get(), range(self.config.banks)
            flags = (job.get(name, 0) for name in PARTS["sample_words"])
            assert sorted(words) == [0, *(n for n, flag in enumerate(flags, 1) if flag)]
            of_bank = [{number: words[number][bank] for number in words} for bank in banks]
            due = self.cycle + self.config.labels_latency
            self.board.expect([self.sample(words) for words in of_bank], due)
            self.beats = {}

    def sample(self, words: dict[int, int]) -> dict[str, int]:
        """What the words of a sample say, by their layouts."""
        label = label_layout(self.config).from_bits(words[0])
        weight, offset = 1 << WEIGHT_FRAC, 0
        if 1 in words:
            weight = weight_layout().from_bits(words[1]).weight
        if 2 in words:
            offset = offset_layout(self.config).from_bits(words[2]).offset
        sample = {"label": label.label, "valid": label.valid, "weight": weight, "offset": offset}
        return {name: sample[name] for name in sample_layout(self.config).members}

    def watch_samples(self) -> None:
        if self.valid.get():
            self.board.observe(self.samples.get())

    async def send_group(self, numbers: tuple[int, ...], gap: float) -> None:
        config = self.config
        for number in numbers:
            words = [random_bits(self.rng, LABEL_WORD_BITS) for _ in range(config.banks)]
            for beat in range(config.label_beats):
                await self.rest(gap)
                last = beat == config.label_beats - 1 and number == numbers[-1]
                self.token.set(
                    {"live": 1, "label": 1, "group_end": last, **self.word(number), **self.noise()}
                )
                shifts = beat * config.lanes + np.arange(config.lanes)
                bits = [[word >> int(shift) & 1 for shift in shifts] for word in words]
                self.beat.set(pack_plane(np.array(bits)))
                await self.tick()

    def word(self, number: int) -> dict[str, int]:
        return {"word": number} if self.config.sample_words else {}

    def noise(self) -> dict[str, bool]:
        return {name: self.chance(0.5) for name in FIELDS}

    async def rest(self, gap: float) -> None:
        """Cycles that must not matter: planes of codes, empty slots, or nothing."""
        while self.chance(gap):
            live = self.chance(0.5)
            ends = {"group_end": not live, **self.word(int(self.rng.integers(MAX_LABEL_WORDS)))}
            self.token.set({"live": live, "label": not live, **ends, **self.noise()})
            self.beat.scramble(self.rng)
            await self.tick()


def words_of(beats: list[Ints]) -> list[int]:
    """The words (banks) whose bits are in these beats, lowest first."""
    bits = np.hstack(beats)[:, :LABEL_WORD_BITS]
    return [int(word) for word in (bits << np.arange(LABEL_WORD_BITS)).sum(axis=1)]


async def run(dut: Any, gap: float) -> None:
    bench = LabelsBench(dut)
    await bench.reset(bench.job, bench.token, bench.beat)
    bench.monitor(bench.watch_beats)
    bench.monitor(bench.watch_samples)
    for numbers in WORDS if bench.config.sample_words else WORDS[:1]:
        if bench.config.sample_words:
            bench.job.set({"weighted": 1 in numbers, "offset": 2 in numbers})
        for _ in range(GROUPS):
            await bench.send_group(numbers, gap)
        bench.token.set(0)
        await bench.tick(bench.config.labels_latency)
    await bench.finish()


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.3)


@test
async def no_gaps(dut: Any) -> None:
    """A beat a cycle."""
    await run(dut, gap=0.0)
