"""The automatic step of every loss, and the warning where no step is right."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from zipsgd.host.codes.copies import Part
from zipsgd.host.codes.scaling import full_scale
from zipsgd.host.data.dataset import Dataset
from zipsgd.host.devices.software import FastDevice
from zipsgd.host.options.choices import LossName
from zipsgd.host.options.losses import LOSSES, mean_loss
from zipsgd.host.options.options import Options
from zipsgd.host.training.advice import advise
from zipsgd.host.training.auto_step import auto_step, best_model
from zipsgd.host.training.loop import train
from zipsgd.host.training.rehearsal import Rehearsal, choose_step
from zipsgd.host.training.task import prepare


def noisy(scale: float = 0.3) -> Dataset:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(3000, 5)) @ rng.normal(size=(5, 5))
    p = 1 / (1 + np.exp(-scale * x @ rng.normal(size=5)))
    labels = np.where(rng.random(3000) < p, 1.0, 0.0)
    return Dataset("made", x, labels, tuple("abcde"))


@pytest.mark.parametrize("loss", list(LOSSES))
def test_no_power_of_two_is_much_better(loss: LossName) -> None:
    options = Options(loss=loss, epochs=5, bits=5)
    task = prepare(noisy(), options)

    def final(step: float) -> float:
        *_, last = train(prepare(noisy(), replace(options, step=step)), FastDevice(task.config))
        return last.losses.train

    losses = {k: final(task.step * 2.0**k) for k in (-2, -1, 0, 1, 2)}
    assert losses[0] <= 1.01 * min(losses.values()), losses


def test_a_rehearsal_is_the_training_itself_if_all_samples_fit() -> None:
    """Random numbers apart, and nothing else."""
    options = Options(loss="logistic", epochs=4, step=2.0**-5, l2=0.01, class_weight="balanced")
    task = prepare(noisy(), options)
    assert isinstance(task.train, Part)
    found = Rehearsal(task.train, len(task.train.y), options).loss(2.0**-5)
    *_, last = train(task, FastDevice(task.config))
    weights = task.model(last.words).weights
    assert found == last.losses.train + 0.005 * float(np.square(weights[:-1]).sum())


def test_it_leaves_least_squares_alone_and_unstable_steps_behind() -> None:
    task = prepare(noisy(), Options(step=1.0, epochs=3))
    assert isinstance(task.train, Part)
    part, n = task.train, len(task.train.y)
    assert choose_step(part, n, Options(epochs=3)) == auto_step(
        part.v, part.y, n, Options(epochs=3)
    )
    options = Options(loss="logistic", epochs=3)
    rehearsal = Rehearsal(replace(part, loss_name="logistic"), n, options)
    assert rehearsal.loss(1e9) == np.inf
    assert rehearsal.best(4.0) <= 1.0


@pytest.mark.parametrize("samples", [30, 200])
@pytest.mark.parametrize("batch", [None, 64])
@pytest.mark.parametrize("loss", ["logistic", "hinge", "squared-hinge"])
def test_it_leaves_a_plateau(loss: LossName, batch: int | None, samples: int) -> None:
    """The codes of 2 bits add so much to the margins of classes that hardly overlap that the
    prediction is far too small: each doubling gains less than `LEAST_GAIN` of the loss."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(samples, 5))
    margins = x @ rng.normal(size=5) + 0.3 * rng.normal(size=samples)
    data = Dataset("made", x, np.where(margins > 0, 1.0, 0.0), tuple("abcde"))
    options = Options(loss=loss, bits=2, batch=batch)
    part = prepare(data, replace(options, step=2.0**-10)).train
    assert isinstance(part, Part)
    n = len(part.y)
    predicted = auto_step(part.v, part.y, n, options)
    rehearsal = Rehearsal(part, n, options)
    chosen = rehearsal.best(predicted)
    least = min(rehearsal.loss(2.0**exponent) for exponent in range(-20, 4))
    assert chosen > 100 * predicted
    assert rehearsal.loss(chosen) <= 1.01 * least


