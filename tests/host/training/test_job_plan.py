"""Jobs of one and of several epochs, their units, and the margin variance."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Loss
from zipsgd.host.codes.copies import Part
from zipsgd.host.codes.scaling import full_scale
from zipsgd.host.codes.weaving import unweave
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices.open import open_device
from zipsgd.host.devices.software import FastDevice, GoldenDevice
from zipsgd.host.options.options import Options
from zipsgd.host.training.job_plan import differing_shares, spans, with_margin_variance
from zipsgd.host.training.loop import compare, train, train_float
from zipsgd.host.training.task import Task, prepare
from zipsgd.sim import golden

CANCER = read_dataset("sklearn:breast_cancer")
LOGISTIC = Options(loss="logistic", epochs=4, copies=3, step=2.0**-6)


@pytest.mark.parametrize(
    ("options", "lengths"),
    [
        (Options(epochs=3), [1, 1, 1]),
        (Options(epochs=7, epochs_per_job=3), [3, 3, 1]),
        (Options(epochs=7, epochs_per_job=100), [7]),
        (Options(epochs=7, epochs_per_job=100, snapshot_every=3), [3, 3, 1]),
        (Options(epochs=10, epochs_per_job=3, snapshot_every=4), [3, 1, 3, 1, 2]),
        (Options(epochs=10, epochs_per_job=9, snapshot_at="8, 1,10"), [1, 7, 2]),
        (Options(epochs=6, epochs_per_job=9, snapshot_at="3", snapshot_every=2), [2, 1, 1, 2]),
        (Options(epochs=7, epochs_per_job=3, loss="logistic"), [1, 3, 3]),
        (Options(epochs=7, epochs_per_job=3, loss="logistic", correction="none"), [3, 3, 1]),
        (Options(epochs=7, epochs_per_job=3, loss="logistic", rounding="single"), [3, 3, 1]),
    ],
)
def test_jobs_cover_the_epochs(options: Options, lengths: list[int]) -> None:
    found = spans(options)
    assert [len(epochs) for epochs in found] == lengths
    assert [k for epochs in found for k in epochs] == list(range(1, options.epochs + 1))


def test_options_reach_the_jobs() -> None:
    options = Options(
        loss="huber",
        l2=0.25,
        l1=0.125,
        model_bits=16,
        gradient_bits=10,
        unsigned=True,
        epochs=3,
        epochs_per_job=2,
        step=2.0**-6,
    )
    task = prepare(CANCER, options)
    first, last = task.jobs
    assert (first.loss, first.unsigned, first.weighted) == (Loss.HUBER, True, False)
    assert (first.model_drop, first.error_drop, first.regularised) == (8, 14, 30)
    scale = full_scale(4, unsigned=True)
    assert [each.step.value for each in first.epochs] == [2.0**-6, 2.0**-7]
    assert all(each.l2 == 0.25 * scale**2 for each in (*first.epochs, *last.epochs))
    assert all(each.l1 == 0.125 * scale for each in first.epochs)
    assert last.epochs[0].step.value == pytest.approx(2.0**-6 / 3, rel=1e-4)
    everything = prepare(CANCER, replace(options, regularise_intercept=True))
    assert everything.jobs[0].regularised == 31
    assert prepare(CANCER, replace(options, l1=0.0, l2=0.0)).jobs[0].regularised == 0


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("lanes", [8, 16])
def test_shares_are_those_of_the_codes(unsigned: bool, lanes: int) -> None:
    task = prepare(CANCER, replace(LOGISTIC, unsigned=unsigned, lanes=lanes, bits=3))
    found = unweave(task.copies[0], task.config)
    codes = found.codes.reshape(-1, task.copies[0].chunks * lanes)[: len(task.train.y)]
    differ = (codes % 2 == (1 if unsigned else 0)).mean(axis=0)
    differ[31:] = 0
    assert np.allclose(differing_shares(task.copies[0], task.config), differ, atol=1e-12)


@pytest.mark.parametrize("unsigned", [False, True])
def test_the_margin_variance_is_that_of_the_margins(unsigned: bool) -> None:
    """Over independent copies, averaged over samples."""
    options = replace(LOGISTIC, epochs=80, copies=80, bits=3, unsigned=unsigned)
    task = prepare(CANCER, options)
    rng = np.random.default_rng(0)
    words = np.zeros(task.copies[0].chunks * 16, dtype=np.int64)
    words[:31] = rng.normal(size=31) * 2**15
    (epoch,) = with_margin_variance(task.jobs[0], words, task.differing, task.config).epochs
    n = len(task.train.y)
    z = [
        unweave(copy, task.config).codes.reshape(-1, len(words))[:n] @ (words * 2.0**-16) / 4
        for copy in task.copies
    ]
    assert epoch.margin_variance == pytest.approx(np.var(z, axis=0, ddof=1).mean(), rel=0.03)


@pytest.mark.parametrize("sync", [False, True])
def test_a_mini_batch_larger_than_an_epoch_is_the_epoch(sync: bool) -> None:
    """However large: the engine's count of groups need not hold it."""
    options = Options(loss="hinge", epochs=3, copies=3, sync=sync)
    whole, more = (
        prepare(CANCER, replace(options, batch=batch)) for batch in (456, 4_000_000_000_000)
    )
    assert more.jobs == whole.jobs
    assert more.jobs[0].batch_groups == more.jobs[0].groups == 114


