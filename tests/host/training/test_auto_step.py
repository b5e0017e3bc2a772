from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from zipsgd.host.codes.copies import Part
from zipsgd.host.codes.scaling import with_intercept
from zipsgd.host.data.dataset import Dataset, Floats
from zipsgd.host.devices.software import FastDevice
from zipsgd.host.options.options import Options
from zipsgd.host.training.auto_step import Curvature, auto_step, best_model
from zipsgd.host.training.loop import prepare, train, train_float


def samples(n: int = 1500, d: int = 6) -> Dataset:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    y = x @ rng.normal(size=d) + rng.normal(size=n)
    return Dataset("made", x, y, tuple(map(str, range(d))))


def uniform(n: int = 400) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    v = with_intercept(rng.uniform(-1, 1, size=(n, 4)))
    return v, v @ np.array([0.5, -0.2, 0.1, 0.3, 0.0]) + 0.3 * rng.normal(size=n)


@pytest.mark.parametrize(
    "options",
    [
        *(Options(), Options(schedule="constant"), Options(epochs=3), Options(bits=3)),
        *(Options(batch=256, schedule="constant"), Options(batch=64, sync=True)),
    ],
)
def test_it_is_a_stable_power_of_two(options: Options) -> None:
    v, y = uniform()
    step = auto_step(v, y, len(v), options)
    assert math.frexp(step)[0] == 0.5
    assert step * options.samples_in_flight * np.linalg.eigvalsh(v.T @ v / len(v))[-1] < 2


def test_more_updates_need_smaller_steps() -> None:
    v, y = uniform()
    steps = [auto_step(v, y, n, Options()) for n in (400, 4_000, 40_000, 400_000)]
    assert steps == sorted(steps, reverse=True) and steps[-1] < steps[0]


@pytest.mark.parametrize("sync", [False, True])
def test_a_mini_batch_is_an_epoch_at_most(sync: bool) -> None:
    v, y = uniform()
    whole = auto_step(v, y, len(v), Options(batch=len(v), sync=sync))
    for batch in (4_000, 40_000_000, 4_000_000_000_000):
        assert auto_step(v, y, len(v), Options(batch=batch, sync=sync)) == whole


def test_only_the_first_samples_matter() -> None:
    v, y = uniform(12_000)
    more = auto_step(np.vstack([v[:10_000], 9 * v]), np.append(y[:10_000], y), 22_000, Options())
    assert more == auto_step(v, y, 22_000, Options())


@pytest.mark.parametrize("step", [2.0**-4, 2.0**-6, 2.0**-8])
def test_the_prediction_is_what_textbook_sgd_reaches(step: float) -> None:
    options = Options(
        epochs=5, step=step, rounding="nearest", bits=8, schedule="constant", sync=True
    )
    task = prepare(samples(), options)
    assert hasattr(task.train, "v")
    curvature = Curvature.of(task.train.v, task.train.y, options)
    v, y = task.train.v, task.train.y
    best = np.square(v @ np.linalg.lstsq(v, y, rcond=None)[0] - y).mean() / 2
    reached = [losses.train for losses in train_float(task)][-1] - best
    predicted = curvature.excess(step, len(y), options)
    assert predicted == pytest.approx(reached, rel=0.9, abs=0.01 * best)


@pytest.mark.parametrize("step", [2.0**-11, 2.0**-10, 2.0**-9])
def test_whole_epochs_have_no_noise_of_drawing(step: float) -> None:
    """Without that of codes the prediction is exact."""
    options = Options(epochs=5, step=step, rounding="nearest", bits=8, batch=4_000, sync=True)
    part = prepare(samples(), options).train
    assert isinstance(part, Part)
    curvature = Curvature.of(part.v, part.y, options)
    best = best_model(part.v, part.y, options, np.ones(len(part.y)))
    model = np.zeros(len(best))
    for epoch in range(1, options.epochs + 1):
        model -= step / epoch * (part.v @ model - part.y) @ part.v
    assert curvature.excess(step, len(part.y), options) == pytest.approx(
        part.loss(model) - part.loss(best)
    )


@pytest.mark.parametrize(
    "options",
    [Options(epochs=4), Options(epochs=4, schedule="constant"), Options(batch=128, epochs=30)],
)
def test_no_power_of_two_is_much_better(options: Options) -> None:
    assert above_the_best(options) <= 0.03


@pytest.mark.parametrize("sync", [False, True])
def test_a_mini_batch_may_be_as_large_as_an_epoch(sync: bool) -> None:
    assert above_the_best(Options(batch=4_000, sync=sync)) <= 0.1


def above_the_best(options: Options) -> float:
    """Share by which the chosen step's loss is above that of the best of its neighbours."""
    dataset = samples()
    chosen = prepare(dataset, options).step

    def final(step: float) -> float:
        task = prepare(dataset, replace(options, step=step))
        return [epoch.losses.train for epoch in train(task, FastDevice(options.config))][-1]

    losses = {k: final(chosen * 2.0**k) for k in (-2, -1, 0, 1, 2)}
    return losses[0] / min(losses.values()) - 1
