"""FPGAs for which an engine can be placed and routed without a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hdl.config import EngineConfig


@dataclass(frozen=True, kw_only=True)
class Target:
    """An FPGA and the engine that suits it.

    Parameters
    ----------
    family : {"ecp5", "ice40"}
    device : str
        What its place and route calls it, with package and speed grade.
    clock_mhz : float
        What place and route aims at.
    engine : EngineConfig
        Geometry that is reported unless another is named.
    """

    family: Literal["ecp5", "ice40"]
    device: tuple[str, ...]
    clock_mhz: float
    engine: EngineConfig


SMALL = EngineConfig(
    lanes=8,
    banks=1,
    max_bits=4,
    max_chunks=32,
    max_delay=2,
    replay_beats=512,
    model_bits=16,
    model_frac=10,
    error_bits=18,
    error_frac=14,
    coefficient_bits=10,
    coefficient_frac=14,
    mantissa_bits=8,
    random_bits=8,
)
"""Fits an iCE40-UP5K."""

ECP5_PACKAGE = ("--package", "CABGA381", "--speed", "6")
TARGETS = {
    "ecp5-85k": Target(
        family="ecp5", device=("--85k", *ECP5_PACKAGE), clock_mhz=165, engine=EngineConfig()
    ),
    "ecp5-25k": Target(
        family="ecp5",
        device=("--25k", *ECP5_PACKAGE),
        clock_mhz=150,
        engine=EngineConfig(lanes=8, banks=4),
    ),
    "ice40-up5k": Target(
        family="ice40", device=("--up5k", "--package", "sg48"), clock_mhz=32, engine=SMALL
    ),
}
