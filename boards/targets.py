"""FPGAs for which an engine can be placed and routed without a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.presets import ENGINES

Family = Literal["ecp5", "ice40", "gowin"]
"""FPGAs that open tools place and route."""


@dataclass(frozen=True, kw_only=True)
class FpgaPart:
    """An FPGA, and the clock rate that is wanted of it.

    Parameters
    ----------
    family : str
        One of `Family`.
    device : tuple of str
        What its place and route calls it, with package and speed grade.
    clock_mhz : float
        What place and route aims at.
    packer : tuple of str
        What the packer of its bitstream calls it, if that must be told.
    """

    family: Family
    device: tuple[str, ...]
    clock_mhz: float
    packer: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Target(FpgaPart):
    """An FPGA without a board, and the engine that suits it.

    Parameters
    ----------
    engine : EngineConfig
        Geometry that is reported unless another is named.
    clock_pin : str, optional
        Where the clock comes in, beside the clock network; the placer's choice unless given.
    """

    engine: EngineConfig
    clock_pin: str | None = None

    @property
    def constraints(self) -> str:
        """Where its pins are; `boards.bare.Bare` calls its clock ``clk``."""
        return f'LOCATE COMP "clk" SITE "{self.clock_pin}";\n' if self.clock_pin else ""


ECP5_PACKAGE, ECP5_CLOCK_PIN = ("--package", "CABGA381", "--speed", "6"), "G2"
TARGETS = {
    "ecp5-85k": Target(
        family="ecp5",
        device=("--85k", *ECP5_PACKAGE),
        clock_mhz=161,
        engine=ENGINES["rapid"],
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
