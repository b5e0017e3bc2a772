"""Between the link's bytes and the words of engine and memory."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Shape, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import EngineConfig
from ..link.frames import Command, byte_count
from ..memory.gearbox import Gearbox
from ..protocol import epoch_layout
from ..relay import Relay
from .layouts import EPOCH_DEPTH, WORD_BITS, epoch_item_layout, run_layout


class Intake(wiring.Component):
    """Payloads of commands as words, each kind with a gearbox of its own::

        i, command -+-> words
                    +-> [relay] -> [8 to 32] --> model
                    +-> [relay] -> [8 to item] -> [queue] -> epochs
                    +-> [relay] -> [8 to item] -> run

    Throughput: a byte a cycle. Back-pressure: of the stream that ``command`` names, and of the
    queue while it is full. Overflow: none.

    Members
    -------
    command : In(8)
        Where bytes go: a `Command` that writes, since two cycles before.
    i : In(stream of 8)
    words : Out(stream of 8)
    model : Out(stream of signed(model_bits))
        The lowest bits of the words.
    epochs : Out(stream of epoch_layout)
    waiting : Out(range(EPOCH_DEPTH + 1))
        Epochs in the queue.
    run : Out(stream of run_layout)
    reset : In(1)
        Forget what is inside.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "command": In(8),
                "i": In(stream.Signature(8)),
                "words": Out(stream.Signature(8)),
                "model": Out(stream.Signature(Shape(config.model_bits, signed=True))),
                "epochs": Out(stream.Signature(epoch_layout(config))),
                "waiting": Out(range(EPOCH_DEPTH + 1)),
                "run": Out(stream.Signature(run_layout(config))),
                "reset": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        item = epoch_item_layout(self._config)
        model = self._gearbox(m, "model", WORD_BITS)
        epochs = self._gearbox(m, "epochs", item.size)
        run = self._gearbox(m, "run", run_layout(self._config).size)
        waits = fifo.SyncFIFOBuffered(width=item["epoch"].width, depth=EPOCH_DEPTH)
        m.submodules.waits = ResetInserter(self.reset)(waits)
        m.d.comb += [
            waits.w_data.eq(epochs.o.payload),
            waits.w_en.eq(epochs.o.valid),
            epochs.o.ready.eq(waits.w_rdy),
            self.epochs.payload.eq(waits.r_data),
            self.epochs.valid.eq(waits.r_rdy),
            waits.r_en.eq(self.epochs.ready),
            self.waiting.eq(waits.level),
            self.model.payload.eq(model.o.payload.as_signed()),
            self.model.valid.eq(model.o.valid),
            model.o.ready.eq(self.model.ready),
            self.run.payload.eq(run.o.payload),
            self.run.valid.eq(run.o.valid),
            run.o.ready.eq(self.run.ready),
        ]
        sinks = {
            Command.WRITE_MEMORY: self.words,  # whoever waits for the memory sees every byte
            Command.WRITE_MODEL: self._relay(m, model),
            Command.WRITE_EPOCHS: self._relay(m, epochs),
            Command.RUN: self._relay(m, run),
        }
        ready = []
        for command, sink in sinks.items():
            chosen = _is(m, self.command, command)
            ready.append(sink.ready & chosen)
            m.d.comb += [sink.payload.eq(self.i.payload), sink.valid.eq(self.i.valid & chosen)]
        m.d.comb += self.i.ready.eq(Cat(ready).any())
        return m

    def _gearbox(self, m: Module, name: str, bits: int) -> Gearbox:
        m.submodules[name] = gearbox = Gearbox(8, bits)
        m.d.comb += gearbox.clear.eq(self.reset)
        return gearbox

    def _relay(self, m: Module, gearbox: Gearbox) -> Any:
        """The way into a gearbox, which nothing leads through."""
        m.submodules += (relay := Relay(8))
        wiring.connect(m, relay.o, gearbox.i)
        m.d.comb += relay.clear.eq(self.reset)
        return relay.i


class Outlet(wiring.Component):
    """Words as payloads of answers; the other direction of `Intake`.

    Throughput: a byte a cycle. Back-pressure: the streams' own; what ``command`` does not name
    waits.

    Members
    -------
    command : In(8)
        Where bytes come from: a `Command` that reads, since two cycles before.
    beats : In(stream of beat_bits)
    model : In(stream of signed(model_bits))
    margins : In(stream of ArrayLayout(signed(model_bits), banks))
    o : Out(stream of 8)
        Model words and margins sign-extended to `WORD_BITS`.
    reset : In(1)
        Forget what is inside.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        word = Shape(config.model_bits, signed=True)
        super().__init__(
            {
                "command": In(8),
                "beats": In(stream.Signature(config.beat_bits)),
                "model": In(stream.Signature(word)),
                "margins": In(stream.Signature(data.ArrayLayout(word, config.banks))),
                "o": Out(stream.Signature(8)),
                "reset": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, margins = self._config, self.margins.payload
        words = Cat(_extended(margins[bank]) for bank in range(config.banks))
        sources: dict[Any, tuple[Any, Value, int]] = {
            Command.READ_MEMORY: (self.beats, self.beats.payload, config.beat_bits),
            Command.READ_MODEL: (self.model, _extended(self.model.payload), WORD_BITS),
            Command.READ_MARGINS: (self.margins, words, WORD_BITS * config.banks),
        }
        given = []
        for command, (source, payload, bits) in sources.items():
            m.submodules[command.name.lower()] = gearbox = Gearbox(bits, 8)
            chosen = _is(m, self.command, command)
            given.append(Mux(chosen, Cat(gearbox.o.payload, gearbox.o.valid), 0))
            m.d.comb += [
                gearbox.clear.eq(self.reset),
                gearbox.i.payload.eq(payload),
                gearbox.i.valid.eq(source.valid),
                source.ready.eq(gearbox.i.ready),
                gearbox.o.ready.eq(self.o.ready & chosen),
            ]
        m.d.comb += Cat(self.o.payload, self.o.valid).eq(reduce(or_, given))
        return m


def _is(m: Module, command: Value, wanted: int) -> Signal:
    """Whether it is that one, in the next cycle: a register, because streams hang on it."""
    chosen = Signal()
    m.d.sync += chosen.eq(command == wanted)
    return chosen


def _extended(word: Value) -> Value:
    return Cat(word, word[-1].replicate(WORD_BITS - len(word)))


def epoch_bytes(config: EngineConfig) -> int:
    """Bytes of an epoch on the link."""
    return byte_count(epoch_item_layout(config))
