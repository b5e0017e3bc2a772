from __future__ import annotations

import math

import numpy as np
import pytest

from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices.software import GoldenDevice
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import prepare, train
from zipsgd.host.training.schedule import Schedule, default_step, scheduled


@pytest.mark.parametrize(
    ("schedule", "sizes"),
    [
        ("1/k", [0.5, 0.25, 0.5 / 3, 0.125]),
        ("1/sqrt(k)", [0.5, 0.5 / math.sqrt(2), 0.5 / math.sqrt(3), 0.25]),
        ("constant", [0.5, 0.5, 0.5, 0.5]),
    ],
)
def test_schedules(schedule: Schedule, sizes: list[float]) -> None:
    assert [scheduled(0.5, schedule, epoch) for epoch in (1, 2, 3, 4)] == pytest.approx(sizes)


def test_default_step_is_the_power_of_two_below_its_bound() -> None:
    v = np.tile([[1.0, 1.0], [1.0, -1.0]], (50, 1))  # E[v v^T] = 1, E|v|^2 = 2
    assert default_step(v, stale=6) == 2.0**-3
    assert default_step(v, stale=7) == 2.0**-4
    assert default_step(v / 8, stale=6) == 2.0**3


def test_default_step_shrinks_with_what_is_stale() -> None:
    v = np.random.default_rng(0).uniform(-1, 1, size=(500, 7))
    steps = [default_step(v, stale) for stale in (1, 4, 12, 100, 2000)]
    assert steps == sorted(steps, reverse=True)
    assert steps[0] > steps[-1]


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "digits", "iris", "wine"])
@pytest.mark.parametrize(
    "options",
    [
        Options(epochs=4),
        Options(epochs=4, bits=3, delay=8, batch=32),
        Options(epochs=4, banks=16, delay=4, schedule="constant"),
        Options(epochs=4, batch=64, sync=True, rounding="nearest"),
    ],
    ids=["default", "stale", "wide", "sync"],
)
def test_default_step_trains_stably(name: str, options: Options) -> None:
    task = prepare(read_dataset(f"sklearn:{name}", drop_constant=True), options)
    losses = [epoch.losses.train for epoch in train(task, GoldenDevice(options.config))]
    untrained = task.train.loss(np.zeros(task.train.v.shape[1]))
    assert losses[0] < untrained
    assert losses[-1] < losses[0]
