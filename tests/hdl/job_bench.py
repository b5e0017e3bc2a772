"""What testbenches of a whole engine share, whatever ports it has: the golden model beside it, and
jobs in a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from tests.hdl.random_jobs import (
    bad_fields,
    calm_job,
    job_of,
    largest_step_job,
    modes_of,
    random_job,
    steepest_job,
    verdict,
)
from tests.hdl.toolkit import Bench, Ints, random_signed
from zipsgd.hdl.contract.formats import WEIGHT_BITS
from zipsgd.hdl.contract.generators import SEED_BITS
from zipsgd.hdl.contract.job import Job, Mode
from zipsgd.hdl.contract.protocol import Error, job_layout, pack_epoch, pack_job, pack_transfer
from zipsgd.host.codes.weaving import Geometry, Woven, code_range, weave
from zipsgd.host.devices.interface import samples_of
from zipsgd.sim import golden

GROUPS = 6
SATURATING = ("margin", "error", "model")

KINDS = ("calm", "any", "overflow", "steepest", "calm", "overflow", "any", "calm", "any")
"""Rounds of a test: like a real training, anything, everything saturates, largest correction. The
first four are of every kind."""


class JobBench(Bench, ABC):
    """Monitors note what the engine takes, through whatever ports it has; at the end of a job the
    golden model is given the same.
    """

    def __init__(self, dut: Any, *, stalls: bool, clock: str = "clk") -> None:
        super().__init__(dut, clock)
        config = self.config
        self.stalls = stalls
        self.words = self.scoreboard("model word")
        self.passes = self.scoreboard("status")
        self.predicted = self.scoreboard("margins")
        self.epochs_taken: list[dict[str, int]] = []
        self.beats_taken: list[int] = []
        self.words_taken: list[int] = []
        self.present: dict[str, int] | None = None
        self.golden = golden.Golden(config)
        self.counters = asdict(golden.Counters())
        self.saturations = np.zeros(len(SATURATING), dtype=np.int64)
        self.refused = 0
        self.seen: set[Mode] = set()

    @abstractmethod
    def read_status(self) -> dict[str, int]:
        """What the engine says of the job that has just ended."""

    def watch_job(self, fields: dict[str, int]) -> None:
        """The engine takes a job: it is done with the last one."""
        self.end_job()
        self.present = fields
        if fields["mode"] == Mode.DUMP and verdict(self.config, fields) == Error.NONE:
            for value in self.golden.x[: fields["chunks"] * self.config.lanes]:
                self.words.expect(value)

    def end_job(self) -> None:
        fields, self.present = self.present, None
        if fields is None:
            return
        said = verdict(self.config, fields)
        passes = fields["mode"] not in (Mode.LOAD, Mode.DUMP)
        if said == Error.NONE and fields["mode"] == Mode.LOAD:
            assert len(self.words_taken) == fields["chunks"] * self.config.lanes
            self.golden.load(np.array(self.words_taken))
        elif said == Error.NONE and passes:
            self.end_pass(job_of(self.config, fields, self.epochs_taken.copy()))
        else:
            assert not self.words_taken and not self.beats_taken and not self.epochs_taken
        self.refused += said != Error.NONE
        self.check_status(said, timed=passes and said == Error.NONE)
        for taken in (self.words_taken, self.beats_taken, self.epochs_taken):
            taken.clear()

    def end_pass(self, job: Job) -> None:
        """The golden model's turn. Each epoch has samples of its own."""
        self.seen.add(job.mode)
        samples = [samples_of(woven, self.config) for woven in self.woven(job)]
        if job.mode == Mode.PREDICT:  # the golden model keeps the last epoch's margins only
            for epoch, part in zip(job.epochs, samples, strict=True):
                self.golden.run(replace(job, epochs=(epoch,)), part)
                for group in self.golden.margins:
                    self.predicted.expect(group)
        self.counters = asdict(self.golden.run(job, *samples))
        self.saturations += [self.counters[f"{name}_saturations"] for name in SATURATING]

    def woven(self, job: Job) -> list[Woven]:
        """The beats that were taken, an epoch at a time."""
        config = self.config
        taken = b"".join(beat.to_bytes(config.beat_bytes, "little") for beat in self.beats_taken)
        beats = np.frombuffer(taken, dtype=np.uint8).reshape(-1, config.beat_bytes)
        count = job.groups * job.group_beats(config)
        assert len(beats) == count * len(job.epochs)
        return [
            Woven(
                beats=part,
                geometry=Geometry.of(config),
                bits=job.bits,
                chunks=job.chunks,
                groups=job.groups,
                samples=job.groups * config.banks,
                features=job.chunks * config.lanes,
                unsigned=job.unsigned,
                weighted=job.weighted,
                offset=job.offset,
            )
            for part in np.split(beats, len(job.epochs))
        ]

    def check_status(self, error: Error, *, timed: bool) -> None:
        """The counters of the last pass, and the last job's error."""
        status = self.read_status()
        if timed and self.stalls:  # the cycle model is a promise for streams that never wait
            assert status["cycles"] >= self.counters["cycles"]
            self.counters["cycles"] = status["cycles"]
        self.passes.expect(sorted({**self.counters, "error": error}.items()))
        self.passes.observe(sorted(status.items()))


