"""The cycle model in closed form: what `sim.golden.predict_cycles` finds slot by slot, at once.

A slot takes s = `Job.slot_cycles`; the errors of its group come E = L + ``dot_latency`` cycles
after its start, and the slot D later waits for them. Counted from the first slot of a *run*, groups
without empty slots or the start of an epoch in between, then

    start(t) = max(start(t-1) + s, start(t-D) + E) = t // D * max(D s, E) + t % D * s

because either E <= D s, and nothing ever waits, or every D-th slot waits for the errors of the slot
D before, and those between follow it as they followed that one. The D empty slots after a run are
slots of this rule too: each updates with the errors of a group.

No run delays the next. In exact mini-batches the D slots before a run are empty, and nothing comes
of them. Otherwise the first slot of an epoch waits for the errors of the slot just before, which
are the last of all that earlier slots make.
"""

from __future__ import annotations

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Job


def predict_cycles(config: EngineConfig, job: Job) -> int:
    """`sim.golden.predict_cycles`, in no more time for more groups, batches or epochs."""
    spacing = job.slot_cycles(config)
    errors = job.group_beats(config) + config.dot_latency

    def start(slot: int) -> int:
        """Of a slot, from the first of its run."""
        if not job.learns:
            return slot * spacing
        waited, more = divmod(slot, job.delay)
        return waited * max(job.delay * spacing, errors) + more * spacing

    def run(groups: int) -> int:
        """Cycles of a run of groups and of the empty slots after it."""
        empty = job.delay if job.learns else 0
        return start(groups + empty - 1) + spacing

    epochs = len(job.epochs)
    if job.learns and job.sync:
        batches, rest = divmod(job.groups, job.batch_groups)
        return epochs * (batches * run(job.batch_groups) + (run(rest) if rest else 0))
    before_another = start(job.groups - 1) + max(spacing, errors)
    return (epochs - 1) * before_another + run(job.groups)
