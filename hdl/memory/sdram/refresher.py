"""What keeps an SDRAM alive: its start and its refreshes."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .chip import POSTPONED, SdramTiming
from .pins import SdramCommand

START_REFRESHES = 8
"""More than most data sheets ask for (2); some ask for 8."""


class Refresher(wiring.Component):
    """Starts the chip, and refreshes it when nothing is asked of it, or when it must be.

    After power-up all banks are precharged and refreshed `START_REFRESHES` times, and the mode is
    set. Then a refresh is owed every ``timing.interval`` cycles. It is made up for as soon as the
    controller is ``idle``, so under light load it costs nothing; from `POSTPONED` on the controller
    is held, and all are made up for at once.

    Members
    -------
    ready : Out(1)
        The chip has been started.
    hold : Out(1)
        Tell the chip nothing, and start nothing; what has been started is finished. Falls with the
        last command: the banks know what it must be followed by.
    quiet : In(1)
        Nothing that has been started is left.
    idle : In(1)
        Quiet, and nothing is asked for.
    can_precharge, can_activate : In(1)
        All banks can be.
    command : Out(Command)
        `SdramCommand.PRECHARGE` is of all banks.
    """

    def __init__(self, timing: SdramTiming) -> None:
        self._timing = timing
        super().__init__(
            {
                "ready": Out(1),
                "hold": Out(1, init=1),
                "quiet": In(1),
                "idle": In(1),
                "can_precharge": In(1),
                "can_activate": In(1),
                "command": Out(SdramCommand),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        owed = Signal(range(START_REFRESHES + 1), init=START_REFRESHES)
        due, paid = Signal(), Signal()
        m.d.sync += owed.eq(owed + due - paid)
        self._count_intervals(m, due)

        with m.FSM():
            with m.State("POWER-UP"):
                left = Signal(range(self._timing.power_up), init=self._timing.power_up - 1)
                m.d.sync += left.eq(left - 1)
                with m.If(left == 0):
                    m.next = "PRECHARGE"
            with m.State("RUN"):
                with m.If(self.hold):
                    with m.If(self.quiet):
                        m.next = "PRECHARGE"
                with m.Elif(owed >= POSTPONED):
                    m.d.sync += self.hold.eq(1)
                with m.Elif((owed != 0) & self.idle):
                    m.d.sync += self.hold.eq(1)
            with m.State("PRECHARGE"):
                with m.If(self.can_precharge):
                    m.d.comb += self.command.eq(SdramCommand.PRECHARGE)
                    m.next = "REFRESH"
            with m.State("REFRESH"):
                with m.If(self.can_activate):
                    with m.If(owed != 0):
                        m.d.comb += [self.command.eq(SdramCommand.REFRESH), paid.eq(1)]
                    with m.Else():
                        m.d.comb += self.command.eq(SdramCommand.MODE)
                        m.d.sync += self.ready.eq(1)
                    with m.If((owed == 0) | ((owed == 1) & self.ready)):
                        m.d.sync += self.hold.eq(0)
                        m.next = "RUN"
        return m

    def _count_intervals(self, m: Module, due: Signal) -> None:
        left = Signal(range(self._timing.interval), init=self._timing.interval - 1)
        m.d.sync += [left.eq(left - 1), due.eq(0)]
        with m.If(left == 0):
            m.d.sync += [left.eq(self._timing.interval - 1), due.eq(self.ready)]
