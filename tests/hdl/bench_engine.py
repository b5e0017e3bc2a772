"""Jobs in a row on one engine: load, train once or twice, dump."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data

from hdl.config import SEED_BITS, Job, Mode
from hdl.protocol import Status, job_layout, pack_job, pack_transfer
from host.weaving import Woven, unweave, weave
from sim import golden
from tests.hdl.jobs import calm_job, job_of, largest_step_job, random_job, steepest_job
from tests.hdl.toolkit import PATIENCE_CYCLES, Bench, Ints, Port, Stream, random_signed, test

GROUPS = 6
SATURATING = ("margin", "error", "model")

KINDS = ("calm", "any", "overflow", "steepest", "calm", "overflow")
"""Rounds of a test: like a real training, anything, everything saturates, largest correction."""


class EngineBench(Bench):
    """The streams are driven each by itself, a whole test's worth of items. Monitors note what the
    engine takes; once it takes the next job, the golden model is given the same.
    """

    def __init__(self, dut: Any, *, stalls: bool) -> None:
        super().__init__(dut)
        config = self.config
        word = signed(config.model_bits)
        self.stalls = stalls
        self.status = self.port("status", data.Layout.cast(Status))
        self.words = self.scoreboard("model word")
        self.passes = self.scoreboard("counters")
        self.beats_taken: list[int] = []
        self.words_taken: list[int] = []
        self.present: dict[str, int] | None = None
        self.golden = golden.Golden(config)
        self.saturations = np.zeros(len(SATURATING), dtype=np.int64)
        self.job = Stream(self, "job", job_layout(config), self.watch_job)
        self.beats = Stream(self, "beats", config.beat_bits, self.beats_taken.append)
        self.model_in = Stream(self, "model_in", word, self.words_taken.append)
        self.model_out = Stream(self, "model_out", word, self.words.observe)

    @property
    def inputs(self) -> list[Port]:
        sources = (self.job, self.beats, self.model_in)
        return [port for s in sources for port in (s.valid, s.payload)] + [self.model_out.ready]

    def watch_job(self, fields: dict[str, int]) -> None:
        """The engine takes a job: it is done with the last one."""
        self.end_job()
        self.present = fields
        if fields["mode"] == Mode.DUMP:
            for value in self.golden.x:
                self.words.expect(value)

    def end_job(self) -> None:
        fields, self.present = self.present, None
        if fields is None:
            return
        if fields["mode"] == Mode.LOAD:
            words = fields["chunks"] * self.config.lanes
            assert len(self.words_taken) == words, f"{len(self.words_taken)} words taken"
            self.golden.load(np.array(self.words_taken))
        elif fields["mode"] == Mode.TRAIN:
            self.end_pass(job_of(self.config, fields))
        else:
            taken = (len(self.words_taken), len(self.beats_taken))
            assert taken == (0, 0), f"{taken} words and beats were taken while dumping"
        self.words_taken.clear()
        self.beats_taken.clear()

    def end_pass(self, job: Job) -> None:
        config, status = self.config, self.status.get()
        expected_beats = job.groups * config.group_beats(job.chunks, job.bits)
        assert len(self.beats_taken) == expected_beats, f"{len(self.beats_taken)} beats taken"
        taken = b"".join(beat.to_bytes(config.beat_bytes, "little") for beat in self.beats_taken)
        woven = Woven(
            beats=np.frombuffer(taken, dtype=np.uint8).reshape(-1, config.beat_bytes),
            bits=job.bits,
            chunks=job.chunks,
            groups=job.groups,
            samples=job.groups * config.banks,
            features=job.chunks * config.lanes,
        )
        counters = asdict(self.golden.run(job, *unweave(woven, config)))
        if self.stalls:  # the cycle model is a promise for streams that never wait
            assert status["cycles"] >= counters["cycles"]
            counters["cycles"] = status["cycles"]
        self.passes.expect(sorted(counters.items()))
        self.passes.observe(sorted(status.items()))
        self.saturations += [counters[f"{name}_saturations"] for name in SATURATING]


class Stimulus:
    """What a test sends on each stream."""

    def __init__(self, bench: EngineBench) -> None:
        self._bench = bench
        self.jobs: list[int] = []
        self.words: list[int] = []
        self.beats: list[int] = []

    def add_round(self, kind: str) -> None:
        """Load, train once or twice, dump: a round of one of `KINDS`."""
        rng, config = self._bench.rng, self._bench.config
        job, word_bits = random_job(rng, config, GROUPS), config.model_bits
        if kind == "calm":
            job, word_bits = calm_job(rng, config, GROUPS), config.model_frac
        elif kind == "steepest":
            job = steepest_job(config, job)
        elif kind == "overflow":
            most_chunks = config.replay_beats // (job.delay * job.bits)
            job = replace(job, groups=GROUPS, chunks=min(config.max_chunks, most_chunks))
            job = largest_step_job(config, job)
        words = random_signed(rng, word_bits, job.chunks * config.lanes)
        if kind == "overflow":
            words = self.extremes(word_bits, len(words))

        self.jobs.append(pack_transfer(config, Mode.LOAD, job.chunks))
        self.words += words.tolist()
        self.add_pass(kind, job, words)
        if self._bench.chance(0.5):
            seed = int(rng.integers(1 << SEED_BITS))
            self.add_pass(kind, replace(job, sync=not job.sync, seed=seed), words)
        self.jobs.append(pack_transfer(config, Mode.DUMP, job.chunks))

    def add_pass(self, kind: str, job: Job, words: Ints) -> None:
        config = self._bench.config
        self.jobs.append(pack_job(config, job))
        if kind == "calm":
            beats = weave(*self.real_samples(job), job.bits, config).beats
        elif kind == "overflow":
            beats = weave(*self.overflowing_samples(job, words), job.bits, config).beats
        else:
            count = job.groups * config.group_beats(job.chunks, job.bits)
            beats = self._bench.rng.integers(0, 256, (count, config.beat_bytes), dtype=np.uint8)
        self.beats += [int.from_bytes(beat.tobytes(), "little") for beat in beats]

    def real_samples(self, job: Job) -> tuple[Ints, Ints]:
        """Codes and labels; the last group and the last chunk need not be full."""
        config, rng = self._bench.config, self._bench.rng
        samples = job.groups * config.banks - int(rng.integers(config.banks))
        features = job.chunks * config.lanes - int(rng.integers(config.lanes))
        largest = (1 << (job.bits - 1)) - 1
        codes = rng.integers(-largest, largest + 1, (samples, features))
        return codes, random_signed(rng, config.model_frac + 1, samples)

    def overflowing_samples(self, job: Job, words: Ints) -> tuple[Ints, Ints]:
        """Extremes only. Against the first group's labels its margins are small, and half of the
        model words are pushed outwards; the second group's margins are as large as can be.
        """
        config, rng = self._bench.config, self._bench.rng
        samples, first = job.groups * config.banks, slice(config.banks)
        largest, limit = (1 << (job.bits - 1)) - 1, 1 << (config.model_bits - 1)
        codes = largest * rng.choice(np.array([-1, 1]), (samples, len(words)))
        labels = self.extremes(config.model_bits, samples)
        codes[: 2 * config.banks] = largest * np.sign(words)
        codes[first, ::2] *= -1
        labels[first] = limit - 1
        labels[config.banks : 2 * config.banks] = -limit
        return codes, labels

    def extremes(self, bits: int, count: int) -> Ints:
        limit = 1 << (bits - 1)
        values: Ints = self._bench.rng.choice(np.array([-limit, limit - 1]), count)
        return values


async def run(dut: Any, gap: float) -> None:
    bench = EngineBench(dut, stalls=gap > 0)
    await bench.reset(*bench.inputs)
    stimulus = Stimulus(bench)
    for kind in KINDS:
        stimulus.add_round(kind)
    cocotb.start_soon(bench.beats.send(stimulus.beats, gap))
    cocotb.start_soon(bench.model_in.send(stimulus.words, gap))
    cocotb.start_soon(bench.model_out.drain(gap))
    await bench.job.send(stimulus.jobs, gap)
    for _ in range(PATIENCE_CYCLES):
        await bench.tick()
        if not bench.words.missing:
            break
    bench.end_job()
    await bench.finish()
    bench.passes.require(len(KINDS))
    assert bench.saturations.all(), f"something never saturated: {bench.saturations}"


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.3)


@test
async def no_gaps(dut: Any) -> None:
    """The cycle model, to the cycle."""
    await run(dut, gap=0.0)
