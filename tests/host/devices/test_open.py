"""Every device refuses a data set that was not woven for its job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from zipsgd.host.bench.simulator import synthetic
from zipsgd.host.codes.weaving import Geometry
from zipsgd.host.devices.open import DEVICES, open_device
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import prepare

TASK = prepare(synthetic(40, 3), Options(epochs=1, step=0.01))

OTHERWISE: list[dict[str, Any]] = [
    {"bits": 5},
    {"chunks": 2},
    {"groups": 9},
    {"unsigned": True},
    {"weighted": True},
    {"offset": True},
]


GEOMETRY = {"lanes": 64, "banks": 1, "model_bits": 23, "model_frac": 15}


@pytest.mark.parametrize("name", DEVICES)
def test_a_data_set_that_is_woven_for_another_engine_is_refused(name: str) -> None:
    """Beats of 64 bits are beats of 64 bits: no engine can tell."""
    (job,), (woven, *_) = TASK.jobs, TASK.copies
    assert set(GEOMETRY) == set(vars(woven.geometry))
    device = open_device(name, TASK.config)
    device.load_model(np.zeros(TASK.config.lanes, dtype=np.int64))
    for field, value in GEOMETRY.items():
        changes: dict[str, Any] = {field: value}
        other = replace(woven, geometry=replace(woven.geometry, **changes))
        has = getattr(TASK.config, field)
        message = f"woven for {field} = {value} and the engine has {has}; weave it for this engine"
        with pytest.raises(ValueError, match=message):
            device.run(job, woven, other)
    assert not device.read_model(1).any(), "it ran"
    device.close()


def test_32_lanes_are_not_64() -> None:
    """As many beats of as many bits, and a job that describes the data set."""
    narrow, wide = (Options(epochs=1, step=0.01, lanes=n, banks=64 // n) for n in (32, 64))
    task = prepare(synthetic(40, 3), narrow)
    device = open_device("golden", wide.config)
    device.load_model(np.zeros(64, dtype=np.int64))
    with pytest.raises(ValueError, match="woven for lanes = 32 and the engine has 64"):
        device.run(task.jobs[0], task.copies[0])
    assert Geometry.of(wide.config) != task.copies[0].geometry == Geometry.of(narrow.config)


@pytest.mark.parametrize("changes", OTHERWISE, ids=lambda changes: next(iter(changes)))
@pytest.mark.parametrize("name", DEVICES)
def test_a_job_that_describes_another_data_set_is_refused(
    name: str, changes: dict[str, Any]
) -> None:
    (job,), (woven, *_) = TASK.jobs, TASK.copies
    device = open_device(name, TASK.config)
    device.load_model(np.zeros(TASK.config.lanes, dtype=np.int64))
    ((field, value),) = changes.items()
    message = f"the job says {field} = {value} and its data set is woven with {field} = "
    with pytest.raises(ValueError, match=message):
        device.run(replace(job, **changes), woven)
    assert not device.read_model(1).any(), "it ran"
    assert device.run(job, woven).beats == len(woven.beats)
    assert device.read_model(1).any()
    device.close()


@pytest.mark.parametrize("name", DEVICES)
def test_a_model_of_other_samples_is_refused(name: str) -> None:
    (job,), (woven, *_) = TASK.jobs, TASK.copies
    device = open_device(name, TASK.config)
    lanes = TASK.config.lanes
    device.load_model(np.zeros(2 * lanes, dtype=np.int64))
    with pytest.raises(ValueError, match=f"has {2 * lanes} words and the job's samples 1 chunks"):
        device.run(job, woven)
    device.load_model(np.zeros(lanes, dtype=np.int64))
    assert device.run(job, woven).beats
    device.close()


@pytest.mark.parametrize("name", DEVICES)
def test_words_that_are_no_model_are_refused(name: str) -> None:
    device = open_device(name, TASK.config)
    lanes, most = TASK.config.lanes, 1 << TASK.config.model_bits - 1
    for word in (most, -most - 1):
        with pytest.raises(ValueError, match="do not fit 24 bits; saturate them"):
            device.load_model(np.full(lanes, word))
    for shape in ((lanes + 1,), (1, lanes), (0,)):
        with pytest.raises(ValueError, match="not one row of whole chunks"):
            device.load_model(np.zeros(shape, dtype=np.int64))
    device.load_model(np.array([most - 1, -most] + (lanes - 2) * [0]))
    assert device.read_model(1)[:3].tolist() == [most - 1, -most, 0]
    device.close()
