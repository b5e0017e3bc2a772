"""The engine: from jobs and beats to a trained model."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.job import Mode
from ..contract.protocol import Status, epoch_layout, group_layout, job_layout
from ..lib.arith import delay, fanout_chain, fanout_tree
from ..lib.ring import Ring
from .correction import Correction
from .dot import Dot
from .evaluate import Evaluate
from .gradient import Gradient
from .job_control import JobController
from .labels import Labels
from .lean_loss import LeanLoss
from .lean_transfer import LeanTransfer
from .lean_update import LeanUpdate
from .loss import LossPipeline
from .margin_queue import MARGIN_DEPTH, MarginQueue
from .model import ModelMemory
from .random import RandomSource
from .slot_control import SlotController
from .transfer import Transfer
from .update import Update


class Engine(wiring.Component):
    """Trains a linear model from a woven stream::

        job -> [JobController] -> job
        beats -> [SlotController] -> token, beat
                      |-> [Labels] ----------------> [LossPipeline] -> errors -> [Ring]
                      |-> [Dot] ---- product -------/   | z              |
                      |                                 +-> [Evaluate], margins
                      |-> [Ring: replay] -> [Gradient] + [Correction] <--+
                             x (read once for Dot and Correction)
                    [Model: x, acc] <- [Update] <- sums + terms

    The slot rule and the cycle model are in `sim.golden`; results depend on the job and on the
    model that was loaded, never on gaps in the stream. Everything behind the slot controller is
    feed-forward: a token travels with its beat, at fixed latencies that `EngineConfig` derives.

    Throughput: a beat a cycle while ``delay`` hides the dot latency. Back-pressure: between
    slots. Overflow: margins, errors and model words saturate and are counted.

    Parameters
    ----------
    config : EngineConfig
    keeps_job : bool
        See `JobController`.

    Members
    -------
    job : In(stream of job_layout)
        Taken when idle: ``job.ready`` says that the last one is done.
    epochs : In(stream of epoch_layout)
        One item for each epoch of a job that passes over samples.
    beats : In(stream of beat_bits)
        The woven stream of such a job, all epochs one after the other.
    margins : Out(stream of ArrayLayout(signed(model_bits), banks))
        The margins of a `Mode.PREDICT` job, a group at a time.
    model_in : In(stream of signed(model_bits))
        Words of a `Mode.LOAD` job.
    model_out : Out(stream of signed(model_bits))
        Words of a `Mode.DUMP` job.
    status : Out(Status)
        Of the last job, settled when ``job.ready``.
    cancel : In(1)
        End the job; of no effect while idle. When ``job.ready`` nothing of it is left but for what
        it has made of the model.
    """

    def __init__(self, config: EngineConfig, *, keeps_job: bool = True) -> None:
        self.config, self._keeps_job = config, keeps_job
        words = stream.Signature(signed(config.model_bits))
        margins = data.ArrayLayout(signed(config.model_bits), config.banks)
        super().__init__(
            {
                "job": In(stream.Signature(job_layout(config))),
                "epochs": In(stream.Signature(epoch_layout(config))),
                "beats": In(stream.Signature(config.beat_bits)),
                "margins": Out(stream.Signature(margins)),
                "model_in": In(words),
                "model_out": Out(words),
                "status": Out(Status),
                "cancel": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config, latency = self.config, self.config.read_latency
        m.submodules.jobs = jobs = JobController(config, keeps=self._keeps_job)
        m.submodules.slots = slots = SlotController(config)
        m.submodules.loss = loss = (LeanLoss if config.has_lean_loss else LossPipeline)(config)
        m.submodules.errors = errors = Ring(group_layout(config), config.error_slots, latency)
        m.submodules.model = model = ModelMemory(config)
        m.submodules.transfer = transfer = (LeanTransfer if config.is_lean else Transfer)(config)
        m.submodules.update = update = (LeanUpdate if config.is_lean else Update)(config)

        job = jobs.job
        wiring.connect(m, wiring.flipped(self.job), jobs.i)
        wiring.connect(m, wiring.flipped(self.epochs), slots.epochs)
        wiring.connect(m, wiring.flipped(self.beats), slots.beats)
        m.d.comb += [component.job.eq(job) for component in (slots, loss, transfer)]
        m.d.comb += [
            slots.start.eq(jobs.start_pass),
            transfer.start.eq(jobs.start_move),
            jobs.cancel.eq(self.cancel),
        ]
        # A register for each: they lie far apart, and a cycle more does not matter.
        cancels = fanout_tree(m, jobs.cancelled, 1, 2)
        m.d.comb += [slots.cancel.eq(cancels[0]), transfer.cancel.eq(cancels[1])]

        # A cycle late: what settles takes longer.
        m.d.sync += jobs.done.eq(slots.done | transfer.done)

        # after[n] is the token n cycles after it was issued with its beat. Replayed beats and
        # errors are addressed at once, model words x_wait later; the rest follows from latencies.
        after = [slots.token]
        for _ in range(latency + config.gradient_latency + config.row_latency):
            after.append(delay(m, after[-1], 1))

        self._learn_errors(m, jobs, slots, loss, model, after)
        self._queue_errors(m, slots, loss, errors, after[0])
        self._move_model(m, jobs, slots, errors, model, update, after)
        self._connect_model(m, model, transfer, update, after)
        self._report(m, jobs, slots, loss, update)
        return m

    def _learn_errors(
        self,
        m: Module,
        jobs: JobController,
        slots: SlotController,
        loss: LossPipeline,
        model: ModelMemory,
        after: list[data.View],
    ) -> None:
        """Arriving group: dot products and labels become errors."""
        config, job = self.config, jobs.job
        first, fields = config.generators(config.lanes), len(loss.random)
        wait = config.x_wait + config.read_latency
        m.submodules.dot = dot = Dot(config)
        m.submodules.labels = labels = Labels(config)
        m.submodules.loss_random = random = RandomSource(config, fields, first)
        m.d.comb += [
            dot.is_signed.eq(~job.unsigned),
            dot.token.eq(after[wait]),
            dot.beat.eq(delay(m, slots.beat, wait)),
            dot.x.eq(model.x),
            labels.job.eq(job),
            labels.token.eq(after[0]),
            labels.beat.eq(slots.beat),
            loss.epoch.eq(slots.epoch),
            loss.product.eq(dot.product),
            loss.samples.eq(delay(m, labels.samples, config.label_wait)),
            loss.i_valid.eq(delay(m, labels.valid, config.label_wait)),
            loss.random.eq(random.fields),
            random.seed.eq(job.seed),
            random.restart.eq(jobs.start),
            random.draw.eq(loss.draw),
            slots.errors_soon.eq(loss.o_soon),
        ]

    def _queue_errors(
        self, m: Module, slots: SlotController, loss: LossPipeline, errors: Ring, issued: data.View
    ) -> None:
        """What waits D slots for its update: the group's errors, in order of their slots."""
        m.d.sync += errors.write.eq(loss.o_due & (slots.job.mode == Mode.TRAIN))
        m.d.comb += [
            errors.i.eq(loss.group),
            errors.clear.eq(_begins(m, slots)),
            errors.advance.eq(issued.replay & issued.group_end),
        ]

    def _move_model(
        self,
        m: Module,
        jobs: JobController,
        slots: SlotController,
        errors: Ring,
        model: ModelMemory,
        update: Update | LeanUpdate,
        after: list[data.View],
    ) -> None:
        """Older group: its replayed beats and its errors become an update."""
        config, job, issued = self.config, jobs.job, after[0]
        latency = config.read_latency
        noise_used_soon = after[latency + config.sums_latency - 2 - 2 * config.update_spread]
        m.submodules.replay = replay = Ring(config.beat_bits, config.replay_beats, latency)
        m.submodules.update_random = random = RandomSource(config, config.lanes, 0)
        plane = ~issued.label
        m.d.comb += [
            # A cycle late: by then the reader has left the place, also where the ring is full.
            replay.i.eq(delay(m, slots.beat, 1)),
            replay.write.eq(delay(m, issued.live & plane & (job.mode == Mode.TRAIN), 1)),
            replay.advance.eq(issued.replay & plane),
            replay.clear.eq(_begins(m, slots)),
            random.seed.eq(job.seed),
            random.restart.eq(jobs.start),
            random.draw.eq(_ends_replayed_chunk(noise_used_soon)),
            update.acc.eq(model.acc),
        ]
        if isinstance(update, LeanUpdate):
            m.d.comb += [
                update.is_signed.eq(~job.unsigned),
                update.odd.eq(job.unsigned),
                update.token.eq(after[latency]),
                update.beat.eq(replay.item),
                update.samples.eq(errors.item.samples),
                update.x.eq(model.x),
                update.random.eq(random.fields),
            ]
        else:
            self._full_update(m, jobs, errors, model, replay.item, random.fields, update, after)

    def _full_update(
        self,
        m: Module,
        jobs: JobController,
        errors: Ring,
        model: ModelMemory,
        beat: Value,
        fields: data.View,
        update: Update,
        after: list[data.View],
    ) -> None:
        """Gradient and correction, then what a job may ask of the update."""
        config, job, latency = self.config, jobs.job, self.config.read_latency
        m.submodules.gradient = gradient = Gradient(config)
        m.submodules.correction = correction = Correction(config)
        before_update = config.gradient_latency - config.acc_lead
        m.d.comb += [
            gradient.is_signed.eq(~job.unsigned),
            gradient.token.eq(after[latency]),
            gradient.beat.eq(beat),
            *(gradient.errors[bank].eq(errors.item.samples[bank]) for bank in range(config.banks)),
            gradient.random.eq(fields),
            correction.odd.eq(job.unsigned),
            correction.beat.eq(beat),
            correction.group.eq(errors.item),
            correction.x.eq(model.x),
            update.i_valid.eq(_ends_replayed_chunk(after[latency + config.gradient_latency])),
            update.sums.eq(gradient.sums),
            update.terms.eq(correction.terms),
        ]
        if config.coarsening:
            m.d.comb += [
                gradient.model_drop.eq(job.model_drop),
                update.model_drop.eq(job.model_drop),
            ]
        if config.regularisation:
            regularised = _regularised(m, config, job.regularised, after[0], latency)
            m.d.comb += [
                correction.regularised.eq(regularised),
                update.regularised.eq(delay(m, regularised, before_update)),
                update.threshold.eq(delay(m, errors.item.threshold, before_update)),
            ]

    def _connect_model(
        self,
        m: Module,
        model: ModelMemory,
        transfer: Transfer | LeanTransfer,
        update: Update | LeanUpdate,
        after: list[data.View],
    ) -> None:
        """The model is read by address of the token, and written by update or transfer."""
        config, moving, spread = self.config, transfer.active, self.config.fanout_stages
        sharing = 1 if spread else 4
        written_next = after[-2 - spread]
        updates = _ends_replayed_chunk(written_next)
        # Registers, because every block of the memories hangs on them.
        m.d.sync += [
            model.x_chunk.eq(Mux(moving, transfer.chunk, after[config.x_wait - 1 - spread].chunk)),
            model.chunk.eq(Mux(moving, transfer.chunk, written_next.chunk)),
            model.write_acc.eq(transfer.write | updates),
            model.write_x.eq(transfer.write | (updates & written_next.commit)),
        ]
        m.d.comb += [
            model.acc_chunk.eq(after[config.gradient_latency - config.acc_lead - spread].chunk),
            transfer.x.eq(model.x),
        ]
        if isinstance(transfer, Transfer):
            m.d.comb += [
                model.row[lane].eq(Mux(loads, transfer.row[lane], update.row[lane]))
                for lane, loads in enumerate(fanout_chain(m, moving, config.lanes, sharing=sharing))
            ]
        if isinstance(update, LeanUpdate) and isinstance(transfer, LeanTransfer):
            m.d.comb += [
                model.row.eq(update.row),
                update.moving.eq(moving),
                update.shift.eq(transfer.shift),
                update.word.eq(transfer.i.payload),
            ]
        wiring.connect(m, wiring.flipped(self.model_in), transfer.i)
        wiring.connect(m, transfer.o, wiring.flipped(self.model_out))

    def _report(
        self,
        m: Module,
        jobs: JobController,
        slots: SlotController,
        loss: LossPipeline,
        update: Update | LeanUpdate,
    ) -> None:
        """Margins, the sum of losses, and counters."""
        config, status, mode = self.config, self.status, jobs.job.mode
        m.submodules.margins = margins = MarginQueue(config)
        wiring.connect(m, margins.o, wiring.flipped(self.margins))
        m.d.comb += [
            margins.z.eq(loss.z),
            margins.arrives.eq(loss.z_valid & (mode == Mode.PREDICT)),
            margins.drop.eq(jobs.cancelled),
            jobs.settled.eq(margins.empty),
            status.cycles.eq(slots.cycles),
            status.beats.eq(slots.beats_taken),
            status.error.eq(jobs.error),
        ]
        if config.evaluate:
            m.submodules.evaluate = evaluate = Evaluate(config)
            m.d.comb += [
                evaluate.loss.eq(jobs.job.loss),
                evaluate.z.eq(loss.z),
                evaluate.samples.eq(loss.z_samples),
                evaluate.valid.eq(loss.z_valid),
                evaluate.enable.eq(mode == Mode.EVALUATE),
                evaluate.clear.eq(_begins(m, slots)),
                status.loss_sum.eq(evaluate.total),
            ]
        # Seen three cycles late, in which one group may end and another's margins may come.
        waiting = Signal(range(2 * MARGIN_DEPTH))
        m.d.sync += [
            waiting.eq(margins.level + slots.under_way),
            slots.room.eq(waiting < MARGIN_DEPTH - 4),
        ]
        learns = mode == Mode.TRAIN
        increments = (
            (status.margin_saturations, loss.margin_saturations),
            (status.error_saturations, Mux(learns, loss.error_saturations, 0)),
            (status.model_saturations, update.saturations),
        )
        for counter, increment in increments:
            step, count = delay(m, increment, 1), Signal(config.count_bits)
            total, full = Signal(len(count) + 1), Signal()
            m.d.comb += [counter.eq(count), total.eq(count + step)]
            with m.If(_begins(m, slots)):
                m.d.sync += [count.eq(0), full.eq(0)]
            with m.Else():
                m.d.sync += [
                    count.eq(total[:-1] | full.replicate(len(count))),
                    full.eq(full | total[-1]),
                ]


def _begins(m: Module, slots: SlotController) -> Value:
    """The start, a cycle late: nothing is kept or counted so soon, and too much hangs on it."""
    return delay(m, slots.start, 1)


def _ends_replayed_chunk(token: data.View) -> Value:
    return token.replay & ~token.label & token.last


def _regularised(
    m: Module, config: EngineConfig, features: Value, token: data.View, cycles: int
) -> Signal:
    """Lanes of the token's chunk that are among the first ``features``, ``cycles`` cycles later."""
    lane_bits = config.lanes.bit_length() - 1
    partial, lanes = Signal(config.lanes), Signal(config.lanes)
    m.d.sync += partial.eq((1 << features[:lane_bits]) - 1)
    full_chunks = features[lane_bits:]
    all_of_them = delay(m, token.chunk < full_chunks, cycles - 1)
    some = delay(m, token.chunk == full_chunks, cycles - 1)
    m.d.sync += lanes.eq(all_of_them.replicate(config.lanes) | Mux(some, partial, 0))
    return lanes
