"""Faults to plant: small changes of the gateware's source, most of them of one bit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A change of one place in the source.

    Parameters
    ----------
    name : str
    stage : str
        Module of `hdl`, ``package/module`` in a package of it.
    what : str
        What is wrong then.
    old, new : str
        Text that occurs once in the module, and what replaces it.
    geometry : str
        Configuration (`tests.geometries`), or test, on which the testbench sees it.
    bench : str
        The testbench that sees it, if not the module's or its package's.
    """

    name: str
    stage: str
    what: str
    old: str
    new: str
    geometry: str = "4x2"
    bench: str = ""

    @property
    def testbench(self) -> str:
        """The testbench that must fail."""
        return self.bench or self.stage.split("/")[0]

    def plant(self, root: Path) -> None:
        """Change the source below ``root``.

        Raises
        ------
        ValueError
            If the text to replace does not occur exactly once.
        """
        path = root / "hdl" / f"{self.stage}.py"
        source = path.read_text(encoding="utf-8")
        if source.count(self.old) != 1:
            raise ValueError(
                f"fault {self.name}: hdl/{self.stage}.py has {source.count(self.old)} places that "
                f"read {self.old!r} instead of one; adapt tests/faults/catalogue.py"
            )
        path.write_text(source.replace(self.old, self.new), encoding="utf-8")


DATAPATH = (
    Fault(
        name="dot-sum",
        stage="dot",
        what="the lowest bit of every plane's sum is inverted",
        old="partial = sum_tree(m, gated, config.adder_levels)",
        new="partial = sum_tree(m, gated, config.adder_levels) ^ 1",
    ),
    Fault(
        name="dot-gate",
        stage="dot",
        what="the bit of feature 0 of sample 0 is stuck at 1",
        old="Mux(plane[i], self.x[i], 0)",
        new="Mux(plane[i] | (bank == i == 0), self.x[i], 0)",
    ),
    Fault(
        name="dot-chunk",
        stage="dot",
        what="the flag of the first chunk is stuck at 0",
        old="Mux(first_chunk, 0, total)",
        new="total",
    ),
    Fault(
        name="gradient-sum",
        stage="gradient",
        what="the lowest bit of every plane's sum is inverted",
        old="partial = sum_tree(m, gated, config.adder_levels)",
        new="partial = sum_tree(m, gated, config.adder_levels) ^ 1",
    ),
    Fault(
        name="gradient-gate",
        stage="gradient",
        what="the bit of feature 0 of sample 0 is stuck at 1",
        old="Mux(beat[bank * config.lanes + lane], error",
        new="Mux(beat[bank * config.lanes + lane] | (bank == lane == 0), error",
    ),
    Fault(
        name="gradient-bit",
        stage="gradient",
        what="bit 20 of lane 0 is inverted",
        old="self.sums[lane].eq(aligned + noise)",
        new="self.sums[lane].eq((aligned ^ ((lane == 0) << 20)) + noise)",
    ),
    Fault(
        name="update-step",
        stage="update",
        what="the lowest bit of every step is inverted",
        old="step.eq(dithered >> config.gradient_drop)",
        new="step.eq((dithered >> config.gradient_drop) ^ 1)",
    ),
    Fault(
        name="update-terms",
        stage="update",
        what="the lowest bit of the correction is inverted, before it is dropped",
        old="- (self.terms[lane] << align)",
        new="- ((self.terms[lane] ^ 1) << align)",
        geometry="narrow",
    ),
    Fault(
        name="update-flag",
        stage="update",
        what="lane 0 saturates but does not count it",
        old="flag.eq((over | under) & valid)",
        new="flag.eq((over | under) & valid & (lane != 0))",
    ),
    Fault(
        name="update-width",
        stage="update",
        what="a model word less a step is as wide as a model word",
        old="max(config.model_bits + 1, len(step)) + 1",
        new="config.model_bits",
        geometry="16x1",
    ),
    Fault(
        name="update-threshold",
        stage="update",
        what="the soft threshold acts on lane 0 whether it is regularised or not",
        old="Mux(self.regularised[lane], self.threshold, 0)",
        new="Mux(self.regularised[lane] | (lane == 0), self.threshold, 0)",
    ),
)
"""Dot product, gradient and update: planted by the test suite."""

