from __future__ import annotations

from dataclasses import replace

import pytest

from zipsgd.host.bench import simulator as bench
from zipsgd.host.devices.software import GoldenDevice
from zipsgd.host.errors import MismatchError
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import prepare, train


def test_synthetic_data_has_the_samples_that_were_asked_for() -> None:
    task = prepare(bench.synthetic(samples=200), Options(epochs=1))
    assert task.train.v.shape == (200, 91)
    assert len(task.heldout.y) == 20


def test_utilisation_of_the_golden_model_meets_the_target() -> None:
    task = prepare(bench.synthetic(samples=2_000), Options(epochs=1, step=2.0**-8))
    (epoch,) = train(task, GoldenDevice(task.config))
    assert epoch.counters.beats == 500 * (6 * 4 + 2)
    assert epoch.utilisation >= bench.LEAST_UTILISATION


@pytest.mark.parametrize("above", [1.0, -1.0])
def test_convergence_fails_if_its_target_is_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], above: float
) -> None:
    monkeypatch.setattr(bench, "CONVERGENCE", replace(bench.CONVERGENCE, epochs=2, step=2.0**-4))
    monkeypatch.setattr(bench, "MOST_ABOVE_8_BITS", above)
    monkeypatch.setattr(bench, "LEAST_BELOW_NEAREST", -1.0)
    if above > 0:
        bench.convergence(["sklearn:diabetes"], "golden")
    else:
        with pytest.raises(MismatchError, match="diabetes: 4 bits with double sampling"):
            bench.convergence(["sklearn:diabetes"], "golden")
    assert "diabetes" in capsys.readouterr().out