@pytest.mark.parametrize("start", [2.0**-30, 2.0**10])
def test_a_step_that_no_training_can_use_is_left(start: float) -> None:
    """Out of range, or so small that no word of the model changes."""
    options = Options(loss="logistic", epochs=2)
    part = prepare(noisy(), replace(options, step=2.0**-10)).train
    assert isinstance(part, Part)
    rehearsal = Rehearsal(part, len(part.y), options)
    assert rehearsal.loss(start) in (np.inf, part.loss(np.zeros(part.v.shape[1])))
    assert rehearsal.best(start) == rehearsal.best(2.0**-4)


def test_it_has_the_samples_of_a_mini_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of fewer it would find steps too large, whose gradients the sum of more makes unstable."""
    options = Options(loss="logistic", epochs=3, batch=4_000)
    part = prepare(noisy(), replace(options, step=2.0**-10)).train
    assert isinstance(part, Part)
    n = len(part.y)
    chosen = choose_step(part, n, options)
    monkeypatch.setattr("zipsgd.host.training.rehearsal.ROWS", 300)
    assert choose_step(part, n, options) == chosen
    few = part.head(300)
    assert choose_step(few, n, options) == auto_step(few.v, few.y, n, options)


@pytest.mark.parametrize("loss", ["logistic", "squared-hinge", "huber"])
def test_the_best_model_has_no_slope(loss: LossName) -> None:
    part = prepare(noisy(), Options(loss=loss, step=0.1, epochs=1)).train
    weights = np.linspace(0.5, 1.5, len(part.y))
    best = best_model(part.v, part.y, Options(loss=loss), weights)
    slope = (weights * LOSSES[loss].derivative(part.v @ best, part.y)) @ part.v / len(part.y)
    assert np.abs(slope).max() < 1e-3
    reached = mean_loss(loss, part.v @ best, part.y, weights)
    for k in range(part.v.shape[1]):
        moved = best + 0.1 * np.eye(len(best))[k]
        assert mean_loss(loss, part.v @ moved, part.y, weights) > reached


@pytest.mark.parametrize(
    ("bits", "warned", "enough"), [(2, True, "--bits 5"), (3, True, "--bits 4"), (5, False, "")]
)
def test_few_bits_for_the_logistic_loss_are_warned_of(
    bits: int, warned: bool, enough: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    options = Options(loss="logistic", bits=bits, step=0.01, epochs=1)
    advise(prepare(noisy(), options))
    assert ("bits are few for the logistic loss" in caplog.text) == warned
    assert enough in caplog.text
    caplog.clear()
    for changes in ({"loss": "hinge"}, {"rounding": "nearest"}):
        advise(prepare(noisy(), replace(options, **changes)))  # type: ignore[arg-type]
    assert not caplog.text


def test_few_bits_for_gradients_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """8 of 24 bits: multiples of 2**-4."""
    for step, warned in ((2.0**-6, False), (2.0**-7, False), (2.0**-8, True)):
        caplog.clear()
        advise(prepare(noisy(), Options(gradient_bits=8, step=step, epochs=1)))
        assert ("16 times the step size" in caplog.text) == warned
    assert "--gradient-bits 12" in caplog.text


def test_exact_codes_need_no_warning_at_two_bits(caplog: pytest.LogCaptureFixture) -> None:
    """Columns with two values: no rounding changes them."""
    data = noisy()
    flags = replace(data, features=np.sign(data.features))
    advise(prepare(flags, Options(loss="logistic", bits=2, step=0.01, epochs=1)))
    assert not caplog.text


def test_regularisation_that_vanishes_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """The steps are 1/8, 1/16, 1/24, 1/32: decays of 1.8 units at first, and at last of less
    than half of one."""
    caplog.set_level(logging.WARNING)
    options = Options(bits=8, step=0.125, epochs=4, l1=1e-3, lanes=16, banks=4)
    place = 2.0**-options.config.correction_unit_frac
    l2 = 1.8 * place / (0.125 * 4) / full_scale(8, False) ** 2
    advise(prepare(noisy(), replace(options, l2=l2)))
    assert f"--l2 {l2:g} is rounded to 0 from epoch 4 on" in caplog.text
    assert "--l1" not in caplog.text
    caplog.clear()
    advise(prepare(noisy(), replace(options, l1=0.0, l2=1e-3)))
    assert "rounded to 0" not in caplog.text