class Stimulus:
    """What a test sends on each stream."""

    def __init__(self, bench: JobBench) -> None:
        self._bench = bench
        self.jobs: list[int] = []
        self.epochs: list[int] = []
        self.words: list[int] = []
        self.beats: list[int] = []

    def add_round(self, kind: str) -> None:
        """Load, a few passes, dump: a round of one of `KINDS`; in between, jobs to refuse."""
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

        self.add_refusal(job)
        self.jobs.append(pack_transfer(config, Mode.LOAD, job.chunks))
        self.words += words.tolist()
        self.add_pass(kind, job, words)
        for mode in modes_of(config) if kind == "calm" else (Mode.TRAIN,):
            self.add_refusal(job)
            seed = int(rng.integers(1 << SEED_BITS))
            self.add_pass(kind, replace(job, sync=not job.sync, seed=seed, mode=mode), words)
        self.jobs.append(pack_transfer(config, Mode.DUMP, job.chunks))

    def add_refusal(self, job: Job) -> None:
        config, layout = self._bench.config, job_layout(self._bench.config)
        present = layout.from_bits(pack_job(config, job))
        fields = {name: int(present[name]) for name, _ in layout}
        change = bad_fields(config)[int(self._bench.rng.integers(len(bad_fields(config))))]
        self.jobs.append(layout.const({**fields, **change}).as_bits())

    def add_pass(self, kind: str, job: Job, words: Ints) -> None:
        config, rng = self._bench.config, self._bench.rng
        self.jobs.append(pack_job(config, job))
        for epoch in job.epochs:
            self.epochs.append(pack_epoch(config, job, epoch))
            if kind == "calm":
                beats = self.real_samples(job)
            elif kind == "overflow":
                beats = weave(*self.overflowing_samples(job, words), job.bits, config).beats
            else:
                count = job.groups * job.group_beats(config)
                beats = rng.integers(0, 256, (count, config.beat_bytes), dtype=np.uint8)
            self.beats += [int.from_bytes(beat.tobytes(), "little") for beat in beats]

    def real_samples(self, job: Job) -> Any:
        """Woven samples, whose last group and last chunk need not be full."""
        config, rng = self._bench.config, self._bench.rng
        samples = job.groups * config.banks - int(rng.integers(config.banks))
        features = job.chunks * config.lanes - int(rng.integers(config.lanes))
        least, most = code_range(job.bits, job.unsigned)
        codes: Ints = rng.integers(least, most + 1, (samples, features))
        words = {}
        if job.weighted:
            words["weights"] = rng.integers(0, 1 << WEIGHT_BITS, samples)
        if job.offset:
            words["offsets"] = random_signed(rng, config.model_frac + 1, samples)
        labels = random_signed(rng, config.model_frac + 2, samples)
        woven = weave(codes, labels, job.bits, config, unsigned=job.unsigned, **words)
        return woven.beats

    def overflowing_samples(self, job: Job, words: Ints) -> tuple[Ints, Ints]:
        """Codes and labels, extremes only. Against the first group's labels its margins are small,
        and half of the model words are pushed outwards; the second group's margins are as large as
        can be.
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
