"""The bridge: the simulated engine equals the golden model, and no call hangs."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from numpy.typing import NDArray

from tests.geometries import GEOMETRIES
from tests.hdl.random_jobs import any_job, calm_job, random_job
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import WEIGHT_BITS
from zipsgd.hdl.contract.job import Epoch, Job, Mode, Step
from zipsgd.hdl.contract.parameters import Loss
from zipsgd.hdl.engine.engine import Engine
from zipsgd.hdl.lib.verilog import to_verilog
from zipsgd.host.codes.weaving import Woven, code_range, weave
from zipsgd.host.devices.interface import samples_of
from zipsgd.sim import build, verilated
from zipsgd.sim.errors import SimulationError, StalledError
from zipsgd.sim.fast import Fast
from zipsgd.sim.golden import Golden, Ints, predict_cycles
from zipsgd.sim.verilated import VerilatedEngine

SMALL = GEOMETRIES["4x2"]
WIDE = EngineConfig(
    lanes=32,
    banks=16,
    max_chunks=2,
    max_bits=4,
    replay_beats=64,
    losses=(Loss.LEAST_SQUARES,),
)
"""512-bit beats; of one loss, for they take long to compile."""

ENGINES = {name: GEOMETRIES[name] for name in ("4x2", "64x1", "16x4", "narrow", "16bit", "32bit")}
ENGINES["32x16"] = WIDE


OFTEN = ("4x2", "narrow")
PARAMETERS = [
    pytest.param(name, marks=[] if name in OFTEN else [pytest.mark.long]) for name in ENGINES
]


@pytest.fixture(scope="module", params=PARAMETERS)
def engine(request: pytest.FixtureRequest) -> Iterator[VerilatedEngine]:
    with VerilatedEngine(ENGINES[request.param]) as opened:
        yield opened


@pytest.fixture
def small() -> Iterator[VerilatedEngine]:
    with VerilatedEngine(SMALL) as opened:
        yield opened


def random_words(config: EngineConfig, chunks: int, rng: np.random.Generator) -> Ints:
    limit = 1 << (config.model_bits - 1)
    return rng.integers(-limit, limit, chunks * config.lanes)


def random_case(
    config: EngineConfig, seed: int, groups: int | None = None, copies: int = 1
) -> tuple[Job, list[Woven]]:
    """A job that ``config`` can run, and woven copies of a data set for it.

    Even seeds give step sizes as in a training that converges, odd ones any: most of them diverge.
    """
    rng = np.random.default_rng(seed)
    job = (random_job if seed % 2 else calm_job)(rng, config, 12)
    job = replace(job, groups=groups or job.groups)
    return job, [random_data(config, job, rng) for _ in range(copies)]


def random_data(config: EngineConfig, job: Job, rng: np.random.Generator) -> Woven:
    """Samples for a job, whose last group and last chunk need not be full."""
    samples = job.groups * config.banks - int(rng.integers(config.banks))
    features = job.chunks * config.lanes - int(rng.integers(config.lanes))
    least, most = code_range(job.bits, job.unsigned)
    limit = 1 << (config.model_bits - 6)
    return weave(
        rng.integers(least, most + 1, (samples, features)),
        rng.integers(-limit, limit, samples),
        job.bits,
        config,
        weights=rng.integers(0, 1 << WEIGHT_BITS, samples) if job.weighted else None,
        offsets=rng.integers(-limit, limit, samples) if job.offset else None,
        unsigned=job.unsigned,
    )


@pytest.mark.parametrize("gaps", [0.0, 0.4])
@pytest.mark.parametrize("chunks", [1, 2])
def test_model_round_trip(engine: VerilatedEngine, chunks: int, gaps: float) -> None:
    words = random_words(engine.config, chunks, np.random.default_rng(chunks))
    engine.load(words, gaps=gaps, gap_seed=1)
    np.testing.assert_array_equal(engine.dump(chunks, gaps=gaps, gap_seed=2), words)
    np.testing.assert_array_equal(engine.dump(chunks), words)


@pytest.mark.parametrize("gaps", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("seed", range(8))
def test_jobs_equal_golden(engine: VerilatedEngine, seed: int, gaps: float) -> None:
    """Model, margins and every counter, job after job; only cycles depend on the gaps."""
    config = engine.config
    first, copies = random_case(config, seed, copies=1 + seed % 3)
    golden = Golden(config)
    words = random_words(config, first.chunks, np.random.default_rng(seed)) >> 4
    golden.load(words)
    engine.load(words)
    for mode in (first.mode, Mode.TRAIN, Mode.PREDICT, Mode.EVALUATE):
        job = replace(first, mode=mode)
        expected = golden.run(job, *(samples_of(copy, config) for copy in copies))
        beats = [copy.beats for copy in copies]
        counters = engine.run(job, *beats, gaps=gaps, gap_seed=seed)
        if gaps:
            assert counters.cycles >= expected.cycles
            expected.cycles = counters.cycles
        assert counters == expected, f"random_case(config, {seed}), {mode.name}"
        if mode == Mode.PREDICT:
            np.testing.assert_array_equal(engine.margins, golden.margins)
        np.testing.assert_array_equal(engine.dump(job.chunks), golden.x)


def test_cycles_are_the_cycle_model(engine: VerilatedEngine) -> None:
    for seed in range(20, 30):
        job, (woven,) = random_case(engine.config, seed)
        assert engine.run(job, woven.beats).cycles == predict_cycles(engine.config, job)


def test_gaps_follow_their_probability_and_seed(small: VerilatedEngine) -> None:
    job, (woven,) = random_case(SMALL, 0, groups=500)

    def cycles(gaps: float, seed: int) -> int:
        return small.run(job, woven.beats, gaps=gaps, gap_seed=seed).cycles

    assert cycles(0.75, 1) == cycles(0.75, 1) != cycles(0.75, 2)
    beats = len(woven.beats)  # one in 4 cycles: 4 a beat, within 4 standard deviations
    assert abs(cycles(0.75, 1) - 4 * beats) < 4 * math.sqrt(12 * beats) + 100


def test_saturations_are_counted() -> None:
    """The control of the comparisons above: counters that are equal because all are zero show
    nothing."""
    config = GEOMETRIES["16x4"]
    job = Job(
        epochs=(Epoch(step=Step.nearest(0.5, config)),),
        bits=4,
        chunks=2,
        groups=8,
        batch_groups=1,
        delay=1,
        sync=False,
        corrected=False,
        seed=0,
    )
    woven = random_data(config, job, np.random.default_rng(0))
    words = np.full(job.chunks * config.lanes, 2**23 - 1)
    golden = Golden(config)
    golden.load(words)
    with VerilatedEngine(config) as opened:
        opened.load(words)
        counters = opened.run(job, woven.beats)
    assert counters == golden.run(job, samples_of(woven, config))
    assert counters.margin_saturations > 0
    assert counters.error_saturations > 0
    assert counters.model_saturations > 0


def test_engines_share_a_process() -> None:
    """Two of one geometry and one of another, calls interleaved: nothing is shared."""
    configs = (SMALL, SMALL, GEOMETRIES["16x4"])
    engines = [VerilatedEngine(config) for config in configs]
    models = [random_words(c, 2, np.random.default_rng(n)) for n, c in enumerate(configs)]
    for opened, words in zip(engines, models, strict=True):
        opened.load(words)
    job, (woven,) = random_case(SMALL, 0)
    engines[0].run(job, woven.beats)
    for opened, words in list(zip(engines, models, strict=True))[1:]:
        np.testing.assert_array_equal(opened.dump(2), words)
        opened.close()


# What it refuses.


def test_wrong_arguments_are_named(small: VerilatedEngine) -> None:
    job, (woven,) = random_case(SMALL, 0)
    with pytest.raises(ValueError, match="whole chunks of 4 words"):
        small.load(np.zeros(5, dtype=np.int64))
    with pytest.raises(ValueError, match="do not fit 24 bits"):
        small.load(np.full(4, 2**23))
    with pytest.raises(ValueError, match="do not fit the job"):
        small.run(job, woven.beats[:-1])
    with pytest.raises(ValueError, match="do not fit the job"):
        small.run(job, woven.beats.astype(np.int64))
    with pytest.raises(ValueError, match="gaps must be"):
        small.run(job, woven.beats, gaps=0.999)
    with pytest.raises(ValueError, match="chunks = 9 is out of range"):
        small.dump(9)


def test_closed_engine_is_named() -> None:
    opened = VerilatedEngine(SMALL)
    opened.close()
    opened.close()
    with pytest.raises(SimulationError, match="closed"):
        opened.dump(1)


# What ends a call.


class DeafEngine(Engine):
    """Takes a job and then nothing."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        busy = Signal()
        m.d.comb += self.job.ready.eq(~busy)
        m.d.sync += busy.eq(busy | self.job.valid)
        return m


