"""Jobs through the AXI ports, and what the registers do when they must say no."""

from __future__ import annotations

import itertools
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiResp

from tests.hdl.axi.bus import AxiBench
from tests.hdl.job_bench import Stimulus
from tests.hdl.random_jobs import modes_of, verdict
from tests.hdl.toolkit import random_bits, random_signed, test
from zipsgd.hdl.axi.registers import GROUPS, WORD_BITS, WORD_BYTES, Register, register_map
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import EPOCH_DEPTH
from zipsgd.hdl.contract.job import Mode
from zipsgd.hdl.contract.protocol import Error, epoch_layout, job_layout

KINDS = ("calm", "overflow", "any")
ACCESSES = 20
SENDING = ("s_axi_b", "s_axi_r", "m_axis_model_t", "m_axis_margins_t")
RUNNING = 100
"""Cycles after which a job without data is surely waiting for it."""


async def train(dut: Any, gap: float) -> None:
    """Rounds of a load, passes over samples and a dump, and jobs that must be refused."""
    bench = AxiBench(dut, gap=gap)
    stimulus = Stimulus(bench)
    for kind in KINDS:
        stimulus.add_round(kind)
    await bench.start()
    if gap:
        cocotb.start_soon(bench.probe())
    await bench.send_beats(stimulus.beats)
    await bench.send_words(stimulus.words)
    await bench.write("control_interrupt_enable", 1)
    epochs, first = iter(stimulus.epochs), True
    for packed in stimulus.jobs:
        fields = unpack(job_layout(bench.config), packed)
        await stage(bench, "job", fields)  # while the last one is under way
        if not first:
            await bench.finish_job()
        first = False
        taken = verdict(bench.config, fields) == Error.NONE
        passes = taken and fields["mode"] not in (Mode.LOAD, Mode.DUMP)
        count = fields["epochs"] if passes else 0
        before = int(bench.rng.integers(count + 1)) if gap else count
        await push(bench, [next(epochs) for _ in range(before)])
        await bench.write("control_start", 1)
        await push(bench, [next(epochs) for _ in range(count - before)])
    await bench.finish_job()
    await bench.finish()
    assert bench.refused >= len(KINDS)
    assert bench.seen == set(modes_of(bench.config))
    replay = bench.replay
    assert not (replay.addresses or replay.data or replay.reads), "a request was not answered"
    assert replay.answers > 0
    if gap:
        assert replay.address_first and replay.data_first and bench.probes


async def stage(bench: AxiBench, group: str, fields: dict[str, int]) -> None:
    """Write fields that change, sometimes by bytes, none waiting for the last one's response."""
    writes = []
    for name, value in fields.items():
        register = f"{group}_{name}"
        if bench.stalls and bench.chance(0.1):
            writes.append(cocotb.start_soon(bench.write_in_pieces(register, value)))
        elif bench.replay.values[register] != value:
            writes.append(cocotb.start_soon(bench.write(register, value)))
    for write in writes:
        await write


async def push(bench: AxiBench, epochs: list[int]) -> None:
    for packed in epochs:
        await stage(bench, "epoch", unpack(epoch_layout(bench.config), packed))
        await bench.write("control_push_epoch", 1)


def unpack(layout: Any, packed: int) -> dict[str, int]:
    present = layout.from_bits(packed)
    return {name: int(present[name]) for name, _ in layout}


@test
async def random_stalls(dut: Any) -> None:
    await train(dut, gap=0.3)


@test
async def no_stalls(dut: Any) -> None:
    """The cycle model, to the cycle, through the AXI ports."""
    await train(dut, gap=0.0)


