"""The whole device, compiled, driven by the host through frames: equal to the golden model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.geometries import GEOMETRIES
from tests.host.devices.link.test_serial_port import board
from tests.sim.test_verilated import random_case, random_words
from zipsgd.hdl.contract.formats import EPOCH_DEPTH
from zipsgd.hdl.contract.job import Job, Mode
from zipsgd.hdl.contract.protocol import Error, pack_job
from zipsgd.hdl.device.layouts import run_layout
from zipsgd.hdl.link.frames import Code, Command, DeviceStatus, from_bytes, to_bytes
from zipsgd.host.codes.weaving import Woven
from zipsgd.host.devices import linked_device
from zipsgd.host.devices.interface import samples_of
from zipsgd.host.devices.link.client import LinkClient
from zipsgd.host.devices.link.requests import RefusedError
from zipsgd.host.devices.linked_device import LinkedDevice
from zipsgd.host.devices.open import find_device
from zipsgd.host.devices.selftest import selftest
from zipsgd.host.errors import DeviceError, InputError, MismatchError
from zipsgd.sim.byte_port import BytePort
from zipsgd.sim.golden import Golden, Ints, predict_cycles
from zipsgd.sim.line import KINDS, Faults, SimulatedLine
from zipsgd.sim.memory import Waits
from zipsgd.sim.whole_device import FIRST_WORD_CYCLES, memory_signature, open_whole_device

MEMORY_BYTES = 1 << 13
CONFIG = GEOMETRIES["16x1"]


@pytest.fixture(scope="module")
def opened() -> Iterator[BytePort]:
    """A device, compiled once."""
    with closing(open_whole_device(CONFIG, memory_bytes=MEMORY_BYTES)) as port:
        yield port


@pytest.fixture
def port(opened: BytePort) -> BytePort:
    """The device, as after power has come."""
    attach_memory(opened)
    return opened


def attach_memory(port: BytePort, waits: Waits | None = None) -> None:
    signature = memory_signature(CONFIG, MEMORY_BYTES)
    port.attach_memory(signature, MEMORY_BYTES // CONFIG.beat_bytes, waits)


def train(device: LinkedDevice, seed: int) -> None:
    """Jobs of a random case, on the device and on the golden model."""
    first, copies = random_case(CONFIG, seed, copies=1 + seed % 2)
    golden = Golden(CONFIG)
    words = random_words(CONFIG, first.chunks, np.random.default_rng(seed)) >> 4
    golden.load(words)
    device.load_model(words)
    for mode in (Mode.TRAIN, Mode.PREDICT, Mode.EVALUATE, Mode.TRAIN):
        job = replace(first, mode=mode)
        expected = golden.run(job, *(samples_of(copy, CONFIG) for copy in copies))
        counters = device.run(job, *copies)
        assert counters.cycles >= expected.cycles
        expected.cycles = counters.cycles
        assert counters == expected, f"random_case(CONFIG, {seed}), {mode.name}"
        if mode == Mode.PREDICT:
            np.testing.assert_array_equal(device.margins(), golden.margins)
        np.testing.assert_array_equal(device.read_model(job.chunks), golden.x)


def test_jobs_equal_golden(port: BytePort) -> None:
    link = LinkClient(port)
    device = LinkedDevice(link, CONFIG)
    for seed in range(8):
        train(device, seed)
    assert link.traffic.retries == link.traffic.damaged == link.traffic.stale == 0


def test_more_epochs_than_the_queue_holds(port: BytePort) -> None:
    device = LinkedDevice(LinkClient(port))
    job, copies = random_case(CONFIG, 0, copies=3)
    epochs = tuple(job.epochs[n % len(job.epochs)] for n in range(3 * EPOCH_DEPTH + 5))
    for mode in (Mode.TRAIN, Mode.PREDICT):
        job = replace(job, mode=mode, epochs=epochs)
        golden = Golden(CONFIG)
        words = random_words(CONFIG, job.chunks, np.random.default_rng(0)) >> 4
        golden.load(words)
        device.load_model(words)
        expected = golden.run(job, *(samples_of(copy, CONFIG) for copy in copies))
        assert device.run(job, *copies).beats == expected.beats
        np.testing.assert_array_equal(device.read_model(job.chunks), golden.x)
    np.testing.assert_array_equal(device.margins(), golden.margins)


def test_samples_stay_while_there_is_room(port: BytePort) -> None:
    link = LinkClient(port)
    device = LinkedDevice(link)
    job, (first, second) = random_case(CONFIG, 2, groups=100, copies=2)
    device.load_model(random_words(CONFIG, job.chunks, np.random.default_rng(2)) >> 4)

    def uploaded(woven: Woven) -> int:
        before = link.traffic.payload_bytes
        device.run(job, woven)
        return link.traffic.payload_bytes - before

    assert uploaded(first) > first.beats.nbytes
    assert uploaded(first) < 200
    assert uploaded(second) > second.beats.nbytes
    assert uploaded(first) < 200
    large, (woven,) = random_case(CONFIG, 2, groups=1 + MEMORY_BYTES // job.group_beats(CONFIG))
    with pytest.raises(InputError, match="use fewer copies, fewer bits or fewer samples"):
        device.run(large, woven)


def test_straight_into_the_memory(port: BytePort, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and less over the link."""
    through = LinkedDevice(LinkClient(port), memory=port.memory)
    train(through, 2)
    past = LinkedDevice(LinkClient(port), memory=port.memory)
    monkeypatch.setattr(linked_device, "FAST_LOAD_BYTES", 0)
    train(past, 2)
    assert past.link.traffic.payload_bytes < through.link.traffic.payload_bytes


