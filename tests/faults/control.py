"""Faults of what says which beat, row or item is whose turn."""

from __future__ import annotations

from tests.faults.fault import Fault

CONTROL = (
    Fault(
        name="jobs-delay",
        stage="engine/job_control",
        what="a delay of one slot too many is taken",
        old="job.delay > config.max_delay",
        new="job.delay > config.max_delay + 1",
    ),
    Fault(
        name="slots-epoch",
        stage="engine/slot_control",
        what="an epoch begins while the last one's groups are on their way to their errors",
        old="self.epochs.ready.eq(wants_epoch & quiet)",
        new="self.epochs.ready.eq(wants_epoch)",
    ),
    Fault(
        name="ring-tail",
        stage="lib/ring",
        what="the writer's place never moves",
        old="tail.eq(tail + self.write)",
        new="tail.eq(tail)",
    ),
    Fault(
        name="model-address",
        stage="engine/model",
        what="the lowest address bit of writes is stuck at 0",
        old="write.addr.eq(chunks[part])",
        new="write.addr.eq(chunks[part] & ~1)",
    ),
    Fault(
        name="transfer-order",
        stage="engine/transfer",
        what="a row shifts the wrong way",
        old="above = [*(self.row[n] for n in range(1, lanes)), word.as_signed()]",
        new="above = [word.as_signed(), *(self.row[n] for n in range(lanes - 1))]",
    ),
    Fault(
        name="slots-timer",
        stage="engine/slot_control",
        what="a slot may start one cycle before the last one's writes are done",
        old="spare = self._config.update_latency - 2",
        new="spare = self._config.update_latency - 3",
        geometry="16x1",
    ),
    Fault(
        name="slots-credit",
        stage="engine/slot_control",
        what="a slot does not wait for the errors that it needs",
        old="(~slot.older.carried | have_errors)",
        new="(~slot.older.carried | 1)",
    ),
    Fault(
        name="slots-commit",
        stage="engine/slot_control",
        what="the end of a mini-batch is taken from the arriving group",
        old="token.commit.eq(slot.older.ends)",
        new="token.commit.eq(self.job.batch_groups == 1)",
    ),
    Fault(
        name="jobs-part",
        stage="engine/job_control",
        what="a job that sums losses is done by an engine that was built without",
        old="*([] if config.evaluate else [job.mode == Mode.EVALUATE]),",
        new="",
        geometry="small",
    ),
    Fault(
        name="jobs-loss",
        stage="engine/job_control",
        what="a job with a loss that the engine lacks is done",
        old="~reduce(or_, (job.loss == loss for loss in config.losses))",
        new="(job.loss > 4)",
        geometry="small",
    ),
    Fault(
        name="jobs-evaluate",
        stage="engine/job_control",
        what="an engine that cannot sum losses takes a job that asks for the sum",
        old="[job.mode == Mode.EVALUATE]",
        new="[]",
        geometry="small",
    ),
    Fault(
        name="engine-commit",
        stage="engine/engine",
        what="every update is written to the copy that dot products read",
        old="updates & written_next.commit",
        new="updates & 1",
    ),
    Fault(
        name="engine-noise",
        stage="engine/engine",
        what="the updates draw their random words one cycle early",
        old="sums_latency - 2 - 2 * config.update_spread]",
        new="sums_latency - 3 - 2 * config.update_spread]",
    ),
)

MARGINS = (
    Fault(
        name="margins-room",
        stage="engine/engine",
        what="groups start whether there is room for their margins or not",
        old="slots.room.eq(waiting < MARGIN_DEPTH - 4)",
        new="slots.room.eq(1)",
    ),
)
"""What margins that wait must hold up."""

CANCELS = (
    Fault(
        name="cancel-credit",
        stage="engine/slot_control",
        bench="engine/engine",
        what="errors of a cancelled job are counted in the next one",
        old="credit.eq(0)",
        new="credit.eq(credit)",
    ),
    Fault(
        name="cancel-place",
        stage="engine/slot_control",
        bench="engine/engine",
        what="the next job begins at the place where one was cancelled",
        old="places = (chunk, plane, last_plane, label, word, beat, at_end)",
        new="places = (chunk,)",
    ),
    Fault(
        name="cancel-ring",
        stage="lib/ring",
        bench="engine/engine",
        what="beats of a cancelled job are replayed in the next one",
        old="with m.If(self.clear):",
        new="with m.If(0):",
    ),
    Fault(
        name="cancel-write",
        stage="engine/transfer",
        what="a row is written after its transfer was cancelled",
        old="row_loaded & ~self.cancel",
        new="row_loaded",
    ),
    Fault(
        name="cancel-taking",
        stage="engine/transfer",
        what="a word is taken after its transfer was cancelled",
        old="m.d.sync += taking.eq(0)",
        new="m.d.sync += taking.eq(taking)",
    ),
    Fault(
        name="cancel-margins",
        stage="engine/margin_queue",
        bench="engine/engine",
        what="margins of a cancelled job stay and keep the engine",
        old="~(self.o.ready | self.drop)",
        new="~self.o.ready",
    ),
    Fault(
        name="cancel-offer",
        stage="engine/margin_queue",
        bench="engine/engine",
        what="margins of a cancelled job are offered",
        old="shown & ~self.drop",
        new="shown",
    ),
    Fault(
        name="cancel-slot",
        stage="engine/slot_control",
        bench="engine/engine",
        what="the next job begins inside the slot in which one was cancelled",
        old="held = (running, go, open_, waiting",
        new="held = (running, go, waiting",
    ),
    Fault(
        name="cancel-past",
        stage="engine/slot_control",
        bench="engine/engine",
        what="groups of a cancelled job are replayed in the next one",
        old="[past.eq(0) for past in history[1:]]",
        new="[]",
    ),
)
"""What a job that was cancelled leaves to the next one."""
