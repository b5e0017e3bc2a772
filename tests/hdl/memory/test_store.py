# amaranth: UnusedElaboratable=no
"""`hdl.memory.store`: reader and writer on one memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.hdl.runner import SIMULATORS, simulate
from zipsgd.hdl.memory.interface import MemorySignature
from zipsgd.hdl.memory.store import SampleStore


@pytest.mark.parametrize("simulator", SIMULATORS[-1:])
@pytest.mark.parametrize(("width", "word_bits"), [(64, 8), (16, 16)])
def test_store(width: int, word_bits: int, simulator: str, tmp_path: Path) -> None:
    memory: dict[str, Any] = {"address_bits": 6, "longest": 8}
    store = SampleStore(MemorySignature(width, **memory), width, word_bits, depth=32)
    parameters: dict[str, Any] = {"width": width, "word_bits": word_bits, **memory}
    simulate(store, "hdl.memory.bench_store", "4x2", simulator, tmp_path, **parameters)
