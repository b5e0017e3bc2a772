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
        old="write.addr.eq(chunks[part])",
        new="write.addr.eq(chunks[part] & ~1)",
    ),
    Fault(
        name="transfer-order",
        stage="transfer",
        what="a row shifts the wrong way",
        old="above = [*(self.row[n] for n in range(1, lanes)), word.as_signed()]",
        new="above = [word.as_signed(), *(self.row[n] for n in range(lanes - 1))]",
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
        old="sums_latency - 2 - 2 * config.update_spread]",
        new="sums_latency - 3 - 2 * config.update_spread]",
    ),
)

MARGINS = (
    Fault(
        name="margins-room",
        stage="engine",
        what="groups start whether there is room for their margins or not",
        old="slots.room.eq(waiting < MARGIN_DEPTH - 4)",
        new="slots.room.eq(1)",
    ),
)
"""What margins that wait must hold up."""

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
        old="row_loaded & ~self.cancel",
        new="row_loaded",
    ),
    Fault(
        name="cancel-taking",
        stage="transfer",
        what="a word is taken after its transfer was cancelled",
        old="m.d.sync += taking.eq(0)",
        new="m.d.sync += taking.eq(taking)",
    ),
    Fault(
        name="cancel-margins",
        stage="margins",
        what="margins of a cancelled job stay and keep the engine",
        old="~(self.o.ready | self.drop)",
        new="~self.o.ready",
        bench="engine",
    ),
    Fault(
        name="cancel-offer",
        stage="margins",
        what="margins of a cancelled job are offered",
        old="shown & ~self.drop",
        new="shown",
        bench="engine",
    ),
    Fault(
        name="cancel-slot",
        stage="slots",
        what="the next job begins inside the slot in which one was cancelled",
        old="held = (running, go, open_, waiting",
        new="held = (running, go, waiting",
        bench="engine",
    ),
    Fault(
        name="cancel-past",
        stage="slots",
        what="groups of a cancelled job are replayed in the next one",
        old="[past.eq(0) for past in history[1:]]",
        new="[]",
        bench="engine",
    ),
)
"""What a job that was cancelled leaves to the next one."""