OTHERS = (
    Fault(
        name="labels-word",
        stage="labels",
        what="the lowest bit of every label word is inverted",
        old="data.View(layout, word[",
        new="data.View(layout, (word ^ 1)[",
    ),
    Fault(
        name="margin-half",
        stage="margin",
        what="the margin is rounded down instead of to the nearest",
        old="                    shifted[0],",
        new="                    Const(0, 1),",
    ),
    Fault(
        name="derivative-bend",
        stage="derivative",
        what="the margin-variance term is left out",
        old="bend = registered_product(m, row.bend, self.variance)",
        new="bend = registered_product(m, row.bend, Const(0, 1))",
    ),
    Fault(
        name="derivative-end",
        stage="derivative",
        what="the table begins anew where it ends",
        old="magnitude.eq(Mux(size > end, end, size))",
        new="magnitude.eq(size)",
    ),
    Fault(
        name="scaled-error-half",
        stage="scaled_error",
        what="the scaled error is rounded down instead of to the nearest",
        old="rounds = delay(m, shifted[0] & ~overflow, 1)",
        new="rounds = Const(0, 1)",
    ),
    Fault(
        name="scaled-error-ceiling",
        stage="scaled_error",
        what="a coefficient that is rounded up beyond its width wraps",
        old="return clamp(m, noisy[config.random_bits :], config.coefficient_bits)",
        new="return noisy[config.random_bits :][: config.coefficient_bits]",
    ),
    Fault(
        name="loss-threshold",
        stage="loss",
        what="the soft threshold is not rounded to the model's grid",
        old="(threshold & grid)",
        new="threshold",
    ),
    Fault(
        name="evaluate-valid",
        stage="evaluate",
        what="samples that only fill the last group count",
        old="delay(m, valid & sample.valid, 14)",
        new="delay(m, valid, 14)",
    ),
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
        name="correction-parity",
        stage="correction",
        what="the parity of feature 0 of sample 0 is stuck at odd",
        old="self.beat[bank * config.lanes + lane] == odd",
        new="(self.beat[bank * config.lanes + lane] | (bank == lane == 0)) == odd",
    ),
    Fault(
        name="gradient-dither",
        stage="gradient",
        what="the lowest random bit of the dither is inverted",
        old="self.random[lane] & used",
        new="(self.random[lane] ^ 1) & used",
        geometry="narrow",
    ),
    Fault(
        name="random-shift",
        stage="random",
        what="the generator's second shift is one too short",
        old="word = word ^ (word >> right)",
        new="word = word ^ (word >> (right - 1))",
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
        name="lean-carry",
        stage="lean_update",
        what="the second plane does without the carry that the first one's sign needs",
        old="m.d.sync += carry.eq(~negative)",
        new="m.d.sync += carry.eq(1)",
        geometry="lean",
    ),
    Fault(
        name="lean-limit",
        stage="lean_update",
        what="a word that is too small becomes the largest",
        old="self.row[lane].eq(-1 << magnitude)",
        new="self.row[lane].eq((1 << magnitude) - 1)",
        geometry="lean",
    ),
    Fault(
        name="lean-loss-tie",
        stage="lean_loss",
        what="the scaled error is not rounded",
        old="shifted[1:].as_signed() + shifted[0], config.error_bits",
        new="shifted[1:].as_signed(), config.error_bits",
        geometry="tiny",
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
    Fault(
        name="axi-lost-response",
        stage="axi/lite",
        what="a write does not wait until the last response has been taken",
        old="bus.write.eq(write_known & have_data & ~self.bvalid)",
        new="bus.write.eq(write_known & have_data)",
        geometry="narrow",
    ),
    Fault(
        name="axi-unsteady-response",
        stage="axi/lite",
        what="a read's response goes away whether it was taken or not",
        old="with m.Elif(self.rready):",
        new="with m.Else():",
        geometry="narrow",
    ),
    Fault(
        name="axi-path",
        stage="axi/lite",
        what="awready follows bready within the cycle",
        old="self.awready.eq(~have_address)",
        new="self.awready.eq(~have_address | (bus.write & self.bready))",
        geometry="narrow",
    ),
    Fault(
        name="axi-strobes",
        stage="axi/control",
        what="a byte of a register is written whether it is strobed or not",
        old="with m.If(chosen & bus.write & bus.write_bytes[byte]):",
        new="with m.If(chosen & bus.write):",
        geometry="narrow",
    ),
    Fault(
        name="axi-busy",
        stage="axi/control",
        what="starting a job while one is under way is answered as if it had been done",
        old="refused = ((start | clear) & ~self.job.ready)",
        new="refused = (clear & ~self.job.ready)",
        geometry="narrow",
    ),
    Fault(
        name="axi-sign",
        stage="axi/engine",
        what="words on streams are extended with zeros",
        old="value[-1].replicate(",
        new="(value[-1] & 0).replicate(",
        geometry="narrow",
    ),
    Fault(
        name="axi-last",
        stage="axi/engine",
        what="the second packet of margins of a job ends a group too late",
        old="Mux(last_group, groups, groups_left - 1)",
        new="groups_left - 1",
        geometry="narrow",
    ),
    Fault(
        name="link-crc",
        stage="link/receiver",
        what="a frame with a wrong CRC is taken for sound",
        old="sound.eq(item.sound & check.match & fits)",
        new="sound.eq(item.sound & fits)",
    ),
    Fault(
        name="link-block",
        stage="link/receiver",
        what="a frame that ends in the middle of a block is taken for sound",
        old="sound.eq(item.sound & check.match & fits)",
        new="sound.eq(check.match & fits)",
    ),
    Fault(
        name="link-room",
        stage="link/receiver",
        what="a frame that has lost bytes to a full buffer is kept",
        old="with m.If(~buffer.room):",
        new="with m.If(0):",
    ),
    Fault(
        name="link-repeat",
        stage="link/session",
        what="a request that came before the last is answered as if it were the last",
        old="again = ahead.all()",
        new="again = ahead[1:].all()",
    ),
    Fault(
        name="link-reset",
        stage="link/session",
        what="requests are executed before there is a session",
        old="(header.session != session) | (session == NO_SESSION)",
        new="header.session != session",
    ),
)
"""Every other stage: planted by ``python -m tests.faults``."""

