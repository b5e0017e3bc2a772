# amaranth: UnusedElaboratable=no
"""`hdl.memory.block` against a dictionary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.hdl.runner import SIMULATORS, simulate
from zipsgd.hdl.memory.block import BlockMemory

LATENCY = 5
"""From a request to its first word, as the docstring promises."""


@pytest.mark.parametrize("simulator", SIMULATORS[-1:])
@pytest.mark.parametrize(("width", "depth", "longest"), [(16, 100, 8), (40, 64, 5)])
def test_block_memory(width: int, depth: int, longest: int, simulator: str, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"width": width, "depth": depth, "longest": longest}
    memory = BlockMemory(**sizes)
    simulate(memory, "hdl.memory.bench_block", "4x2", simulator, tmp_path, **sizes, latency=LATENCY)


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="depth must be 2 or more, not 1"):
        BlockMemory(8, 1, 1)
    with pytest.raises(ValueError, match="longest must be 1 or more, not 0"):
        BlockMemory(8, 16, 0)
