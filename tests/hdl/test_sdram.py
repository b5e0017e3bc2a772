# amaranth: UnusedElaboratable=no
"""`hdl.memory.sdram` on a chip that notices every fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hdl.runner import SIMULATORS, simulate
from tests.hdl.sdram_cases import CASES


@pytest.mark.parametrize("case", range(len(CASES)))
def test_sdram(case: int, tmp_path: Path) -> None:
    controller = CASES[case].controller()
    simulate(controller, "bench_sdram", "4x2", SIMULATORS[-1], tmp_path, case=case)
