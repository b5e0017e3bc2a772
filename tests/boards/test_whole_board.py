# amaranth: UnusedElaboratable=no
"""A board's top, from its pins to its pins, against the golden model."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boards.pinned import SIMULATED, PinnedBoard
from tests.hdl.runner import simulate
from zipsgd.boards.description import check_capture
from zipsgd.boards.flows import TOP
from zipsgd.boards.ulx3s import SDRAM
from zipsgd.hdl.lib.verilog import to_verilog

ANY = "4x2"
"""The bench has the board's own geometry."""


def test_a_training_through_the_pins(tmp_path: Path) -> None:
    board = PinnedBoard(SIMULATED)
    verilog = to_verilog(board, TOP, reset=False)
    simulate(board, "boards.bench_board", ANY, "verilator", tmp_path, netlist=verilog)


@pytest.mark.parametrize("clock_hz", [70e6, 120e6])
def test_words_of_an_sdram_must_come_in_time(clock_hz: float) -> None:
    check_capture(SDRAM.chip, 100e6)
    with pytest.raises(ValueError, match="too early or too late; take one between 77 and 115 MHz"):
        check_capture(SDRAM.chip, clock_hz)
