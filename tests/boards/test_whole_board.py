# amaranth: UnusedElaboratable=no
"""A board's top, from its pins to its pins, against the golden model."""

from __future__ import annotations

from pathlib import Path

import pytest

from boards.board import check_capture
from boards.flows import TOP
from boards.ulx3s import SDRAM
from hdl.verilog import to_verilog
from tests.boards.pinned import PinnedBoard, simulated
from tests.geometries import GEOMETRIES
from tests.hdl.runner import simulate

GEOMETRY = "16x1"


def test_a_training_through_the_pins(tmp_path: Path) -> None:
    board = PinnedBoard(simulated(GEOMETRIES[GEOMETRY]))
    verilog = to_verilog(board, TOP, reset=False)
    simulate(board, "boards.bench_board", GEOMETRY, "verilator", tmp_path, netlist=verilog)


@pytest.mark.parametrize("clock_hz", [70e6, 120e6])
def test_words_of_an_sdram_must_come_in_time(clock_hz: float) -> None:
    check_capture(SDRAM.chip, 100e6)
    with pytest.raises(ValueError, match="too early or too late; take one between 77 and 115 MHz"):
        check_capture(SDRAM.chip, clock_hz)