def test_only_so_much_passes_a_simulated_link(
    port: BytePort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two sets that are as much together the first does."""
    device = LinkedDevice(LinkClient(port), memory=port.memory)
    job, (first, second) = random_case(CONFIG, 2, groups=100, copies=2)
    device.load_model(random_words(CONFIG, job.chunks, np.random.default_rng(2)) >> 4)
    for limit, through in ((1, (True, False)), (0, (False, False))):
        monkeypatch.setattr(linked_device, "FAST_LOAD_BYTES", limit * 2 * first.beats.nbytes)
        device.forget_samples()
        for woven, slow in zip((first, second), through, strict=True):
            before = device.link.traffic.payload_bytes
            device.run(job, woven)
            assert (device.link.traffic.payload_bytes - before > woven.beats.nbytes) == slow


@pytest.mark.parametrize("waits", [Waits(most_wait=40, seed=1), Waits(most_wait=5, gap=0.3)])
def test_slow_memories(waits: Waits, port: BytePort) -> None:
    """Words that come late or not at once change nothing but the cycles."""
    attach_memory(port, waits)
    for seed in range(3):
        train(LinkedDevice(LinkClient(port)), seed)


def test_a_memory_without_gaps_keeps_the_engine_busy(port: BytePort) -> None:
    """Utilisation of 0.99 and more; the cycle model, and the first words' way."""
    device = LinkedDevice(LinkClient(port))
    job, (woven,) = random_case(CONFIG, 0, groups=100)
    job = replace(job, epochs=job.epochs[:1] * 20)
    counters = device.run(job, woven)
    assert counters.cycles == predict_cycles(CONFIG, job) + FIRST_WORD_CYCLES
    assert counters.beats >= 0.99 * counters.cycles


def test_memory_is_read_back_and_ranges_are_kept(port: BytePort) -> None:
    link = LinkClient(port)
    link.connect()
    data = np.random.default_rng(1).bytes(MEMORY_BYTES)
    link.write(Command.WRITE_MEMORY, data, phase="writing")
    assert link.read(Command.READ_MEMORY, MEMORY_BYTES, phase="reading") == data
    assert link.read(Command.READ_MEMORY, 24, address=808, phase="reading") == data[808:832]
    for address, length in ((3, 8), (8, 3), (MEMORY_BYTES - 8, 16)):
        with pytest.raises(RefusedError) as error:
            link.write(Command.WRITE_MEMORY, bytes(length), address=address, phase="writing")
        assert error.value.code == Code.RANGE
        with pytest.raises(RefusedError) as error:
            link.read(Command.READ_MEMORY, length, address=address, phase="reading")
        assert error.value.code == Code.RANGE
    assert link.read(Command.READ_MEMORY, MEMORY_BYTES, phase="reading") == data


def test_commands_that_have_nothing_to_do_end(port: BytePort) -> None:
    """No job is there that would give or take."""
    link = LinkClient(port)
    link.connect()
    assert link.request(Command.READ_MODEL, phase="reading", count=8) == b""
    assert link.request(Command.READ_MARGINS, phase="reading", count=8) == b""
    for command, payload, code in (
        (Command.WRITE_MODEL, bytes(64), Code.BUSY),
        (Command.RUN, bytes(3), Code.RANGE),
        (Command.WRITE_EPOCHS, bytes(1000), Code.RANGE),
    ):
        with pytest.raises(RefusedError) as error:
            link.request(command, payload, phase="trying")
        assert error.value.code == code


def test_a_job_that_the_engine_refuses_leaves_the_device_idle(
    port: BytePort,
) -> None:
    link = LinkClient(port)
    device = LinkedDevice(link)
    job, _ = random_case(CONFIG, 0)
    layout = run_layout(CONFIG, CONFIG.beat_bits, MEMORY_BYTES // CONFIG.beat_bytes)
    fields = layout["job"].shape.from_bits(pack_job(CONFIG, job))
    wrong = {**{name: fields[name] for name, _ in layout["job"].shape}, "delay": 0}
    plan = {"beats": 50, "copies": 1, "epochs": 2}
    link.request(Command.RUN, to_bytes(layout, {"job": wrong, "plan": plan}), phase="starting")
    status = from_bytes(DeviceStatus, link.request(Command.STATUS, phase="asking"))
    assert (status.busy, status.engine.error) == (0, Error.RANGE)
    train(device, 1)


def test_a_running_job_is_abandoned(port: BytePort) -> None:
    """A job whose epochs never come is reset after a while, with a sentence; then all is well."""
    link = LinkClient(port, limit_s=0.01)
    device = LinkedDevice(link)
    job, _ = random_case(CONFIG, 0)

    def start(job: Job) -> None:
        device._start(pack_job(CONFIG, job), {"beats": 50, "copies": 1, "epochs": 2}, "starting")

    start(job)
    with pytest.raises(RefusedError, match="BUSY: a job is under way"):
        start(job)
    with pytest.raises(DeviceError, match=r"no progress for 0.01 s while waiting.*epoch 0, "):
        device._wait("waiting")
    train(device, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_training_over_a_line_with_faults(kind: str, port: BytePort) -> None:
    """Resets at more moments than one: what the device has lost is different in each."""
    for seed in range(4 if kind == "device reset" else 1):
        faults = Faults(kind, seed)
        train(LinkedDevice(LinkClient(SimulatedLine(port, faults=faults))), 0)
        assert faults.struck


def test_over_a_serial_port(port: BytePort, tmp_path: Path) -> None:
    """The device as the command line opens it, at the other end of a pseudo-terminal."""
    with board(tmp_path / "tty", port) as path:
        device = find_device(f"serial:{path}@3000000")(CONFIG)
        assert isinstance(device, LinkedDevice)
        train(device, 0)
        device.close()


def test_selftest(port: BytePort) -> None:
    """A sound device passes; a bit of its memory that is stuck, or an engine that errs, is seen."""
    assert [passed.part for passed in selftest(LinkedDevice(LinkClient(port)))] == [
        *("identity", "link", "memory", "training"),
    ]
    device = LinkedDevice(LinkClient(port))
    read = device.link.read

    def stuck(command: int, count: int, **options: Any) -> bytes:
        data = bytearray(read(command, count, **options))
        data[len(data) // 2] |= 1
        data[len(data) // 3] &= 0xFE
        return bytes(data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device.link, "read", stuck)
        with pytest.raises(MismatchError, match=r"simulated device: byte 0x\w+ came back changed"):
            list(selftest(device))
    device = LinkedDevice(LinkClient(port))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "read_model", lambda chunks: read_model(device, chunks))
        with pytest.raises(MismatchError, match="after a training model word 2 is "):
            list(selftest(device))


def read_model(device: LinkedDevice, chunks: int) -> Ints:
    words = LinkedDevice.read_model(device, chunks)
    words[2] ^= 1
    return words
