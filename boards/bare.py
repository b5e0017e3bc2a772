"""An engine by itself, for its area and clock rate: every port behind a register, three pins."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

XOR_INPUTS = 4


class Bare(wiring.Component):
    """Feeds a component's inputs from a shift register and folds its outputs into one bit.

    What the component does is kept, and no path of it ends at a pin. A bit of the shift register is
    its neighbour's exclusive or with itself, so that no register of the component looks like one
    of them.

    Registers start from the configuration and have no reset, as on a board, where it is the FPGA's
    own (on ECP5, the net that Amaranth's platforms use).

    Members
    -------
    clk : In(1)
    i : In(1)
        Shifted through all inputs.
    o : Out(1)
        Parity of all outputs, some cycles later.
    """

    def __init__(self, component: wiring.Component) -> None:
        self._component = component
        super().__init__({"clk": In(1), "i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = ClockDomain(reset_less=True)
        m.d.comb += ClockSignal().eq(self.clk)
        m.submodules.inner = component = self._component
        last: Value = self.i
        outputs = []
        for _, member, port in component.signature.flatten(component):
            value = Value.cast(port)
            register = Signal(len(value))
            if member.flow == In:
                m.d.sync += register.eq(Cat(last, register)[: len(register)] ^ register)
                m.d.comb += value.eq(register)
                last = register[-1]
            else:
                m.d.sync += register.eq(value)
                outputs += list(register)
        while len(outputs) > 1:
            folded = Signal(-(-len(outputs) // XOR_INPUTS))
            m.d.sync += folded.eq(
                Cat(
                    Cat(outputs[at : at + XOR_INPUTS]).xor()
                    for at in range(0, len(outputs), XOR_INPUTS)
                )
            )
            outputs = list(folded)
        m.d.comb += self.o.eq(outputs[0])
        return m
