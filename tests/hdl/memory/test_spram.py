# amaranth: UnusedElaboratable=no
"""`hdl.memory.spram` against a dictionary, on a model of the block."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hdl.memory.spram_model import SPRAM
from tests.hdl.runner import SIMULATORS, simulate
from zipsgd.hdl.lib.verilog import to_verilog
from zipsgd.hdl.memory.spram import BLOCK_ADDRESS_BITS, SpramMemory

QUIET = "/* verilator lint_off ASCRANGE */ /* verilator lint_off WIDTHTRUNC */"
"""An empty signal, where a word has no parts, and a shift that chooses one: sound, and other gates
would not find the places in an iCEBreaker that these have."""
LATENCY = 3
"""From a request to its first word, as the docstring promises."""


@pytest.mark.parametrize("simulator", SIMULATORS[-1:])
@pytest.mark.parametrize("width", [8, 16, 64])
def test_spram(width: int, simulator: str, tmp_path: Path) -> None:
    memory = SpramMemory(width, longest=16)
    simulate(
        memory,
        "hdl.memory.bench_block",
        "4x2",
        simulator,
        tmp_path,
        netlist=QUIET + to_verilog(memory, "top") + SPRAM,
        width=width,
        depth=1 << memory.port.signature.address_bits,
        longest=16,
        latency=LATENCY,
        first=(max(1, 16 // width) << BLOCK_ADDRESS_BITS) - 64
        if width < 64
        else 0,  # over the end of a block
    )


def test_width_is_checked() -> None:
    with pytest.raises(ValueError, match=r"width must be one of \(8, 16, 32, 64\), not 24"):
        SpramMemory(24, longest=16)
