"""The sweep finds the best power of two, and says how far the automatic one is from it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from zipsgd.host.bench import step as bench_step
from zipsgd.host.bench.step import Sweep, sweep
from zipsgd.host.cli.app import app
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices.software import FastDevice
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import prepare, train

OPTIONS = Options(epochs=3, copies=3)


def run(*arguments: str) -> Result:
    command = ["bench", "step", "sklearn:diabetes", "--epochs", "3", "--copies", "3"]
    return CliRunner().invoke(app, [*command, *arguments])


@pytest.mark.parametrize("wrong", [1.0, 2.0**4, 2.0**-6])
def test_the_best_has_worse_ones_on_both_sides(
    wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far the automatic step is off."""
    dataset, engine = read_dataset("sklearn:diabetes"), FastDevice(OPTIONS.config)
    right = prepare(dataset, OPTIONS).step

    monkeypatch.setattr("zipsgd.host.training.task.choose_step", lambda *_: wrong * right)
    found = sweep(dataset, engine, OPTIONS)
    assert found.auto_step == wrong * right
    assert found.best_loss == min(found.losses.values()) == found.losses[found.best_step]
    steps = list(found.losses)
    assert {found.best_step * 2.0**k for k in (-2, -1, 1, 2)} < set(steps)
    *_, last = train(prepare(dataset, replace(OPTIONS, step=found.best_step)), engine)
    assert last.losses.train == found.best_loss
    assert found.above == found.losses[wrong * right] / found.best_loss - 1
    assert found.above < 0.05 if wrong == 1 else found.above > 0.05


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_step, "MOST_ABOVE_BEST", 1.0)
    done = run("--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["auto_loss"] / facts["best_loss"] - 1 == facts["above_best"]
    assert "diabetes" in run().stdout
    monkeypatch.setattr(bench_step, "MOST_ABOVE_BEST", -1.0)
    done = run()
    assert done.exit_code == 5 and "diabetes: the automatic step must end within" in done.stderr


@pytest.mark.parametrize(("auto", "above"), [(0.0, 0.0), (0.5, math.inf)])
def test_the_best_loss_may_be_zero(auto: float, above: float) -> None:
    found = Sweep("made", auto_step=1.0, auto_loss=auto, best_step=0.5, best_loss=0.0, losses={})
    assert found.above == above


def test_infinite_losses_are_null(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of steps that the engine cannot take."""
    monkeypatch.setattr(bench_step, "AROUND", 6)
    monkeypatch.setattr(bench_step, "MOST_ABOVE_BEST", 1.0)
    done = run("--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout, parse_constant=lambda word: f"not JSON: {word}")
    losses = list(facts["losses"].values())
    assert losses[-1] is None
    assert all(loss is None or isinstance(loss, float) for loss in losses)


def test_it_takes_no_step(tmp_path: Path) -> None:
    done = run("--step", "0.5")
    assert done.exit_code == 2 and "--step is 0.5, and this bench tries all" in done.stderr
