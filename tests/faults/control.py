"""Faults of what says which beat, row or item is whose turn."""

from __future__ import annotations

from .fault import Fault

CONTROL = (
    Fault(
        name="jobs-delay",
        stage="jobs",
        what="a delay of one slot too many is taken",
        old="job.delay > config.max_delay",
        new="job.delay > config.max_delay + 1",
    ),
    Fault(
        name="slots-epoch",
        stage="slots",
        what="an epoch begins while the last one's groups are on their way to their errors",
        old="self.epochs.ready.eq(wants_epoch & quiet)",
        new="self.epochs.ready.eq(wants_epoch)",
    ),
    Fault(
        name="ring-tail",
        stage="ring",
        what="the writer's place never moves",
        old="tail.eq(tail + self.write)",
        new="tail.eq(tail)",
    ),
    Fault(
        name="model-address",
        stage="model",
        what="the lowest address bit of writes is stuck at 0",
        old="write.addr.eq(self.chunk)",
        new="write.addr.eq(self.chunk & ~1)",
    ),
    Fault(
        name="transfer-order",
        stage="transfer",
        what="a row shifts the wrong way",
        old="row.eq(Mux(capture, self.x, Cat(row[bits:], word)))",
        new="row.eq(Mux(capture, self.x, Cat(word, row[: -bits])))",
    ),
    Fault(
        name="slots-timer",
        stage="slots",
        what="a slot may start one cycle before the last one's writes are done",
        old="spare = self._config.update_latency - 2",
        new="spare = self._config.update_latency - 3",
        geometry="16x1",
    ),
    Fault(
        name="slots-credit",
        stage="slots",
        what="a slot does not wait for the errors that it needs",
        old="(~slot.older.carried | have_errors)",
        new="(~slot.older.carried | 1)",
    ),
    Fault(
        name="slots-commit",
        stage="slots",
        what="the end of a mini-batch is taken from the arriving group",
        old="token.commit.eq(slot.older.ends)",
        new="token.commit.eq(self.job.batch_groups == 1)",
    ),
    Fault(
        name="jobs-part",
        stage="jobs",
        what="a job that asks for a part that the engine lacks is done",
        old="asks_absent.eq(Cat(asked[name] for name in sorted(absent)).any())",
        new="asks_absent.eq(0)",
        geometry="small",
    ),
    Fault(
        name="jobs-loss",
        stage="jobs",
        what="a job with a loss that the engine lacks is done",
        old="~reduce(or_, (job.loss == loss for loss in config.losses))",
        new="(job.loss > 4)",
        geometry="small",
    ),
    Fault(
        name="jobs-evaluate",
        stage="jobs",
        what="an engine that cannot sum losses takes a job that asks for the sum",
        old="[job.mode == Mode.EVALUATE]",
        new="[]",
        geometry="small",
    ),
    Fault(
        name="engine-commit",
        stage="engine",
        what="every update is written to the copy that dot products read",
        old="updates & written_next.commit",
        new="updates & 1",
    ),
    Fault(
        name="engine-noise",
        stage="engine",
        what="the updates draw their random words one cycle early",
        old="after[latency + config.gradient_latency - 2]",
        new="after[latency + config.gradient_latency - 3]",
    ),
)

CANCELS = (
    Fault(
        name="cancel-credit",
        stage="slots",
        what="errors of a cancelled job are counted in the next one",
        old="credit.eq(0)",
        new="credit.eq(credit)",
        bench="engine",
    ),
    Fault(
        name="cancel-place",
        stage="slots",
        what="the next job begins at the place where one was cancelled",
        old="places = (chunk, plane, last_plane, label, word, beat, at_end)",
        new="places = (chunk,)",
        bench="engine",
    ),
    Fault(
        name="cancel-ring",
        stage="ring",
        what="beats of a cancelled job are replayed in the next one",
        old="with m.If(self.clear):",
        new="with m.If(0):",
        bench="engine",
    ),
    Fault(
        name="cancel-write",
        stage="transfer",
        what="a row is written after its transfer was cancelled",
        old="moved & last_lane & ~self.cancel",
        new="moved & last_lane",
    ),
    Fault(
        name="cancel-written",
        stage="transfer",
        what="a write in whose cycle a transfer was cancelled counts in the next one",
        old="taken.eq(0), written.eq(0)]",
        new="taken.eq(0)]",
    ),
    Fault(
        name="cancel-margins",
        stage="engine",
        what="margins of a cancelled job stay and keep the engine",
        old="margins.r_en.eq(self.margins.ready | jobs.cancelled)",
        new="margins.r_en.eq(self.margins.ready)",
        bench="engine",
    ),
)
"""What a job that was cancelled leaves to the next one."""
