"""The job matrix: every loss, rounding and number of bits, with generated options and data.

Each cell of losses x roundings x bits draws some jobs, `JOBS` in `make test` and `MANY_JOBS` in
`make test-long`: delay, sync, mini-batch, epochs, mode,
regularisation, precisions, label words and the samples themselves. A counterexample is shrunk to
the plainest job and the fewest, smallest values that still show the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.geometries import GEOMETRIES
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import COARSE_BITS, NOISE_BITS, WEIGHT_BITS
from zipsgd.hdl.contract.generators import SEED_BITS
from zipsgd.hdl.contract.job import Epoch, Job, Loss, Mode, Step
from zipsgd.host.codes.rounding import Draws, Ints, Rounding, round_codes
from zipsgd.host.codes.weaving import Woven, weave
from zipsgd.host.devices.interface import samples_of
from zipsgd.sim.fast import Fast
from zipsgd.sim.golden import Golden
from zipsgd.sim.verilated import VerilatedEngine

NAMES = ("4x2", "16x1", "2x4", "16x4")
BITS = range(2, 9)
CELLS = list(product(Loss, get_args(Rounding), BITS))
JOBS, MANY_JOBS = 1, 16

STEP_PLACES = 14
"""Steps are multiples of ``2**-STEP_PLACES`` below 1/4: at 2 bits the correction still fits."""


@dataclass(frozen=True)
class Case:
    """A job with everything it needs."""

    geometry: str
    job: Job
    words: Ints
    copies: tuple[Woven, ...]
    gaps: float


@cache
def engine(geometry: str) -> VerilatedEngine:
    return VerilatedEngine(GEOMETRIES[geometry])


@pytest.fixture(scope="module", autouse=True)
def engines() -> Iterator[None]:
    """Opened when first used, closed at the end."""
    yield
    for geometry in NAMES:
        engine(geometry).close()
    engine.cache_clear()


def numbers(shape: tuple[int, ...], least: int, most: int) -> st.SearchStrategy[Ints]:
    return arrays.arrays(np.int64, shape, elements=st.integers(least, most))


epochs = st.builds(
    Epoch,
    step=st.builds(Step, mantissa=st.integers(1, (1 << 12) - 1), shift=st.just(STEP_PLACES)),
    l2=st.sampled_from([0.0, 0.01, 0.05]),
    l1=st.sampled_from([0.0, 0.001, 0.05]),
    margin_variance=st.sampled_from([0.0, 0.1, 2.0, 5.0]),
)


@st.composite
def data_sets(draw: st.DrawFn, config: EngineConfig, job: Job, rounding: Rounding) -> Woven:
    """Samples for ``job``; only the last group and the last chunk may have gaps."""
    samples = job.groups * config.banks - draw(st.integers(0, config.banks - 1))
    features = job.chunks * config.lanes - draw(st.integers(0, config.lanes - 1))
    limit = 1 << (config.model_frac + 2)
    label = st.sampled_from([1 << config.model_frac, -1 << config.model_frac])
    if draw(st.booleans()):
        label = st.integers(-limit, limit)
    v = draw(numbers((samples, features), 0 if job.unsigned else -256, 256)) / 256
    codes = round_codes(
        v, job.bits, rounding, Draws(draw(st.integers(0, 9))), unsigned=job.unsigned
    )
    weights = draw(numbers((samples,), 0, (1 << WEIGHT_BITS) - 1)) if job.weighted else None
    offsets = draw(numbers((samples,), -limit, limit)) if job.offset else None
    return weave(
        codes,
        draw(arrays.arrays(np.int64, (samples,), elements=label)),
        job.bits,
        config,
        weights=weights,
        offsets=offsets,
        unsigned=job.unsigned,
    )


@st.composite
def cases(draw: st.DrawFn, loss: Loss, rounding: Rounding, bits: int) -> Case:
    geometry = draw(st.sampled_from(NAMES))
    config = GEOMETRIES[geometry]
    chunks, groups = draw(st.integers(1, 2)), draw(st.integers(1, 5))
    features = chunks * config.lanes
    most_delay = min(config.max_delay, config.replay_beats // (chunks * bits))
    job = Job(
        epochs=tuple(draw(st.lists(epochs, min_size=1, max_size=3))),
        bits=bits,
        chunks=chunks,
        groups=groups,
        batch_groups=draw(st.integers(1, groups + 1)),
        delay=draw(st.integers(1, most_delay)),
        sync=draw(st.booleans()),
        corrected=rounding == "double",
        seed=draw(st.integers(0, (1 << SEED_BITS) - 1)),
        mode=draw(st.sampled_from([Mode.TRAIN, Mode.TRAIN, Mode.PREDICT, Mode.EVALUATE])),
        loss=loss,
        unsigned=draw(st.booleans()),
        weighted=draw(st.booleans()),
        offset=draw(st.booleans()),
        regularised=draw(st.integers(0, features)),
        model_drop=draw(st.integers(0, COARSE_BITS)),
        error_drop=draw(st.integers(0, NOISE_BITS)),
    )
    # From words that a soft threshold holds at zero to words with which margins saturate.
    limit = 1 << draw(st.integers(2, config.model_bits - 1))
    return Case(
        geometry=geometry,
        job=job,
        words=draw(numbers((features,), -limit, limit - 1)),
        copies=tuple(
            draw(data_sets(config, job, rounding)) for _ in range(draw(st.integers(1, 2)))
        ),
        gaps=draw(st.sampled_from([0.0, 0.4])),
    )


each_cell = pytest.mark.parametrize(
    ("loss", "rounding", "bits"),
    [pytest.param(*cell, id=f"{cell[0].name.lower()}-{cell[1]}-{cell[2]}") for cell in CELLS],
)


@each_cell
@settings(max_examples=JOBS, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_golden_equals_sim_and_fast(
    loss: Loss, rounding: Rounding, bits: int, data: st.DataObject
) -> None:
    compare(loss, rounding, bits, data)


@pytest.mark.long
@each_cell
@settings(max_examples=MANY_JOBS, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_golden_equals_sim_and_fast_in_many_jobs(
    loss: Loss, rounding: Rounding, bits: int, data: st.DataObject
) -> None:
    compare(loss, rounding, bits, data)


def compare(loss: Loss, rounding: Rounding, bits: int, data: st.DataObject) -> None:
    """Run one job on golden model, compiled model and simulated engine."""
    case = data.draw(cases(loss, rounding, bits))
    config, job = GEOMETRIES[case.geometry], case.job
    golden, fast, simulated = Golden(config), Fast(config), engine(case.geometry)
    for device in (golden, fast, simulated):
        device.load(case.words)
    samples = [samples_of(copy, config) for copy in case.copies]
    expected = golden.run(job, *samples)
    assert fast.run(job, *samples) == expected
    np.testing.assert_array_equal(fast.margins, golden.margins)
    np.testing.assert_array_equal(fast.x, golden.x)

    counters = simulated.run(job, *(copy.beats for copy in case.copies), gaps=case.gaps)
    if case.gaps:
        assert counters.cycles >= expected.cycles
        expected.cycles = counters.cycles
    assert counters == expected
    if job.mode == Mode.PREDICT:
        np.testing.assert_array_equal(simulated.margins, golden.margins)
    np.testing.assert_array_equal(simulated.dump(job.chunks), golden.x)


def test_the_matrix_is_large_enough() -> None:
    assert len(CELLS) == len(Loss) * 3 * 7
    assert len(CELLS) * JOBS >= 100
    assert len(CELLS) * MANY_JOBS >= 1500
