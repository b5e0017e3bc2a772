"""Components as Verilog."""

from __future__ import annotations

from pathlib import Path

from amaranth.back import verilog
from amaranth.lib import wiring

WAIVERS = Path(__file__).with_name("lint.vlt")
"""What Verilator's ``-Wall`` need not say of the text, each with its reason."""


def to_verilog(component: wiring.Component, name: str) -> str:
    """``component`` as a Verilog module ``name``: the same text in every run.

    Source locations are left out, so the text does not depend on where the project lies.
    """
    text: str = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    return text
