"""The cycle model in closed form against the reference, which counts slot by slot."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.geometries import GEOMETRIES
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Epoch, Job, Mode, Step
from zipsgd.sim import cycles, golden

EPOCH = Epoch(step=Step(mantissa=1, shift=20))  # cycles do not depend on it
MODES = (Mode.TRAIN, Mode.PREDICT, Mode.EVALUATE)


def job_of(
    *,
    groups: int,
    delay: int,
    batch_groups: int = 1,
    sync: bool = False,
    epochs: int = 1,
    bits: int = 4,
    chunks: int = 1,
    mode: Mode = Mode.TRAIN,
    weighted: bool = False,
    offset: bool = False,
) -> Job:
    return Job(
        epochs=(EPOCH,) * epochs,
        bits=bits,
        chunks=chunks,
        groups=groups,
        batch_groups=batch_groups,
        delay=delay,
        sync=sync,
        corrected=False,
        seed=0,
        mode=mode,
        weighted=weighted,
        offset=offset,
    )


@settings(max_examples=1_000)
@given(
    name=st.sampled_from(sorted(GEOMETRIES)),
    job=st.builds(
        job_of,
        groups=st.integers(1, 60),
        epochs=st.integers(1, 4),
        chunks=st.integers(1, 12),
        bits=st.integers(2, 32),
        delay=st.integers(1, 20),
        batch_groups=st.integers(1, 70),
        sync=st.booleans(),
        mode=st.sampled_from(MODES),
        weighted=st.booleans(),
        offset=st.booleans(),
    ),
)
def test_cycles_are_those_of_the_reference(name: str, job: Job) -> None:
    """Whatever the job: neither model asks whether the engine has room for it."""
    config = GEOMETRIES[name]
    assert cycles.predict_cycles(config, job) == golden.predict_cycles(config, job)


@given(
    config=st.builds(
        EngineConfig,
        lanes=st.sampled_from([2, 8, 32, 128]),
        banks=st.sampled_from([4, 8, 32]),
        fanout_stages=st.integers(0, 2),
        adder_levels=st.integers(1, 3),
    ),
    job=st.builds(
        job_of,
        groups=st.integers(500, 3_000),
        chunks=st.integers(1, 30),
        delay=st.integers(1, 8),
        batch_groups=st.integers(1, 700),
        sync=st.booleans(),
        weighted=st.booleans(),
    ),
)
def test_cycles_of_long_epochs_on_any_engine(config: EngineConfig, job: Job) -> None:
    assert cycles.predict_cycles(config, job) == golden.predict_cycles(config, job)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_cycles_around_every_period(bits: int, sync: bool, weighted: bool) -> None:
    """Epochs of fewer, as many and more groups than the delay and than the mini-batch, with errors
    that come sooner and later than the slot that waits for them."""
    config, waits = GEOMETRIES["16x4"], set()
    for delay, groups, batch, epochs in itertools.product(
        range(1, 7), range(1, 15), (1, 2, 3, 5, 6, 7, 20), (1, 3)
    ):
        job = job_of(
            groups=groups,
            delay=delay,
            batch_groups=batch,
            sync=sync,
            epochs=epochs,
            bits=bits,
            chunks=2,
            weighted=weighted,
        )
        assert cycles.predict_cycles(config, job) == golden.predict_cycles(config, job), job
        errors = job.group_beats(config) + config.dot_latency
        waits.add(errors > delay * job.slot_cycles(config))
    assert waits == {False, True}


@pytest.mark.parametrize("sync", [False, True])
def test_any_number_of_groups_takes_no_time_and_no_memory(sync: bool) -> None:
    config = EngineConfig(lanes=32, banks=16)
    most = job_of(groups=(1 << 32) - 1, delay=3, batch_groups=7, sync=sync, bits=8)
    most.check(config)
    tracemalloc.start()
    began = time.process_time()
    found = cycles.predict_cycles(config, most)
    spent_s, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spent_s < 0.1 and peak < 1 << 16
    # Whole mini-batches in all places of the delay repeat.
    period = most.delay * most.batch_groups
    periods, rest = divmod(most.groups, period)
    few, more = (
        golden.predict_cycles(config, replace(most, groups=count * period + rest))
        for count in (10, 11)
    )
    assert found == few + (periods - 10) * (more - few)
