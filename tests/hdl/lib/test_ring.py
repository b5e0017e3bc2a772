# amaranth: UnusedElaboratable=no
"""`hdl.lib.ring` against a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.geometries import GEOMETRIES
from tests.hdl.runner import over, simulate
from zipsgd.hdl.contract.protocol import group_layout
from zipsgd.hdl.lib.ring import Ring


@over(("4x2", "32x8", "small"))
def test_replay_buffer(geometry: str, simulator: str, tmp_path: Path) -> None:
    config = GEOMETRIES[geometry]
    ring = Ring(config.beat_bits, 8, config.read_latency)
    simulate(
        ring, "hdl.lib.bench_ring", geometry, simulator, tmp_path, width=config.beat_bits, depth=8
    )


@over(("4x2", "narrow"))
def test_error_queue(geometry: str, simulator: str, tmp_path: Path) -> None:
    config = GEOMETRIES[geometry]
    shape, depth = group_layout(config), config.error_slots
    ring = Ring(shape, depth, config.read_latency)
    simulate(
        ring, "hdl.lib.bench_ring", geometry, simulator, tmp_path, width=shape.size, depth=depth
    )


def test_depth_is_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="depth must be a power of two, not 12"):
        Ring(8, 12, 2)