MEMORY = (
    Fault(
        name="memory-burst",
        stage="memory/burst",
        what="requests of two words are a word longer",
        old="last.eq(left == 2)",
        new="last.eq((left == 2) & (request.length != 2))",
        bench="block",
        geometry="16-100",
    ),
    Fault(
        name="memory-gearbox",
        stage="memory/gearbox",
        what="a word that is completed while the last one leaves is taken for a part",
        old="filled.eq(Mux(self.o.valid, 2, filled << 1))",
        new="filled.eq(filled << 1)",
        bench="gearbox",
        geometry="16-64",
    ),
    Fault(
        name="memory-queue",
        stage="memory/queue",
        what="words are fetched whether they fit behind the memory or not",
        old="(stored != 0) & ~fetched[-1]",
        new="(stored != 0)",
        bench="queue",
        geometry="32",
    ),
    Fault(
        name="memory-room",
        stage="memory/reader",
        what="words are asked for that the queue has no room for",
        old="fits.eq(room >= longest)",
        new="fits.eq(1)",
        bench="reader",
        geometry="16-16",
    ),
    Fault(
        name="memory-stop",
        stage="memory/reader",
        what="a job that was stopped does not wait for the words on their way",
        old="empty.eq((coming == 0) & (",
        new="empty.eq((",
        bench="reader",
        geometry="16-16",
    ),
    Fault(
        name="memory-cut",
        stage="memory/reader",
        what="what fills a copy's last word up is sent",
        old="gearbox.cut.eq(left == 1)",
        new="gearbox.cut.eq(0)",
        bench="reader",
        geometry="64-16",
    ),
    Fault(
        name="memory-seek",
        stage="memory/writer",
        what="parts of a word that was never completed stay",
        old="gearbox.clear.eq(self.seek)",
        new="gearbox.clear.eq(0)",
        bench="store",
        geometry="64-8",
    ),
    Fault(
        name="memory-share",
        stage="memory/share",
        what="a request is given up when the memory does not take it at once",
        old="with m.Elif(port.requests.ready):",
        new="with m.Else():",
        bench="store",
        geometry="64-8",
    ),
    Fault(
        name="sdram-turn",
        stage="memory/sdram_mover",
        what="the controller drives DQ while the chip lets go of it",
        old="timing.cas + self._burst + TURN",
        new="timing.cas + self._burst",
        bench="sdram",
        geometry="0",
    ),
    Fault(
        name="sdram-kept",
        stage="memory/sdram_bank",
        what="a precharge does not wait for a refresh to end",
        old="""            *kept,
            (self.activate, timing.ras - late),""",
        new="            (self.activate, timing.ras - late),",
        bench="sdram",
        geometry="0",
    ),
    Fault(
        name="sdram-owed",
        stage="memory/sdram_keeper",
        what="refreshes are made up for only when nothing is asked for",
        old="with m.Elif(owed >= POSTPONED):",
        new="with m.Elif(0):",
        bench="sdram",
        geometry="0",
    ),
    Fault(
        name="sdram-row",
        stage="memory/sdram_segment",
        what="a request that ends with its row goes on into the next one",
        old="place.column + request.length > row_words",
        new="place.column + request.length >= row_words",
        bench="sdram",
        geometry="0",
    ),
    Fault(
        name="sdram-early",
        stage="memory/sdram_opener",
        what="a bank is closed before it has heard of the last read",
        old="(~was_active | (self.bank != bank))",
        new="(~self.active | (self.bank != bank))",
        bench="sdram",
        geometry="0",
    ),
    Fault(
        name="sdram-word",
        stage="memory/sdram_words",
        what="words are shown a cycle early",
        old="coming[-1]",
        new="coming[-2]",
        bench="sdram",
        geometry="0",
    ),
    Fault(
        name="spram-row",
        stage="memory/spram",
        what="the block that is shown is that of the next address",
        old="with m.If(asked == number):",
        new="with m.If(row == number):",
        bench="spram",
        geometry="16",
    ),
)
"""The sample store and its memories: planted by ``python -m tests.faults`` too."""

FAULTS = DATAPATH + OTHERS + MEMORY