def test_stuck_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    verilog = to_verilog(DeafEngine(SMALL), build.TOP)
    monkeypatch.setattr(verilated, "_verilog", lambda config: verilog)
    job, (woven,) = random_case(SMALL, 0)
    with VerilatedEngine(SMALL, patience_cycles=1000) as deaf:
        for _ in range(2):  # a stuck engine is reset, and takes the next job
            with pytest.raises(StalledError, match=rf"taking beats \(0 of {len(woven.beats)} done"):
                deaf.run(job, woven.beats, gaps=0.5)
            with pytest.raises(StalledError, match=r"taking model words \(0 of 8 done"):
                deaf.load(np.zeros(8, dtype=np.int64))
            with pytest.raises(StalledError, match=r"sending model words \(0 of 4 done"):
                deaf.dump(1)


def test_engine_is_usable_after_an_error(small: VerilatedEngine) -> None:
    """Given up in the middle of a pass, it equals the golden model in the next."""
    job, (woven,) = random_case(SMALL, 5)
    small.patience_cycles = 3
    with pytest.raises(StalledError, match="no progress for 3 cycles"):
        small.run(job, woven.beats)
    small.patience_cycles = verilated.PATIENCE_CYCLES
    words = random_words(SMALL, job.chunks, np.random.default_rng(0))
    golden = Golden(SMALL)
    golden.load(words)
    small.load(words)
    assert small.run(job, woven.beats) == golden.run(job, samples_of(woven, SMALL))
    np.testing.assert_array_equal(small.dump(job.chunks), golden.x)


