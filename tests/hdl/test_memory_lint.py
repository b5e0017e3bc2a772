"""Verilator's ``-Wall`` is silent over the Verilog of the sample store and its memories too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.lib import wiring

from hdl.memory.block import BlockMemory
from hdl.memory.interface import MemorySignature
from hdl.memory.sdram import Sdram
from hdl.memory.sdram_chip import W9825G6KH_6
from hdl.memory.spram import SpramMemory
from hdl.memory.store import SampleStore
from hdl.verilog import WAIVERS, to_verilog
from tests.hdl.test_lint import lint

BLOCKS = """
module SB_SPRAM256KA(
  input [13:0] ADDRESS, input [15:0] DATAIN, input [3:0] MASKWREN,
  input WREN, CHIPSELECT, CLOCK, STANDBY, SLEEP, POWEROFF, output [15:0] DATAOUT);
  assign DATAOUT = 0;
endmodule
"""
"""Ports alone."""
PORT = MemorySignature(64, address_bits=16, longest=16)
COMPONENTS: dict[str, Callable[[], wiring.Component]] = {
    "store": lambda: SampleStore(PORT, 16, 8, depth=64),
    "block": lambda: BlockMemory(64, 100, 16),
    "spram, 8 bits": lambda: SpramMemory(8, longest=16),
    "spram, 64 bits": lambda: SpramMemory(64, longest=16),
    "sdram": lambda: Sdram(W9825G6KH_6, 133e6, longest=64),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_no_warnings(name: str, tmp_path: Path) -> None:
    text = to_verilog(COMPONENTS[name](), "engine_top") + BLOCKS * name.startswith("spram")
    assert lint(text, tmp_path, WAIVERS) == []
