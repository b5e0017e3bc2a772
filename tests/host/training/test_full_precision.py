"""The full-precision baseline: codes of 16 and 32 bits from the host through every device."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from tests.geometries import GEOMETRIES
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.host.codes.rounding import Rounding
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.devices.open import open_device
from zipsgd.host.devices.software import FastDevice, GoldenDevice
from zipsgd.host.errors import InputError
from zipsgd.host.options.engine_choice import engine_config
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import compare, prepare, train, train_float

DIABETES = read_dataset("sklearn:diabetes").select(np.arange(7))
"""Two chunks of four lanes with the intercept: what the test's engine has room for."""

OPTIONS = Options(epochs=4, copies=2, lanes=4, banks=2, max_bits=32)


@pytest.mark.parametrize(
    ("bits", "rounding"), [(16, "double"), (32, "double"), (32, "nearest"), (32, "single")]
)
def test_golden_fast_and_sim_agree(bits: int, rounding: Rounding) -> None:
    """Every model word after every epoch, on an engine with codes of up to 32 bits."""
    options = replace(OPTIONS, bits=bits, rounding=rounding)
    task = prepare(DIABETES, options)
    config = GEOMETRIES["32bit"]
    with closing(open_device("sim-engine", config)) as engine:
        *_, last = compare(task, [GoldenDevice(config), FastDevice(config), engine])
    assert last.counters.beats == task.copies[0].groups * (2 * bits + 8)
    assert last.words.any()


def test_it_is_full_precision() -> None:
    """32 bits end where textbook float64 SGD does, closer than 8 bits can, under any rounding."""
    options = replace(OPTIONS, batch=4, delay=1, sync=True, step=2.0**-4)

    def distance(bits: int, rounding: Rounding) -> float:
        task = prepare(DIABETES, replace(options, bits=bits, rounding=rounding))
        *_, exact = train_float(task)
        *_, last = train(task, open_device("fast", options.config))
        return abs(last.losses.train / exact.train - 1)

    for rounding in ("double", "nearest"):
        assert distance(32, rounding) < 1e-4
        assert distance(16, rounding) < 1e-4
    assert distance(8, "nearest") > 1e-4


def test_a_wider_engine_is_asked_for_and_has_a_deeper_replay_buffer() -> None:
    with pytest.raises(InputError, match="at most 8; --max-bits 16 builds another"):
        Options(bits=16)
    with pytest.raises(InputError, match="max_bits must be 2 to 32, not 33"):
        Options(max_bits=33)
    assert engine_config() == EngineConfig()
    depths = {bits: engine_config(max_bits=bits).replay_beats for bits in (4, 8, 9, 16, 24, 32)}
    assert depths == {4: 2048, 8: 2048, 9: 4096, 16: 4096, 24: 8192, 32: 8192}
