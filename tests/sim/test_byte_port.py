"""The host's client and the gateware's link, compiled: rates, and faults in between."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.hdl.memory.device import MemoryDevice
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.lib.source_digest import design_digest
from zipsgd.hdl.lib.verilog import to_verilog
from zipsgd.hdl.link.frames import Command
from zipsgd.hdl.link.identity import Identity
from zipsgd.hdl.link.link import BUFFER_BYTES
from zipsgd.host.devices.link.client import LinkClient, recovering
from zipsgd.host.devices.link.requests import RefusedError
from zipsgd.sim.build import TOP
from zipsgd.sim.byte_port import BytePort
from zipsgd.sim.line import KINDS, Faults, SimulatedLine

CLOCK_HZ, BAUD = 12_000_000, 3_000_000
"""The slowest clock for the fastest line: four cycles a bit."""

LINE_RATE = 0.9
MEMORY_BYTES = 1 << 14
RUNS = max(int(os.environ.get("ZIPSGD_FAULTS", "20")) // 10, 1)


def device(uart: tuple[float, int] | None) -> str:
    config = EngineConfig()
    identity = Identity(
        config=config,
        digest=design_digest(config),
        clock_hz=CLOCK_HZ,
        buffer_bytes=BUFFER_BYTES,
        memory_bytes=MEMORY_BYTES,
        word_bytes=1,
    )
    return to_verilog(MemoryDevice(identity.to_bytes(), MEMORY_BYTES, uart), TOP, reset=False)


@pytest.fixture(scope="module")
def stream_device() -> Iterator[BytePort]:
    port = BytePort(device(None), clock_hz=CLOCK_HZ)
    yield port
    port.close()


def test_upload_fills_a_uart_of_3_megabaud() -> None:
    """>= 90 % of the line's rate with all of its overhead, through the gateware of both ends; not a
    frame is lost or sent twice."""
    port = BytePort(device((CLOCK_HZ, BAUD)), clock_hz=CLOCK_HZ, bytes_per_s=BAUD / 10)
    link = LinkClient(port)
    assert link.connect().memory_bytes == MEMORY_BYTES
    data, begin = random.Random(2).randbytes(MEMORY_BYTES), port.now()
    link.write(Command.WRITE_MEMORY, data, phase="uploading")
    rate = len(data) / (port.now() - begin)
    assert rate >= LINE_RATE * port.bytes_per_s, f"{rate / port.bytes_per_s:.3f} of the line rate"
    assert link.read(Command.READ_MEMORY, len(data), phase="reading back") == data
    assert link.traffic.retries == link.traffic.damaged == link.traffic.stale == 0
    link.close()


def work(link: LinkClient, data: bytes) -> bytes:
    """Write, overwrite in part, read back."""
    link.connect()
    link.write(Command.WRITE_MEMORY, data, phase="uploading")
    link.write(Command.WRITE_MEMORY, data[:700], address=3000, phase="uploading")
    assert link.request(Command.ECHO, data[:50], phase="asking") == data[:50]
    return link.read(Command.READ_MEMORY, len(data), phase="reading back")


@pytest.mark.parametrize("kind", KINDS)
def test_recovers_bit_for_bit(kind: str, stream_device: BytePort) -> None:
    data = random.Random(3).randbytes(8000)
    right = data[:3000] + data[:700] + data[3700:]
    for seed in range(RUNS):
        stream_device.reset()
        faults = Faults(kind, seed)
        link = LinkClient(SimulatedLine(stream_device, faults=faults))
        result = recovering(link, lambda link=link: work(link, data), 9)  # type: ignore[misc]
        assert result == right, f"{kind}, seed {seed}"
        assert faults.struck


def test_what_the_device_does_not_know(stream_device: BytePort) -> None:
    stream_device.reset()
    link = LinkClient(stream_device)
    with pytest.raises(RefusedError, match="UNKNOWN: it does not know this command"):
        link.request(Command.RUN, b"job", phase="starting")
