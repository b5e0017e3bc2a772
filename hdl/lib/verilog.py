"""Components as Verilog."""

from __future__ import annotations

from pathlib import Path

from amaranth.back import verilog
from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

WAIVERS = Path(__file__).with_name("lint.vlt")
"""What Verilator's ``-Wall`` need not say of the text, each with its reason."""


def to_verilog(component: wiring.Component, name: str, *, reset: bool = True) -> str:
    """``component`` as a Verilog module ``name``: the same text in every run.

    Source locations are left out, so the text does not depend on where the project lies. Without a
    ``reset`` the module has no such input, and registers have only their initial values. That is
    for simulators: every register's next value depends on that input, so they compute all of them
    once more for every change of any input.
    """
    if not reset:
        component = _Unreset(component)
    text: str = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    return text


class _Unreset(wiring.Component):
    """A component on a clock of its own, ``clk``, that has no reset."""

    def __init__(self, component: wiring.Component) -> None:
        self._component = component
        super().__init__({"clk": In(1), **component.signature.members})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = sync = ClockDomain("sync", reset_less=True)
        m.submodules.component = self._component
        m.d.comb += sync.clk.eq(self.clk)
        for name, member in self._component.signature.members.items():
            outside, inside = getattr(self, name), getattr(self._component, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(outside), inside)
            elif member.flow == In:
                m.d.comb += inside.eq(outside)
            else:
                m.d.comb += outside.eq(inside)
        return m
