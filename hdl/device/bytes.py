"""Between the link's bytes and the words of engine and memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from amaranth.hdl import Cat, Module, ResetInserter, Shape, Signal, Value
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.formats import EPOCH_DEPTH, MODEL_WORD_BITS
from ..contract.protocol import epoch_layout
from ..lib.gearbox import Gearbox
from ..lib.skid_buffer import buffered
from ..link.frames import Command, byte_count
from .layouts import epoch_item_layout


class Intake(wiring.Component):
    """Payloads of commands as words::

        i, command -+-> words
                    +-> [8 to 32 or an epoch] -+-> model
                    |                          +-> [queue] -> epochs
                    +-> [the last ones] -> run

    Throughput: a byte a cycle to ``words``, one in two cycles else. Back-pressure: of the stream
    that ``command`` names, and of the queue while it is full. Overflow: none.

    Parameters
    ----------
    config : EngineConfig
    run : StructLayout
        `run_layout` of the device.

    Members
    -------
    command : In(range(len(Command)))
        Where bytes go: a `Command` that writes.
    begin : In(1)
        Drop what is left of a model word or an epoch.
    i : In(stream of 8)
    words : Out(stream of 8)
    model : Out(stream of signed(model_bits))
        The lowest bits of the words.
    epochs : Out(stream of epoch_layout)
    waiting : Out(range(EPOCH_DEPTH + 1))
        Epochs in the queue.
    run : Out(run_layout)
        The last bytes of that kind, three cycles after they came; they stay until others come.
    reset : In(1)
        Forget what is inside.
    """

    def __init__(self, config: EngineConfig, run: data.StructLayout) -> None:
        self._config = config
        super().__init__(
            {
                "command": In(range(len(Command))),
                "begin": In(1),
                "i": In(stream.Signature(8)),
                "words": Out(stream.Signature(8)),
                "model": Out(stream.Signature(Shape(config.model_bits, signed=True))),
                "epochs": Out(stream.Signature(epoch_layout(config))),
                "waiting": Out(range(EPOCH_DEPTH + 1)),
                "run": Out(run),
                "reset": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        item = epoch_item_layout(self._config)
        waits = fifo.SyncFIFOBuffered(width=epoch_layout(self._config).size, depth=EPOCH_DEPTH)
        m.submodules.waits = ResetInserter(self.reset)(waits)
        kinds = (Command.WRITE_MODEL, Command.WRITE_EPOCHS, Command.WRITE_MEMORY, Command.RUN)
        chosen = _chosen(m, self.command, kinds)
        # The last bytes, and where the next one's coming shows: a one moves up.
        most = max(MODEL_WORD_BITS, item.size)
        last, filled = Signal(most), Signal(most // 8 + 1)
        gives, taken = Signal(), Signal()
        # Registers, because so many others hang on them.
        byte, came, runs = Signal(8), Signal(), Signal()
        m.d.comb += [
            waits.w_data.eq(last[-item.size :]),
            self.epochs.payload.eq(waits.r_data),
            waits.r_en.eq(self.epochs.ready),
            self.epochs.valid.eq(waits.r_rdy),
            self.waiting.eq(waits.level),
            self.model.payload.eq(last[-MODEL_WORD_BITS:].as_signed()),
            self.words.payload.eq(self.i.payload),
        ]
        m.d.sync += [
            byte.eq(self.i.payload),
            came.eq(self.i.valid & self.i.ready),
            runs.eq(came & chosen[Command.RUN]),
        ]
        with m.If(chosen[Command.WRITE_MODEL]):
            m.d.comb += [
                gives.eq(filled[MODEL_WORD_BITS // 8]),
                self.model.valid.eq(gives),
                taken.eq(self.model.ready),
                self.i.ready.eq(~came & ~gives),
            ]
        with m.If(chosen[Command.WRITE_EPOCHS]):
            m.d.comb += [
                gives.eq(filled[item.size // 8]),
                waits.w_en.eq(gives),
                taken.eq(waits.w_rdy),
                self.i.ready.eq(~came & ~gives),
            ]
        with m.If(chosen[Command.WRITE_MEMORY]):
            m.d.comb += [self.words.valid.eq(self.i.valid), self.i.ready.eq(self.words.ready)]
        with m.If(chosen[Command.RUN]):
            m.d.comb += self.i.ready.eq(~came)
        with m.If(came):
            m.d.sync += [last.eq(Cat(last[8:], byte)), filled.eq(filled << 1)]
        with m.Elif(gives & taken):
            m.d.sync += filled.eq(1)
        with m.If(self.begin):
            m.d.sync += filled.eq(1)
        run = self.run.as_value()
        with m.If(runs):
            m.d.sync += run.eq(Cat(run[8:], last[-8:]))
        return m


class Outlet(wiring.Component):
    """Words as payloads of answers; the other direction of `Intake`.

    Throughput: a byte a cycle. Back-pressure: the streams' own; what ``command`` does not name
    waits.

    Members
    -------
    command : In(range(len(Command)))
        Where bytes come from: a `Command` that reads.
    beats : In(stream of beat_bits)
    model : In(stream of signed(model_bits))
    margins : In(stream of ArrayLayout(signed(model_bits), banks))
    o : Out(stream of 8)
        Model words and margins sign-extended to `MODEL_WORD_BITS`.
    reset : In(1)
        Forget what is inside.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        word = Shape(config.model_bits, signed=True)
        super().__init__(
            {
                "command": In(range(len(Command))),
                "beats": In(stream.Signature(config.beat_bits)),
                "model": In(stream.Signature(word)),
                "margins": In(stream.Signature(data.ArrayLayout(word, config.banks))),
                "o": Out(stream.Signature(8)),
                "reset": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        # What takes a word is on no path to what takes its bytes.
        beats, model, margins = (
            buffered(
                m,
                f"{name}_words",
                wiring.flipped(getattr(self, name)),
                needed=not config.area_optimised,
                clear=self.reset,
            )
            for name in ("beats", "model", "margins")
        )
        words = Cat(_extended(margins.payload[bank]) for bank in range(config.banks))
        sources: dict[Any, tuple[Any, Value, int]] = {
            Command.READ_MEMORY: (beats, beats.payload, config.beat_bits),
            Command.READ_MODEL: (model, _extended(model.payload), MODEL_WORD_BITS),
            Command.READ_MARGINS: (margins, words, MODEL_WORD_BITS * config.banks),
        }
        chosen = _chosen(m, self.command, sources)
        for command, (source, payload, bits) in sources.items():
            m.submodules[command.name.lower()] = gearbox = Gearbox(bits, 8)
            m.d.comb += [
                gearbox.clear.eq(self.reset),
                gearbox.i.payload.eq(payload),
                gearbox.i.valid.eq(source.valid),
                source.ready.eq(gearbox.i.ready),
            ]
            with m.If(chosen[command]):
                m.d.comb += [
                    self.o.payload.eq(gearbox.o.payload),
                    self.o.valid.eq(gearbox.o.valid),
                    gearbox.o.ready.eq(self.o.ready),
                ]
        return m


def _chosen(m: Module, command: Value, kinds: Iterable[Any]) -> dict[Any, Signal]:
    """Which of ``kinds`` ``command`` was a cycle ago: a register each."""
    chosen = {kind: Signal(name=f"is_{kind.name.lower()}") for kind in kinds}
    m.d.sync += [flag.eq(command == kind) for kind, flag in chosen.items()]
    return chosen


def _extended(word: Value) -> Value:
    return Cat(word, word[-1].replicate(MODEL_WORD_BITS - len(word)))


def epoch_bytes(config: EngineConfig) -> int:
    """Bytes of an epoch on the link."""
    return byte_count(epoch_item_layout(config))