def test_only_both_terms_use_the_margin_variance() -> None:
    words = np.full(32, 1 << 16)
    for options, used in (
        (LOGISTIC, True),
        (replace(LOGISTIC, correction="curvature"), False),
        (replace(LOGISTIC, correction="none"), False),
        (replace(LOGISTIC, rounding="nearest"), False),
        (replace(LOGISTIC, loss="squared-hinge"), False),
    ):
        job, _ = prepare(CANCER, options).job(1, words)
        assert (job.epochs[0].margin_variance > 0) == used
        assert job.corrected == (options.rounding == "double" and options.correction != "none")


def test_copies_go_on_from_job_to_job() -> None:
    task = prepare(CANCER, replace(LOGISTIC, epochs=9, epochs_per_job=4))
    words = np.zeros(32, dtype=np.int64)
    used = [[task.copies.index(copy) for copy in task.job(k, words)[1]] for k in range(3)]
    assert used == [[0], [1, 2, 0], [2, 0, 1]]
    assert [task.epochs_before(k) for k in range(4)] == [0, 1, 5, 9]


EVERYTHING: dict[str, dict[str, Any]] = {
    "logistic": {"loss": "logistic", "class_weight": "balanced", "l2": 0.01, "model_bits": 18},
    "jobs": {"loss": "logistic", "epochs_per_job": 3, "unsigned": True, "gradient_bits": 12},
    "hinge": {"loss": "hinge", "l1": 0.002, "batch": 16, "sync": True, "epochs_per_job": 5},
    "squared hinge": {"loss": "squared-hinge", "sample_weight": "mean smoothness", "bits": 3},
    "huber": {"loss": "huber", "unsigned": True, "rounding": "single", "l1": 0.001, "l2": 0.1},
    "uncorrected": {"loss": "logistic", "correction": "none", "regularise_intercept": True},
}


@pytest.mark.parametrize("name", EVERYTHING)
def test_all_devices_agree_on_every_option(name: str) -> None:
    options = Options(**{"epochs": 5, "copies": 2, "step": 2.0**-5, **EVERYTHING[name]})
    task = prepare(CANCER, options)
    with closing(open_device("sim", task.config)) as engine:
        devices = [GoldenDevice(task.config), FastDevice(task.config), engine]
        epochs = list(compare(task, devices))
    assert epochs[-1].number == 5 and len(epochs) == len(task.jobs)
    assert sum(epoch.counters.cycles for epoch in epochs) == sum(
        golden.predict_cycles(task.config, job) for job in task.jobs
    )
    assert epochs[-1].losses.train < task.train.loss(np.zeros(task.train.v.shape[1]))
    last = epochs[-1].words
    assert not (last % (1 << (24 - options.model_bits))).any()


def test_a_job_of_several_epochs_learns_as_much() -> None:
    """Not to the same bits: its random numbers go on, and its pipeline is not drained."""
    options = Options(epochs=8, copies=4, step=2.0**-4)
    runs = [
        list(train(prepare(CANCER, replace(options, epochs_per_job=n)), FastDevice(options.config)))
        for n in (1, 8)
    ]
    assert len(runs[1]) == 1 and runs[1][0].number == 8
    assert runs[0][-1].losses.train == pytest.approx(runs[1][0].losses.train, rel=0.01)
    assert (runs[0][-1].words != runs[1][0].words).any()
    assert runs[1][0].counters.cycles < sum(epoch.counters.cycles for epoch in runs[0])


def test_regularisation_is_that_of_the_float_baseline_at_every_precision() -> None:
    """The objective is that of the weights of scaled features, whatever the codes."""
    for l2, l1 in ((0.1, 0.0), (0.0, 0.02)):
        norms = []
        for bits, unsigned in ((8, False), (4, False), (6, True)):
            options = replace(LOGISTIC, epochs=30, copies=30, step=2.0**-5, l2=l2, l1=l1)
            task = prepare(CANCER, replace(options, bits=bits, unsigned=unsigned))
            *_, last = train(task, FastDevice(EngineConfig()))
            weights = task.model(last.words).weights
            *_, plain = train_float(task)
            assert last.losses.train == pytest.approx(plain.train, rel=0.03)
            norms.append(np.abs(weights[:-1]).sum())
        assert norms[0] == pytest.approx(norms[1], rel=0.03)


def test_the_intercept_is_not_regularised_unless_asked() -> None:
    def intercept(asked: bool) -> float:
        options = replace(LOGISTIC, l2=1.0, epochs=30, regularise_intercept=asked)
        task: Task = prepare(CANCER, options)
        *_, last = train(task, FastDevice(task.config))
        return float(task.model(last.words).weights[-1])

    assert abs(intercept(True)) < 0.1 < 0.3 < abs(intercept(False))


def test_a_weighted_part_is_cut_with_its_weights() -> None:
    part = Part(np.ones((4, 2)), np.ones(4), np.arange(4.0), "huber")
    head = part.head(2)
    assert head.weights is not None and head.weights.tolist() == [0, 1]
    assert (len(head.v), len(head.y), head.loss_name) == (2, 2, "huber")
