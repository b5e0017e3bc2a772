from __future__ import annotations

from typing import Any

import pytest

from zipsgd.host.errors import InputError
from zipsgd.host.options.options import Options


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"bits": 1}, "--bits is 1; it must be 2 or more"),
        ({"bits": 9}, "--bits is 9; this engine takes at most 8"),
        ({"epochs": 0}, "--epochs is 0"),
        ({"batch": 0}, "--batch is 0"),
        ({"batch": 6}, "multiple of the 4 banks"),
        ({"delay": 0}, "--delay is 0"),
        ({"delay": 9}, "--delay is 9; this engine takes at most 8"),
        ({"copies": 0}, "--copies is 0"),
        ({"step": 0.0}, "--step is 0"),
        ({"step": -1.0}, "--step is -1"),
        ({"step": float("nan")}, "--step is nan"),
        ({"step": float("inf")}, "--step is inf"),
        ({"seed": -1}, "--seed is -1"),
        ({"holdout": 0.0}, "--holdout is 0"),
        ({"holdout": 1.0}, "--holdout is 1"),
        ({"holdout": float("nan")}, "--holdout is nan"),
        ({"lanes": 3}, "lanes must be a power of two"),
        ({"banks": 0}, "banks must be a power of two"),
        ({"lanes": 2, "banks": 1}, "whole number of bytes"),
    ],
)
def test_what_is_out_of_range_is_named(values: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Options(**values)


def test_groups_of_a_mini_batch_and_what_is_stale() -> None:
    assert (Options(delay=1).batch_groups, Options(delay=1).samples_in_flight) == (1, 8)
    options = Options(batch=32, banks=8, delay=3)
    assert (options.batch_groups, options.samples_in_flight) == (4, 56)
    assert Options(batch=32, banks=8, delay=3, sync=True).samples_in_flight == 32


def test_a_mini_batch_ends_with_its_epoch() -> None:
    options = Options(batch=32, banks=8, delay=3)
    assert [options.stale_in(samples) for samples in (1, 55, 56, 57)] == [1, 55, 56, 56]
    assert [options.batch_groups_in(groups) for groups in (1, 4, 5)] == [1, 4, 4]


def test_geometry_reaches_the_engine() -> None:
    config = Options(lanes=32, banks=2).config
    assert (config.lanes, config.banks) == (32, 2)
