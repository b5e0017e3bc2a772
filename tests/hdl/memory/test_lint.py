"""Verilator's ``-Wall`` is silent over the Verilog of the sample store and its memories too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.lib import wiring

from tests.hdl.test_lint import lint
from zipsgd.hdl.lib.verilog import WAIVERS, to_verilog
from zipsgd.hdl.memory.block import BlockMemory
from zipsgd.hdl.memory.interface import MemorySignature
from zipsgd.hdl.memory.sdram.chip import W9825G6KH_6
from zipsgd.hdl.memory.sdram.controller import Sdram
from zipsgd.hdl.memory.store import SampleStore

PORT = MemorySignature(64, address_bits=16, longest=16)
COMPONENTS: dict[str, Callable[[], wiring.Component]] = {
    "store": lambda: SampleStore(PORT, 16, 8, depth=64),
    "block": lambda: BlockMemory(64, 100, 16),
    "sdram": lambda: Sdram(W9825G6KH_6, 133e6, longest=64),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_no_warnings(name: str, tmp_path: Path) -> None:
    assert lint(to_verilog(COMPONENTS[name](), "engine_top"), tmp_path, WAIVERS) == []
