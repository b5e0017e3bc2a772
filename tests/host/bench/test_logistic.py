from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from zipsgd.host.bench import logistic as bench_logistic
from zipsgd.host.bench.logistic import METHODS, OPTIONS, Final, measure
from zipsgd.host.cli.app import app
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices.software import FastDevice

CANCER = read_dataset("sklearn:breast_cancer")


def test_every_method_has_its_own_best_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_logistic, "STEPS", (2.0**-7, 2.0**-5))
    options = replace(OPTIONS, epochs=3, copies=2, l2=0.01)
    baseline, found = measure(CANCER, FastDevice(options.config), options, seeds=2)
    by_title = dict(zip((method.title for method in METHODS), found, strict=True))
    assert all(len(final.losses) == 2 for final in (baseline, *found))
    assert {final.step for final in found} <= {2.0**-7, 2.0**-5}
    assert by_title["no correction"].mean > by_title["double, both terms"].mean
    assert len({final.losses for final in found}) == len(found)


def test_exact_codes_can_be_rounded_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every column has two values, methods differ only then."""
    monkeypatch.setattr(bench_logistic, "STEPS", (2.0**-5,))
    options = replace(OPTIONS, epochs=2, copies=2)
    flags = replace(CANCER, features=(CANCER.features > CANCER.features.mean(axis=0)) * 1.0)
    engine = FastDevice(options.config)
    _, exact = measure(flags, engine, options, 1)
    assert len({final.losses for final in exact if final is not exact[-1]}) == 1
    _, rounded = measure(flags, engine, options, 1, two_valued=False)
    assert len({final.losses for final in rounded}) == len(METHODS)


def test_the_lowest_mean_wins() -> None:
    best = Final.best([(1.0, (0.2, 0.4)), (2.0, (0.1, 0.6)), (4.0, (0.25, 0.25))])
    assert (best.step, best.mean) == (4.0, 0.25)


@pytest.mark.parametrize(("most", "code"), [(1e9, 0), (-1.0, 5)])
def test_the_command_fails_if_its_target_is_missed(
    monkeypatch: pytest.MonkeyPatch, most: float, code: int
) -> None:
    monkeypatch.setattr(bench_logistic, "STEPS", (2.0**-6,))
    monkeypatch.setattr(bench_logistic, "OPTIONS", replace(OPTIONS, epochs=1))
    monkeypatch.setattr(bench_logistic, "MOST_ABOVE_FLOAT", most)
    command = ["bench", "convergence", "sklearn:breast_cancer", "--loss", "logistic"]
    done = CliRunner().invoke(app, [*command, "--seeds", "1"])
    assert done.exit_code == code, done.output
    assert "breast_cancer" in done.stdout and "curvature only" in done.stdout
    assert ("must end within" in done.stderr) == (code == 5)