@test
async def rate(dut: Any) -> None:
    """A write or a read every third cycle, each answered three cycles after it was sent."""
    bench = AxiBench(dut, gap=0.0)
    await bench.start()
    for letter, answers in (("w", "b"), ("ar", "r")):
        sent, answered = bench.times(letter), bench.times(answers)
        seeds = random_signed(bench.rng, 31, ACCESSES)
        access = bench.write if letter == "w" else bench.read
        arguments = [(seed,) if letter == "w" else () for seed in np.abs(seeds).tolist()]
        tasks = [cocotb.start_soon(access("job_seed", *more)) for more in arguments]
        for task in tasks:
            await task
        assert np.array_equal(np.array(answered) - sent, [3] * ACCESSES)
        assert np.array_equal(np.diff(answered), [3] * (ACCESSES - 1))


@test
async def apart(dut: Any) -> None:
    """Address and data any time apart: answered three cycles after the later of both."""
    bench = AxiBench(dut, gap=0.0)
    await bench.start()
    write = bench.master.write_if
    for channel in (write.aw_channel, write.w_channel):
        channel.set_pause_generator(bench.chance(0.6) for _ in itertools.count())
    addresses, words, answered = (bench.times(letters) for letters in ("aw", "w", "b"))
    for value in random_signed(bench.rng, 31, 3 * ACCESSES).tolist():
        await bench.write("job_seed", abs(value))
    assert np.array_equal(np.array(answered) - np.maximum(addresses, words), [3] * 3 * ACCESSES)
    assert np.ptp(np.sign(np.subtract(addresses, words))) == 2, "one always came first"


@test
async def registers(dut: Any) -> None:
    """Every address: constants, what reads back, what does not fit, what does not exist."""
    bench = AxiBench(dut, gap=0.2)
    await bench.start()
    for name, register in bench.registers.items():
        if register.value is not None:
            assert await bench.read(name) == register.value, name
        if register.access == "write":
            for value in ((1 << register.bits) - 1, random_bits(bench.rng, register.bits)):
                await bench.write(name, value)
                assert await bench.read(name) == value, name
            value = random_bits(bench.rng, register.bits)
            await bench.write_in_pieces(name, value)
            assert await bench.read(name) == value, name
            await overfill(bench, register, value)
        elif register.access == "read":
            for word in range(register.words):
                address = register.address + WORD_BYTES * word
                await bench.write_bytes(address, 0xFFFFFFFF, WORD_BYTES, AxiResp.SLVERR)
        else:
            assert await bench.read(name) == 0, name
            await overfill(bench, register, 0)
    ends = {r.group: r.address + WORD_BYTES * r.words for r in bench.registers.values()}
    for address in (*ends.values(), 0xFFC, *absent(bench)):
        await bench.write_bytes(address, 1, WORD_BYTES, AxiResp.SLVERR)
        answer = await bench.read_bytes(address, WORD_BYTES)
        assert answer.resp == AxiResp.SLVERR and not any(answer.data)
    assert tuple(ends) == GROUPS
    assert bench.replay.excessive
    kept = bench.replay.values
    for name in kept:
        assert await bench.read(name) == kept[name], f"{name} was changed by another write"
    for name in ("control_busy", "control_epochs_waiting"):
        assert await bench.read(name) == 0, f"{name}: a command that was refused did something"


def absent(bench: AxiBench) -> set[int]:
    """Addresses of fields that this engine is built without."""
    here = {r.address for r in bench.registers.values()}
    lacks = not (bench.config.sample_words and bench.config.coarsening)
    free = {r.address for r in register_map(EngineConfig())} - here
    assert bool(free) == lacks
    return free


async def overfill(bench: AxiBench, register: Register, kept: int) -> None:
    """What has a bit above the register's width is refused, and so is that bit's byte alone."""
    address, name = register.address, register.full_name
    above = range(register.bits, WORD_BITS)
    for bit in sorted({*above[:1], *above[-1:], *bench.rng.permutation(above)[:1].tolist()}):
        value = 1 << bit | kept ^ (1 << register.bits) - 1
        await bench.write(name, value, AxiResp.SLVERR)
        byte = bit // 8
        await bench.write_bytes(address + byte, value >> 8 * byte & 0xFF, 1, AxiResp.SLVERR)
        assert await bench.read(name) == kept, name


