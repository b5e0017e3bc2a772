# amaranth: UnusedElaboratable=no
"""`hdl.memory.spram` against a dictionary, on a model of the block."""

from __future__ import annotations

from pathlib import Path

import pytest

from hdl.memory.spram import SpramMemory
from hdl.verilog import to_verilog
from tests.hdl.runner import SIMULATORS, simulate
from tests.hdl.spram_model import SPRAM
from tests.hdl.test_block import LATENCY


@pytest.mark.parametrize("width", [16, 64])
def test_spram(width: int, tmp_path: Path) -> None:
    memory = SpramMemory(width, longest=16)
    simulate(
        memory,
        "bench_block",
        "4x2",
        SIMULATORS[-1],
        tmp_path,
        netlist=to_verilog(memory, "top") + SPRAM,
        width=width,
        depth=1 << memory.port.signature.address_bits,
        longest=16,
        latency=LATENCY,
    )


def test_width_is_checked() -> None:
    with pytest.raises(ValueError, match=r"width must be one of \(16, 32, 64\), not 8"):
        SpramMemory(8, longest=16)
