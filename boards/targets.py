"""FPGAs for which an engine can be placed and routed without a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hdl.config import EngineConfig
from hdl.engines import ENGINES


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
    clock_pin : str, optional
        Where the clock comes in, beside the clock network; the placer's choice unless given.
    """

    family: Literal["ecp5", "ice40"]
    device: tuple[str, ...]
    clock_mhz: float
    engine: EngineConfig
    clock_pin: str | None = None


ECP5_PACKAGE, ECP5_CLOCK_PIN = ("--package", "CABGA381", "--speed", "6"), "G2"
TARGETS = {
    "ecp5-85k": Target(
        family="ecp5",
        device=("--85k", *ECP5_PACKAGE),
        clock_mhz=165,
        engine=EngineConfig(),
        clock_pin=ECP5_CLOCK_PIN,
    ),
    "ecp5-25k": Target(
        family="ecp5",
        device=("--25k", *ECP5_PACKAGE),
        clock_mhz=150,
        engine=EngineConfig(lanes=8, banks=4),
        clock_pin=ECP5_CLOCK_PIN,
    ),
    "ice40-up5k": Target(
        family="ice40",
        device=("--up5k", "--package", "sg48"),
        clock_mhz=32,
        engine=ENGINES["small"],
    ),
}
