"""Bytes over two wires: a start bit, eight data bits from the lowest on, a stop bit."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import cdc, stream, wiring
from amaranth.lib.wiring import In, Out

FRAME_BITS = 10
PHASE_BITS = 24
MIN_CYCLES = 4
"""Fewest clock cycles of a bit: a 12 MHz clock carries 3 Mbaud."""

MAX_RATE_ERROR = 1e-3
"""Largest error of the rate that the phase's step may make."""


def phase_step(clock_hz: float, baud: int) -> int:
    """What a phase of `PHASE_BITS` bits moves in a cycle so that it wraps once a bit.

    Raises
    ------
    ValueError
        If the clock is too slow for the rate, or the rate too slow for the phase.
    """
    if not 0 < baud * MIN_CYCLES <= clock_hz:
        raise ValueError(
            f"{baud} baud cannot be made from a clock of {clock_hz:g} Hz; "
            f"use 1 to {clock_hz / MIN_CYCLES:.0f}"
        )
    exact = baud / clock_hz * (1 << PHASE_BITS)
    step = round(exact)
    if abs(step - exact) > MAX_RATE_ERROR * exact:
        raise ValueError(
            f"{baud} baud is too slow for a clock of {clock_hz:g} Hz; use 9600 or more"
        )
    return step


class UartReceiver(wiring.Component):
    """Bytes from a wire.

    A bit is sampled in its middle, found by a phase that starts with the start bit: any rate up to
    a bit in `MIN_CYCLES` cycles, whole or not. A byte whose stop bit is not there is dropped: the
    frame that it belonged to fails its CRC. A start bit that is gone by its middle is none.

    Back-pressure: none; what takes the bytes must always be ready (`hdl.link.receiver.Receiver`).

    Parameters
    ----------
    clock_hz : float
    baud : int
        Bits a second.

    Members
    -------
    rx : In(1)
        High while idle; any clock.
    o : Out(stream of 8)
        ``valid`` for one cycle; ``ready`` is not looked at.
    """

    rx: In(1, init=1)
    o: Out(stream.Signature(8))

    def __init__(self, clock_hz: float, baud: int) -> None:
        self._step = phase_step(clock_hz, baud)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        line = Signal(init=1)
        m.submodules.line = cdc.FFSynchronizer(self.rx, line, init=1)
        phase, middle = Signal(PHASE_BITS), Signal()
        bits, left = Signal(FRAME_BITS - 1), Signal(range(FRAME_BITS))
        later = phase + self._step
        m.d.comb += [middle.eq(later[PHASE_BITS]), self.o.payload.eq(bits[1:])]
        m.d.sync += [phase.eq(later), self.o.valid.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                # The edge was half a cycle ago, on average.
                m.d.sync += phase.eq((1 << PHASE_BITS - 1) + self._step // 2)
                m.d.sync += left.eq(FRAME_BITS - 1)
                with m.If(~line):
                    m.next = "BITS"
            with m.State("BITS"):
                with m.If(middle):
                    m.d.sync += [bits.eq(Cat(bits[1:], line)), left.eq(left - 1)]
                    with m.If((left == FRAME_BITS - 1) & line):
                        m.next = "IDLE"  # not a start bit
                    with m.If(left == 0):
                        m.d.sync += [bits.eq(bits), self.o.valid.eq(line)]
                        m.next = "IDLE"
                        with m.If(~line):
                            m.next = "BREAK"
            with m.State("BREAK"):
                with m.If(line):
                    m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Bytes to a wire, at full rate without a gap between them.

    A bit's edges are the clock's nearest: with a rate that does not divide the clock, bits differ
    by a cycle and bytes are exact.

    Parameters
    ----------
    clock_hz : float
    baud : int
        Bits a second.

    Members
    -------
    i : In(stream of 8)
    tx : Out(1)
        High while idle.
    """

    i: In(stream.Signature(8))
    tx: Out(1, init=1)

    def __init__(self, clock_hz: float, baud: int) -> None:
        self._step = phase_step(clock_hz, baud)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase, wraps = Signal(PHASE_BITS), Signal()
        bits, left = Signal(FRAME_BITS, init=-1), Signal(range(FRAME_BITS + 1))
        later = phase + self._step
        m.d.comb += [
            wraps.eq(later[PHASE_BITS]),
            self.i.ready.eq((left == 0) | (wraps & (left == 1))),
            self.tx.eq(bits[0]),
        ]
        with m.If(left != 0):
            m.d.sync += phase.eq(later)
        with m.If(wraps & (left != 0)):
            m.d.sync += [bits.eq(Cat(bits[1:], Const(1, 1))), left.eq(left - 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [bits.eq(Cat(Const(0, 1), self.i.payload, 1)), left.eq(FRAME_BITS)]
        return m


class Uart(wiring.Component):
    """`UartReceiver` and `UartTransmitter` of one rate.

    Members
    -------
    rx : In(1)
    tx : Out(1)
    i : In(stream of 8)
        Bytes to send.
    o : Out(stream of 8)
        Bytes that have come; they do not wait.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    i: In(stream.Signature(8))
    o: Out(stream.Signature(8))

    def __init__(self, clock_hz: float, baud: int) -> None:
        self._rate = (clock_hz, baud)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(*self._rate)
        m.submodules.transmitter = transmitter = UartTransmitter(*self._rate)
        wiring.connect(m, wiring.flipped(self.i), transmitter.i)
        wiring.connect(m, receiver.o, wiring.flipped(self.o))
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx)]
        return m
