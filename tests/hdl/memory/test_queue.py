# amaranth: UnusedElaboratable=no
"""`hdl.memory.queue` against a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hdl.runner import SIMULATORS, simulate
from zipsgd.hdl.memory.queue import Queue


@pytest.mark.parametrize("simulator", SIMULATORS[-1:])
@pytest.mark.parametrize(("depth", "read_latency"), [(8, 2), (32, 2), (16, 1)])
def test_queue(depth: int, read_latency: int, simulator: str, tmp_path: Path) -> None:
    queue = Queue(16, depth, read_latency)
    simulate(
        queue,
        "hdl.memory.bench_queue",
        "4x2",
        simulator,
        tmp_path,
        width=16,
        depth=depth,
        read_latency=read_latency,
    )


def test_depth_is_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="depth must be a power of two from 8 up, not 4"):
        Queue(16, 4)
