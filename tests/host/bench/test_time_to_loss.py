"""`zipsgd bench time-to-loss` in small: its figures are those of its runs, its rules are kept."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from zipsgd.hdl.contract.job import Job
from zipsgd.host.bench import time_to_loss as bench_time
from zipsgd.host.bench.time_to_loss import (
    SETUP,
    LossRun,
    MomentLoss,
    Setup,
    synthetic,
    time_to_loss,
)
from zipsgd.host.codes.weaving import Woven
from zipsgd.host.devices.software import FastDevice
from zipsgd.host.errors import MismatchError
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import prepare
from zipsgd.sim.golden import Counters, predict_cycles

SMALL = Setup(
    options=Options(
        lanes=16, banks=4, max_bits=32, batch=512, sync=True, epochs=8, copies=8, delay=2
    ),
    samples=2_048,
    features=255,
    exponents=range(8, 11),
    least={4: 7.0},
)


def test_four_bits_need_a_seventh_of_the_cycles(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And all cycles are those of the cycle model, all losses those of the unrounded samples."""
    total: dict[int, int] = {4: 0, 32: 0}

    class Watched(FastDevice):
        def run(self, job: Job, *copies: Woven) -> Counters:
            counters = super().run(job, *copies)
            (woven,) = copies
            assert (woven.groups, woven.samples) == (job.groups, job.groups * 4)
            assert counters.cycles == predict_cycles(self.config, job)
            total[job.bits] += counters.cycles
            return counters

    monkeypatch.setattr(bench_time, "opened", lambda _, config: nullcontext(Watched(config)))
    baseline, four = time_to_loss(SMALL, as_json=True)
    record = json.loads(capsys.readouterr().out)
    assert record["data"] == "synthetic"
    assert [one["bits"] for one in record["results"]] == [32, 4]
    assert four.ratio == baseline.cycles / four.cycles >= 7.0
    assert four.ideal == (16 * 32 + 2) / (16 * 4 + 2)
    assert record["least_loss"] < baseline.final_loss < record["target_loss"]
    for one in (baseline, four):
        # A job is a mini-batch of 128 groups and the two slots after them.
        beats = 16 * one.bits + 2
        assert one.cycles == one.batches * 130 * beats
        assert total[one.bits] == 3 * 8 * 4 * 130 * beats
        assert one.final_loss < record["target_loss"]


def test_the_least_ratio_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MismatchError, match=r"4 bits take 7\.\d+ times fewer .* target is 99"):
        time_to_loss(replace(SMALL, least={4: 99.0}))
    assert "synthetic data" in capsys.readouterr().out
    with pytest.raises(MismatchError, match=r"at 32 bits, 2\*\*-9, is at an end"):
        time_to_loss(replace(SMALL, exponents=range(9, 11)))


def test_a_run_is_there_when_it_stays_there() -> None:
    losses = [3.0, 1.0, 2.0, 1.0, float("nan"), 1.0, 0.5]
    run = LossRun(4, 0, 10, np.arange(7), np.array(losses))
    assert run.reaches(1.0) == 6
    assert run.reaches(0.5) == 7
    assert run.reaches(0.4) is None
    assert LossRun(4, 0, 10, np.arange(2), np.array([1.0, 1.0])).reaches(1.0) == 1


def test_the_loss_is_that_of_the_unrounded_samples() -> None:
    task = prepare(synthetic(400, 30), replace(SMALL.options, epochs=1, step=2.0**-8))
    v, y = task.train.v, task.train.y
    for weights in np.random.default_rng(0).normal(size=(5, 31)):
        assert MomentLoss(v, y)(weights) == pytest.approx(task.train.loss(weights), rel=1e-12)


def test_the_full_bench_is_what_the_readme_says() -> None:
    assert (SETUP.features, SETUP.least[4], SETUP.least[3]) == (784, 7.0, 9.5)
    assert SETUP.options.config.max_bits == 32
