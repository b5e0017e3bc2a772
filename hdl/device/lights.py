"""What a device shows to whoever stands before it."""

from __future__ import annotations

from enum import IntEnum

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

TICK_S = 0.05
"""Lights change this often: what happened in between can be seen."""

BLINK_TICKS = 10


class Light(IntEnum):
    """Lights in the order in which a board with few of them has them.

    Members
    -------
    ALIVE
        Blinks twice a second: the bitstream runs, and its clock is right.
    LINK
        Bytes come.
    BUSY
        A job is under way.
    FAULT
        The engine has refused the last job; the host says why.
    """

    ALIVE = 0
    LINK = 1
    BUSY = 2
    FAULT = 3


class Lights(wiring.Component):
    """Makes what happens in a device visible.

    Latency: to the next tick, every `TICK_S`. Nothing waits for it.

    Parameters
    ----------
    clock_hz : float

    Members
    -------
    byte, busy, fault : In(1)
        A byte has come; a job is under way; the last one was refused.
    o : Out(4)
        Bit `Light.X` is set while light X is on.
    """

    def __init__(self, clock_hz: float) -> None:
        self._tick_cycles = max(2, round(TICK_S * clock_hz))
        super().__init__({"byte": In(1), "busy": In(1), "fault": In(1), "o": Out(len(Light))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cycles, tick = Signal(range(self._tick_cycles)), Signal()
        ticks, alive = Signal(range(BLINK_TICKS // 2)), Signal()
        happens, happened = Cat(self.byte, self.busy, self.fault), Signal(3)
        m.d.sync += [
            tick.eq(cycles == self._tick_cycles - 2),
            cycles.eq(cycles + 1),
            happened.eq(happened | happens),
        ]
        with m.If(tick):
            m.d.sync += [
                cycles.eq(0),
                ticks.eq(ticks + 1),
                self.o.eq(Cat(alive, happened)),
                happened.eq(happens),
            ]
            with m.If(ticks == BLINK_TICKS // 2 - 1):
                m.d.sync += [ticks.eq(0), alive.eq(~alive)]
        return m