@test
async def refusals(dut: Any) -> None:
    """Commands while a job is under way, a full queue, a refused job, and reset in the middle."""
    bench = AxiBench(dut, gap=0.2)
    await bench.start()
    config, slverr = bench.config, AxiResp.SLVERR

    # A full queue takes no more, and forgets all when told to.
    for _ in range(EPOCH_DEPTH + 1):
        if await bench.read("control_epochs_waiting") == EPOCH_DEPTH:
            break
        await bench.write("control_push_epoch", 1)
    await bench.write("control_push_epoch", 1, slverr)
    await bench.write("control_push_epoch", 0)
    assert await bench.read("control_epochs_waiting") == EPOCH_DEPTH
    await bench.write("control_clear_epochs", 1)
    assert await bench.read("control_epochs_waiting") == 0

    # A refused job ends at once, says why, and leaves the queue alone.
    await bench.write("control_push_epoch", 1)
    await bench.write("job_mode", Mode.TRAIN)
    await bench.write("control_interrupt_enable", 1)
    await bench.write_bytes(bench.registers["control_start"].address + 1, 0, 1)  # byte 0 is idle
    assert not await bench.read("control_done")
    await bench.write("control_start", 1)
    bench.present = None  # this test compares the status itself
    await bench.tick(RUNNING)
    assert await bench.read("control_done") and bench.irq.get()
    assert Error(await bench.read("status_error")) == Error.RANGE
    assert await bench.read("control_epochs_waiting") == 1
    await bench.write("control_done", 0)
    assert bench.irq.get()
    await bench.write("control_done", 1)
    assert not await bench.read("control_done") and not bench.irq.get()
    await bench.write("control_clear_epochs", 1)

    # While a load waits for its words nothing starts; registers may change, the job does not.
    bench.epochs_taken.clear()
    await bench.write("job_mode", Mode.LOAD)
    await bench.write("job_chunks", 1)
    await bench.write("control_start", 1)
    await bench.tick(RUNNING)
    assert await bench.read("control_busy") and not await bench.read("control_done")
    await bench.write("control_start", 1, slverr)
    await bench.write("control_clear_epochs", 1, slverr)
    await bench.write("job_mode", Mode.DUMP)
    await bench.write("job_chunks", config.max_chunks)
    assert await bench.read("control_busy")
    words = np.arange(config.lanes) - 1
    await bench.send_words(words.tolist())
    await bench.finish_job()
    assert not bench.golden.x[config.lanes :].any() and bench.golden.x[0] == -1

    # A reset in the middle of a job ends it.
    await bench.write("job_mode", Mode.LOAD)
    await bench.write("control_start", 1)
    bench.present = None
    await bench.tick(RUNNING)
    assert await bench.read("control_busy")
    dut.aresetn.value = 0
    for _ in range(2):
        await RisingEdge(dut.aclk)
    assert not any(bench.port(f"{channel}valid").get() for channel in SENDING)
    dut.aresetn.value = 1
    await bench.tick()
    bench.replay.values = dict.fromkeys(bench.replay.values, 0)
    for name in ("control_busy", "control_done", *bench.replay.values):
        assert await bench.read(name) == 0, name

    # A model that is loaded after it is there.
    await bench.write("control_interrupt_enable", 1)
    await bench.write("job_chunks", config.max_chunks)
    words = random_signed(bench.rng, config.model_bits, config.max_features)
    await bench.send_words(words.tolist())
    for mode in (Mode.LOAD, Mode.DUMP):
        await bench.write("job_mode", mode)
        await bench.write("control_start", 1)
        await bench.finish_job()
    await bench.tick(RUNNING)
    for board in (bench.words, bench.model_packets):
        board.finish()