def interrupt_once(happens: Callable[[], bool]) -> threading.Thread:
    """Ctrl-C for this process a moment after ``happens`` is first true, within 10 s."""

    def wait() -> None:
        deadline = time.monotonic() + 10
        while not happens() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_interrupt_ends_a_long_pass() -> None:
    job, (woven,) = random_case(SMALL, 1, groups=100_000)
    opened = VerilatedEngine(SMALL)
    thread = interrupt_once(lambda: True)
    with pytest.raises(KeyboardInterrupt):
        while True:
            opened.run(job, woven.beats)
    thread.join()
    words = random_words(SMALL, 2, np.random.default_rng(0))
    opened.load(words)
    np.testing.assert_array_equal(opened.dump(2), words)


def test_losses_whose_sum_needs_more_than_64_bits() -> None:
    """A group of 16 samples with the largest residual and weight there is."""
    limit, groups = 1 << (WIDE.model_bits - 1), 3
    samples = groups * WIDE.banks - 1
    weight = (1 << WEIGHT_BITS) - 1
    job = any_job(WIDE, groups=groups, mode=Mode.EVALUATE, weighted=True, offset=True)
    woven = weave(
        np.zeros((samples, WIDE.lanes), dtype=np.int64),
        np.full(samples, -limit),
        job.bits,
        WIDE,
        weights=np.full(samples, weight),
        offsets=np.full(samples, limit - 1),
    )
    exact = samples * (2 * limit - 1) ** 2 * weight
    assert exact // groups > 1 << 63
    for model in (Golden(WIDE), Fast(WIDE)):
        model.load(np.zeros(WIDE.lanes, dtype=np.int64))
        assert model.run(job, samples_of(woven, WIDE)).loss_sum == exact
    with VerilatedEngine(WIDE) as simulated:
        simulated.load(np.zeros(WIDE.lanes, dtype=np.int64))
        assert simulated.run(job, woven.beats).loss_sum == exact


def test_beats_need_not_be_contiguous(small: VerilatedEngine) -> None:
    job, (woven,) = random_case(SMALL, 2)
    spread: NDArray[np.uint8] = np.repeat(woven.beats, 2, axis=0)[::2]
    assert not spread.flags.c_contiguous
    small.load(np.zeros(job.chunks * SMALL.lanes, dtype=np.int64))
    expected = small.run(job, woven.beats)
    model = small.dump(job.chunks)
    small.load(np.zeros(job.chunks * SMALL.lanes, dtype=np.int64))
    assert small.run(job, spread) == expected
    np.testing.assert_array_equal(small.dump(job.chunks), model)
