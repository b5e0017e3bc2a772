"""The smallest device, at the end of a UART, against the golden model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from tests.sim.test_verilated import random_case, random_words
from zipsgd.hdl.contract.job import Mode
from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.host.devices.interface import samples_of
from zipsgd.host.devices.link.client import LinkClient
from zipsgd.host.devices.linked_device import LinkedDevice
from zipsgd.sim.golden import Golden
from zipsgd.sim.whole_device import open_whole_device

CONFIG = ENGINES["tiny"]
MEMORY_BYTES = 1 << 17
"""What an iCE40-UP5K has."""
BAUD = 3_000_000
START_CYCLES = 16
"""More than the memory takes from a job's start to its first beat."""


@pytest.fixture(scope="module")
def device() -> Iterator[LinkedDevice]:
    with closing(open_whole_device(CONFIG, memory_bytes=MEMORY_BYTES, baud=BAUD)) as port:
        yield LinkedDevice(LinkClient(port), CONFIG)


@pytest.mark.parametrize("seed", range(8))
def test_jobs_equal_golden(seed: int, device: LinkedDevice) -> None:
    """Model, margins and every counter; cycles but for the memory's first beats."""
    first, copies = random_case(CONFIG, seed, copies=1 + seed % 3)
    golden = Golden(CONFIG)
    words = random_words(CONFIG, first.chunks, np.random.default_rng(seed)) >> 4
    golden.load(words)
    device.load_model(words)
    for mode in (Mode.TRAIN, Mode.PREDICT, Mode.TRAIN):
        job = replace(first, mode=mode)
        expected = golden.run(job, *(samples_of(copy, CONFIG) for copy in copies))
        counters = device.run(job, *copies)
        assert expected.cycles <= counters.cycles
        if mode == Mode.TRAIN:  # nothing waits for the line
            assert counters.cycles <= expected.cycles + START_CYCLES
        expected.cycles = counters.cycles
        assert counters == expected, f"random_case(CONFIG, {seed}), {mode.name}"
        if mode == Mode.PREDICT:
            np.testing.assert_array_equal(device.margins(), golden.margins)
        np.testing.assert_array_equal(device.read_model(job.chunks), golden.x)
    assert device.link.traffic.damaged == 0
