# amaranth: UnusedElaboratable=no
from __future__ import annotations

from pathlib import Path

import pytest

from tests.hdl.lib.bench_skid_buffer import WIDTH
from tests.hdl.runner import SIMULATORS, simulate
from zipsgd.hdl.lib.skid_buffer import SkidBuffer


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_skid_buffer(simulator: str, tmp_path: Path) -> None:
    simulate(SkidBuffer(WIDTH), "hdl.lib.bench_skid_buffer", "4x2", simulator, tmp_path)
