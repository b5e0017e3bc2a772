"""Arty A7-35T of Digilent: a Xilinx Artix-7, whose bitstream takes the vendor's tools.

Its pins: `amaranth_boards.arty_a7`.
"""

from __future__ import annotations

from typing import Any

from zipsgd.hdl.contract.config import EngineConfig

from .description import BlockSamples, Board, Programmer


def _platform() -> Any:
    from amaranth_boards.arty_a7 import ArtyA7_35Platform

    return ArtyA7_35Platform()


ARTY_A7 = Board(
    name="arty-a7",
    title="Arty A7-35T with XC7A35T",
    family="xilinx",
    platform=_platform,
    # Its oscillator's own.
    clock_hz=100_000_000,
    engine=EngineConfig(lanes=16, banks=1),
    samples=BlockSamples(1 << 16),
    programmer=Programmer(
        name="arty_a7_35t", usb="0403:6010", product="Digilent USB Device", chip="xc7a35"
    ),
    note="a project for Vivado, which this project has not run",
)
