"""Every device refuses a data set that was not woven for its job."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from host.bench import synthetic
from host.devices import DEVICES, open_device
from host.options import Options
from host.training import prepare

TASK = prepare(synthetic(40, 3), Options(epochs=1, step=0.01))

OTHERWISE: list[dict[str, Any]] = [
    {"bits": 5},
    {"chunks": 2},
    {"groups": 9},
    {"unsigned": True},
    {"weighted": True},
    {"offset": True},
]


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
