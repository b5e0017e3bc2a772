# amaranth: UnusedElaboratable=no
"""`hdl.memory.sdram.controller` on a chip that notices every fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hdl.memory.sdram.cases import CASES, SdramReader
from tests.hdl.runner import SIMULATORS, simulate


@pytest.mark.parametrize("simulator", SIMULATORS[-1:])
@pytest.mark.parametrize("case", [0, 2, 3])
def test_sdram(case: int, simulator: str, tmp_path: Path) -> None:
    """The slow chip, then real ones with long and with short bursts."""
    controller = CASES[case].controller()
    simulate(controller, "hdl.memory.sdram.bench_sdram", "4x2", simulator, tmp_path, case=case)


def test_reader_on_sdram(tmp_path: Path) -> None:
    """Training from SDRAM needs 85 % of its peak rate (the first of the real chips)."""
    width = CASES[1].chip.dq_bits * CASES[1].burst
    reader = SdramReader(CASES[1], beat_bits=width, depth=256)
    simulate(reader, "hdl.memory.sdram.bench_sdram_reader", "4x2", SIMULATORS[-1], tmp_path, case=1)
