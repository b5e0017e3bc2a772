# amaranth: UnusedElaboratable=no
"""`hdl.link.uart` on the wire."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hdl.runner import SIMULATORS, simulate
from zipsgd.hdl.link.uart import Uart, phase_step


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(("clock_hz", "baud"), [(12_000_000, 3_000_000), (1_000_000, 115_200)])
def test_uart(clock_hz: int, baud: int, simulator: str, tmp_path: Path) -> None:
    uart = Uart(clock_hz, baud)
    simulate(uart, "hdl.link.bench_uart", "4x2", simulator, tmp_path, clock_hz=clock_hz, baud=baud)


def test_rates_that_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="3000000 baud cannot be made from a clock of 1e"):
        phase_step(10e6, 3_000_000)
    with pytest.raises(ValueError, match="110 baud is too slow for a clock of 1e"):
        phase_step(100e6, 110)
