"""From a memory of samples to the engine's beats."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..lib.gearbox import Gearbox
from .interface import READ_LATENCY, MemorySignature
from .plan import plan_layout
from .queue import Queue


class SampleReader(wiring.Component):
    """Streams the copies of a data set, one an epoch, ahead of the engine::

        job -> [requests] -> port.requests
                   ^ room
        port.reads -> [Queue] -> [Gearbox] -> beats

    Requests are made as soon as the queue has room for all that they bring, so the memory works
    ahead over the ends of copies and epochs, as far as the queue is deep. If a request's first word
    comes up to ``depth - 2 * burst - 8`` words' time after it was made, the memory never rests for
    want of room while the engine takes what there is, and the engine never waits for a memory that
    is as fast as it.

    Latency: from a job to its first request 4 cycles, from a memory's word to its beat that of
    `Queue`, one more if their widths differ. Throughput: of the memory or of the engine, whichever
    is lower. Back-pressure: of ``beats``. Overflow: none, and a plan with a count of zero is over
    at once; that a plan fits the memory is the host's to check (`SamplePlan.check`).

    Parameters
    ----------
    port : MemorySignature
        Of the memory; its requests are as long as a burst.
    beat_bits : int
        Width of a beat: a power of two times that of a memory word, or part of it.
    depth : int
        Memory words that are read ahead; a power of two, at least two bursts.
    read_latency : int
        Of the queue's memory.

    Members
    -------
    job : In(stream of plan_layout)
        Taken when idle: ``job.ready`` says that the last one is done. Until then the payload must
        stay what it was when it was taken.
    port : Out(MemorySignature)
    beats : Out(stream of beat_bits)
    stop : In(1)
        End the job: no beat is valid from the next cycle on, words on their way are waited for and
        dropped. When ``job.ready``, nothing of the job is left.
    """

    def __init__(
        self,
        port: MemorySignature,
        beat_bits: int,
        depth: int,
        read_latency: int = READ_LATENCY,
    ) -> None:
        if depth < 2 * port.longest:
            raise ValueError(
                f"depth must be at least two bursts of {port.longest} words, not {depth}"
            )
        self._signature, self._beat_bits, self._depth = port, beat_bits, depth
        self._read_latency = read_latency
        narrow, wide = sorted((beat_bits, port.width))
        self._shift = (wide // narrow).bit_length() - 1
        if narrow << self._shift != wide:
            raise ValueError(
                f"beats of {beat_bits} bits do not fit memory words of {port.width} bits: one must "
                "be a power of two times the other"
            )
        beats_a_word = port.width // beat_bits or 1
        super().__init__(
            {
                "job": In(stream.Signature(plan_layout(port.address_bits, beats_a_word))),
                "port": Out(port),
                "beats": Out(stream.Signature(beat_bits)),
                "stop": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self._signature.width
        m.submodules.queue = queue = Queue(width, self._depth, self._read_latency)
        m.submodules.gearbox = gearbox = Gearbox(width, self._beat_bits)
        wiring.connect(m, queue.o, gearbox.i)

        start, clear, empty, ends = Signal(), Signal(), Signal(), Signal()
        m.d.sync += ends.eq(self.stop | (ends & ~self.job.ready))
        m.d.comb += [
            start.eq(self.job.valid & self.job.ready),
            queue.i.payload.eq(self.port.reads.payload),
            queue.i.valid.eq(self.port.reads.valid & ~ends),
            self.beats.payload.eq(gearbox.o.payload),
            self.beats.valid.eq(gearbox.o.valid & ~ends),
            gearbox.o.ready.eq(self.beats.ready & ~ends),
            queue.clear.eq(clear),
            gearbox.clear.eq(clear),
        ]
        room, coming = Signal(range(self._depth + 1)), Signal(range(self._depth + 1))
        asked = Signal(range(self._signature.longest + 1))
        m.d.sync += [
            room.eq(room + queue.taken - asked),
            coming.eq(coming - self.port.reads.valid + asked),
            empty.eq((coming == 0) & ((room == self._depth) & ~gearbox.o.valid | ends)),
        ]
        with m.If(start):
            m.d.sync += room.eq(self._depth)

        self._ask(m, start, ends, room, empty, asked, clear)
        self._cut_copies(m, start, gearbox)
        return m

    def _ask(
        self,
        m: Module,
        start: Signal,
        ends: Signal,
        room: Signal,
        empty: Signal,
        asked: Signal,
        clear: Signal,
    ) -> None:
        """The requests of a job; ``asked`` is the length of one that was taken a cycle ago."""
        request, longest = self.port.requests.payload, self._signature.longest
        plan = self.job.payload
        copy_words = self._words(m, plan.beats)
        left = Signal.like(copy_words)
        copy, epoch = Signal.like(plan.copies), Signal.like(plan.epochs)  # counted from 1
        address = request.address
        last, fits, void, nothing = Signal(), Signal(), Signal(), Signal(3)
        m.d.sync += [
            fits.eq(room >= longest),
            nothing.eq(Cat(plan.beats == 0, plan.copies == 0, plan.epochs == 0)),
            void.eq(nothing.any()),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.job.ready.eq(1)
                with m.If(start):
                    m.next = "MEASURE"
            with m.State("MEASURE"):
                m.d.sync += epoch.eq(1)
                m.next = "REWIND"
            with m.State("REWIND"):
                m.d.sync += [
                    address.eq(plan.base),
                    copy.eq(1),
                    left.eq(copy_words),
                ]
                m.next = "CHOOSE"
                with m.If(void):
                    m.next = "FINISH"
            with m.State("CHOOSE"):
                m.d.sync += [
                    request.length.eq(Mux(left > longest, longest, left)),
                    last.eq(left <= longest),
                ]
                m.next = "ASK"
                with m.If(ends):
                    m.next = "FINISH"
            with m.State("ASK"):
                # Once valid it stays so: room only grows, and a stop waits for it to be taken.
                m.d.comb += self.port.requests.valid.eq(fits)
                with m.If(fits & self.port.requests.ready):
                    m.d.sync += asked.eq(request.length)
                    m.next = "STEP"
                with m.Elif(~fits & ends):
                    m.next = "FINISH"
            with m.State("STEP"):
                m.d.sync += [
                    asked.eq(0),
                    address.eq(address + request.length),
                    left.eq(left - request.length),
                ]
                m.next = "CHOOSE"
                with m.If(last):
                    m.d.sync += [
                        left.eq(copy_words),
                        copy.eq(copy + 1),
                        epoch.eq(epoch + 1),
                    ]
                    with m.If(copy == plan.copies):
                        m.next = "REWIND"
                    with m.If(epoch == plan.epochs):
                        m.next = "FINISH"
            with m.State("FINISH"):
                m.next = "SETTLE"
            with m.State("SETTLE"):
                with m.If(empty):
                    m.next = "CLEAR"
            with m.State("CLEAR"):
                m.d.comb += clear.eq(1)
                m.next = "IDLE"
        m.d.comb += request.write.eq(0)

    def _words(self, m: Module, beats: Value) -> Value:
        """Memory words of a copy of ``beats`` beats, a cycle later if it takes a sum."""
        if self._beat_bits > self._signature.width:
            return beats << self._shift
        if self._beat_bits == self._signature.width:
            return beats
        words = Signal(len(beats) - self._shift)
        m.d.sync += words.eq((beats + (1 << self._shift) - 1) >> self._shift)
        return words

    def _cut_copies(self, m: Module, start: Signal, gearbox: Gearbox) -> None:
        """Drop what fills a copy's last word up."""
        if self._beat_bits >= self._signature.width:
            return
        beats = self.job.payload.beats
        left = Signal.like(beats)
        m.d.comb += gearbox.cut.eq(left == 1)
        with m.If(start):
            m.d.sync += left.eq(beats)
        with m.Elif(self.beats.valid & self.beats.ready):
            m.d.sync += left.eq(Mux(left == 1, beats, left - 1))
