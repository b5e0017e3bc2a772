"""The engine: from jobs and beats to a trained model."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .arith import delay
from .config import CORRECTION_LATENCY, READ_LATENCY, UPDATE_LATENCY, EngineConfig, Mode
from .correction import Correction
from .dot import Dot
from .gradient import Gradient
from .labels import Labels
from .loss import Loss
from .model import Model
from .protocol import Status, error_layout, job_layout
from .random import RandomSource
from .ring import Ring
from .slots import SlotController
from .transfer import Transfer
from .update import Update

SETTLE_CYCLES = 8
"""Cycles after a pass in which the last counters arrive; not part of the pass."""


class Engine(wiring.Component):
    """Trains a linear model from a woven stream, one pass a job::

        beats -> [SlotController] -> token, beat
                      |-> [Labels] ----------------> [Loss] -> errors -> [Ring]
                      |-> [Dot] ---- product -------/                      |
                      |-> [Ring: replay] -> [Gradient] + [Correction] <----+
                             x (read once for Dot and Correction)
                    [Model: x, acc] <- [Update] <- sums + terms

    The slot rule and the cycle model are in `sim.golden`; results depend on the job and on the
    model that was loaded, never on gaps in the stream. Everything behind the slot controller is
    feed-forward: a token travels with its beat, at fixed latencies that `EngineConfig` derives.

    Throughput: a beat a cycle while ``delay`` hides the dot latency. Back-pressure: between
    slots. Overflow: margins, errors and model words saturate and are counted.

    Members
    -------
    job : In(stream of job_layout)
        Taken when idle: ``job.ready`` says that the last one is done.
    beats : In(stream of beat_bits)
        The woven stream of a training job.
    model_in : In(stream of signed(model_bits))
        Words of a `Mode.LOAD` job.
    model_out : Out(stream of signed(model_bits))
        Words of a `Mode.DUMP` job.
    status : Out(Status)
        Counters of the last training job, settled when ``job.ready``.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        words = stream.Signature(signed(config.model_bits))
        super().__init__(
            {
                "job": In(stream.Signature(job_layout(config))),
                "beats": In(stream.Signature(config.beat_bits)),
                "model_in": In(words),
                "model_out": Out(words),
                "status": Out(Status),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        m.submodules.slots = slots = SlotController(config)
        m.submodules.labels = labels = Labels(config)
        m.submodules.dot = dot = Dot(config)
        m.submodules.loss = loss = Loss(config)
        m.submodules.replay = replay = Ring(config.beat_bits, config.replay_beats)
        errors = data.ArrayLayout(error_layout(config), config.banks)
        m.submodules.errors = error_queue = Ring(errors, config.error_slots)
        m.submodules.gradient = gradient = Gradient(config)
        m.submodules.correction = correction = Correction(config)
        m.submodules.update = update = Update(config)
        m.submodules.model = model = Model(config)
        m.submodules.transfer = transfer = Transfer(config)
        first = config.generators(config.lanes)
        m.submodules.update_random = update_random = RandomSource(config, config.lanes, 0)
        m.submodules.loss_random = loss_random = RandomSource(config, config.banks, first)

        job, start = self._sequence_jobs(m, slots, transfer)
        m.d.comb += [component.job.eq(job) for component in (slots, loss, transfer)]
        for source in (update_random, loss_random):
            m.d.comb += [source.seed.eq(job.seed), source.restart.eq(start)]
        wiring.connect(m, wiring.flipped(self.beats), slots.beats)

        # after[n] is the token n cycles after it was issued with its beat: memories are addressed
        # at once, and the rest follows from the latencies.
        after = [slots.token]
        for _ in range(READ_LATENCY + config.gradient_latency + UPDATE_LATENCY):
            after.append(delay(m, after[-1], 1))
        issued, read = after[0], after[READ_LATENCY]
        ready, written = after[READ_LATENCY + config.gradient_latency], after[-1]
        acc_read = after[config.gradient_latency + 1]
        plane = ~issued.label

        # Arriving group: dot products, labels, errors.
        m.d.comb += [
            dot.token.eq(read),
            dot.beat.eq(delay(m, slots.beat, READ_LATENCY)),
            dot.x.eq(model.x),
            labels.token.eq(issued),
            labels.beat.eq(slots.beat),
            loss.product.eq(dot.product),
            loss.labels.eq(delay(m, labels.labels, config.label_wait)),
            loss.i_valid.eq(delay(m, labels.valid, config.label_wait)),
            loss.random.eq(loss_random.fields),
            loss_random.draw.eq(loss.o_due),
            slots.errors_due.eq(loss.o_due),
        ]

        # Storage until its update, D slots later.
        m.d.comb += [
            replay.i.eq(slots.beat),
            replay.write.eq(issued.live & plane),
            replay.advance.eq(issued.replay & plane),
            error_queue.i.eq(loss.errors),
            error_queue.write.eq(loss.o_valid),
            error_queue.advance.eq(issued.replay & issued.group_end),
        ]

        # Older group: gradient, correction, update.
        noise_used = after[READ_LATENCY + CORRECTION_LATENCY - 1]
        m.d.comb += [
            gradient.token.eq(read),
            gradient.beat.eq(replay.item),
            gradient.errors.eq(error_queue.item),
            correction.beat.eq(replay.item),
            correction.errors.eq(error_queue.item),
            correction.x.eq(model.x),
            correction.random.eq(update_random.fields),
            update_random.draw.eq(_ends_replayed_chunk(noise_used)),
            update.i_valid.eq(_ends_replayed_chunk(ready)),
            update.sums.eq(gradient.sums),
            update.terms.eq(correction.terms),
            update.acc.eq(model.acc),
        ]

        # Model: read by address of the token, written by the update or by a transfer.
        lanes = config.lanes
        moving = transfer.active
        m.d.comb += [
            model.x_chunk.eq(Mux(moving, transfer.chunk, issued.chunk)),
            model.acc_chunk.eq(acc_read.chunk),
            model.chunk.eq(Mux(moving, transfer.chunk, written.chunk)),
            model.row.eq(Mux(moving, transfer.row, update.row)),
            model.write_acc.eq(transfer.write | update.o_valid.replicate(lanes)),
            model.write_x.eq(transfer.write | (update.o_valid & written.commit).replicate(lanes)),
            transfer.x.eq(model.x),
        ]
        wiring.connect(m, wiring.flipped(self.model_in), transfer.i)
        wiring.connect(m, transfer.o, wiring.flipped(self.model_out))

        self._count(m, slots, loss, update)
        return m

    def _sequence_jobs(
        self, m: Module, slots: SlotController, transfer: Transfer
    ) -> tuple[data.View, Signal]:
        """One job after the other; returns the present one and the pulse that starts it."""
        job, start = Signal(job_layout(self.config)), Signal()
        training = job.mode == Mode.TRAIN
        settling = Signal(range(SETTLE_CYCLES))
        m.d.comb += [slots.start.eq(start & training), transfer.start.eq(start & ~training)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.job.ready.eq(1)
                with m.If(self.job.valid):
                    m.d.sync += job.eq(self.job.payload)
                    m.next = "START"
            with m.State("START"):
                m.d.comb += start.eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(slots.done | transfer.done):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += settling.eq(settling + 1)
                with m.If(settling == SETTLE_CYCLES - 1):
                    m.next = "IDLE"
        return job, start

    def _count(self, m: Module, slots: SlotController, loss: Loss, update: Update) -> None:
        """Counters of the pass."""
        status = self.status
        m.d.comb += [status.cycles.eq(slots.cycles), status.beats.eq(slots.beats_taken)]
        increments = (
            (status.margin_saturations, loss.margin_saturations),
            (status.error_saturations, loss.error_saturations),
            (status.model_saturations, update.saturations),
        )
        for counter, increment in increments:
            with m.If(slots.start):
                m.d.sync += counter.eq(0)
            with m.Else():
                m.d.sync += counter.eq(counter + increment)


def _ends_replayed_chunk(token: data.View) -> Value:
    return token.replay & ~token.label & token.last
