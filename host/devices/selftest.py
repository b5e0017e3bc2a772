"""Is this device sound? Its link, its memory, and a training with a known answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Epoch, Job, Step
from zipsgd.hdl.link.frames import MAX_PAYLOAD, Command

from ..codes.weaving import Woven, code_range, weave
from ..errors import InputError, MismatchError
from .interface import SIMULATED
from .link.client import Progress
from .linked_device import LinkedDevice
from .open import SERIAL, find_device, on_line
from .software import GoldenDevice

ECHOES = 64
MEMORY_BYTES = 1 << 15
"""Of the memory's beginning, and as much of its end."""

SAMPLES, BITS, EPOCHS = 500, 4, 4
SEED = 1


@dataclass(frozen=True)
class Passed:
    """A part of the test that the device has passed."""

    part: str
    found: str


def open_linked(name: str, progress: Progress | None = None) -> LinkedDevice:
    """The device called ``name``, of whatever geometry if it is a board; ``progress`` is that of
    `LinkedDevice`.

    Raises
    ------
    InputError
        If it is none that is behind a link.
    DeviceError
        See `LinkedDevice`.
    """
    found, line = find_device(name, progress=progress), on_line(name, progress)
    if name != SIMULATED and line is None:
        raise InputError(
            f"{name} has no link that could be tested; use {SERIAL}PORT[@BAUD] or {SIMULATED}"
        )
    device = found(EngineConfig()) if line is None else line(None)
    assert isinstance(device, LinkedDevice)
    return device


def selftest(device: LinkedDevice) -> Iterator[Passed]:
    """Test one part after the other.

    Raises
    ------
    MismatchError
        If the device gives other bits than it should.
    DeviceError
        If its link fails.
    """
    rng = np.random.default_rng(SEED)
    identity, clock = device.identity, device.link.transport.clock
    yield Passed("identity", f"{identity.describe()}, {identity.memory_bytes} bytes of memory")
    begin = clock.now()
    for length in (0, 1, MAX_PAYLOAD, *rng.integers(MAX_PAYLOAD + 1, size=ECHOES)):
        sent = rng.bytes(int(length))
        _same(device, sent, device.link.request(Command.ECHO, sent, phase="testing the link"))
    traffic, seconds = device.link.traffic, clock.now() - begin
    rate = traffic.payload_bytes / seconds / 1000
    yield Passed("link", f"{rate:.0f} kB/s each way by turns, {traffic.retries} frames sent again")
    yield Passed("memory", f"{_test_memory(device, rng)} bytes written and read back")
    device.forget_samples()
    job, woven = known_training(device.config, rng)
    golden = GoldenDevice(device.config)
    for each in (golden, device):
        each.load_model(np.zeros(job.chunks * device.config.lanes, dtype=np.int64))
    expected, counters = golden.run(job, woven), device.run(job, woven)
    right, found = golden.read_model(job.chunks), device.read_model(job.chunks)
    if not np.array_equal(right, found):
        word = int(np.argmax(right != found))
        raise MismatchError(
            f"{device.link.transport.name}: after a training model word {word} is {found[word]} "
            f"instead of {right[word]}; lower the clock rate, or check the bitstream's timing"
        )
    yield Passed(
        "training",
        f"{right.size} model words right, {counters.cycles} cycles, {expected.cycles} predicted",
    )


def _test_memory(device: LinkedDevice, rng: np.random.Generator) -> int:
    """Bytes of both ends of the memory that were right: an address line that is stuck shows."""
    size = device.identity.memory_bytes
    part = min(MEMORY_BYTES, size)
    places = {0: rng.bytes(part)}
    if size >= 2 * part:
        places[size - part] = rng.bytes(part)
    phase = "testing the memory"
    for address, data in places.items():
        device.link.write(Command.WRITE_MEMORY, data, address=address, phase=phase)
    for address, data in places.items():
        back = device.link.read(Command.READ_MEMORY, part, address=address, phase=phase)
        _same(device, data, back, address)
    return sum(map(len, places.values()))


def _same(device: LinkedDevice, sent: bytes, back: bytes, address: int = 0) -> None:
    if sent == back:
        return
    pairs = enumerate(zip(sent, back, strict=False))
    place = next((n for n, (one, other) in pairs if one != other), 0)
    raise MismatchError(
        f"{device.link.transport.name}: byte {address + place:#x} came back changed; lower the "
        "clock rate, or check the memory's wiring and timing"
    )


def known_training(config: EngineConfig, rng: np.random.Generator) -> tuple[Job, Woven]:
    """A small training that every device of a geometry can run, and its data."""
    bits = min(BITS, config.max_bits)
    chunks = max(1, min(config.max_chunks, config.replay_beats // bits) // 2)
    samples = min(SAMPLES, 8 * config.banks * 16)
    least, most = code_range(bits, False)
    limit = 1 << (config.model_frac - 1)
    woven = weave(
        rng.integers(least, most + 1, (samples, chunks * config.lanes)),
        rng.integers(-limit, limit, samples),
        bits,
        config,
    )
    job = Job(
        epochs=(Epoch(step=Step.nearest(2.0**-8, config)),) * EPOCHS,
        bits=bits,
        chunks=chunks,
        groups=woven.groups,
        batch_groups=2,
        delay=1,
        sync=False,
        corrected=True,
        seed=SEED,
    )
    return job, woven
