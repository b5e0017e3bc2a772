# amaranth: UnusedElaboratable=no
from __future__ import annotations

from pathlib import Path

import pytest

from hdl.relay import Relay
from tests.hdl.bench_relay import WIDTH
from tests.hdl.runner import SIMULATORS, simulate


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_relay(simulator: str, tmp_path: Path) -> None:
    simulate(Relay(WIDTH), "bench_relay", "4x2", simulator, tmp_path)
