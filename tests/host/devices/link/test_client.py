"""The client on a line that only has a rate: order, windows, limits, refusals, counters."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from tests.host.devices.link.hash_device import CONFIG, HashDevice
from zipsgd.hdl.link.codec import Deframer, decode
from zipsgd.hdl.link.frames import CRC_BYTES, MAX_PAYLOAD, REQUEST_BYTES, Code, Command, Request
from zipsgd.hdl.link.identity import Identity
from zipsgd.host.devices.link.client import RETRY_S, LinkClient, recovering
from zipsgd.host.devices.link.requests import RefusedError, SessionLostError
from zipsgd.host.errors import DeviceError
from zipsgd.sim.line import SimulatedLine

LINE_RATE = 0.9


def open_line(**options: float) -> tuple[HashDevice, SimulatedLine, LinkClient]:
    device = HashDevice()
    line = SimulatedLine(device, **options)  # type: ignore[arg-type]
    return device, line, LinkClient(line)


def test_upload_keeps_the_line_full() -> None:
    """>= 90 % of the line's rate, with COBS, headers and a bridge that takes 2 ms each way."""
    device, line, link = open_line(bytes_per_s=300_000, delay_s=2e-3)
    link.connect()
    data, begin = random.Random(1).randbytes(16000), line.clock.now()
    link.write(Command.WRITE_MEMORY, data, phase="uploading")
    assert device.memory[:16000] == data
    assert len(data) / (line.clock.now() - begin) >= LINE_RATE * line.bytes_per_s
    assert link.traffic.retries == link.traffic.damaged == link.traffic.stale == 0
    assert link.traffic.payload_bytes == len(data)
    assert link.traffic.frames == 1 + math.ceil(len(data) / MAX_PAYLOAD)


@pytest.mark.parametrize("buffer_bytes", [1100, 4096, 8192])
def test_never_more_unanswered_than_the_buffer_holds(buffer_bytes: int) -> None:
    """An answer frees the room of its request, and of none before it is there."""
    device = HashDevice(buffer_bytes=buffer_bytes)
    line = SimulatedLine(device)
    link, outstanding, most = LinkClient(line), 0, 0
    write, judge = line.write, device.receive
    deframer = Deframer()

    def count(data: bytes) -> None:
        nonlocal outstanding, most
        for block in deframer.feed(data):
            outstanding += REQUEST_BYTES + len(decode(Request, block)[1]) + CRC_BYTES
            most = max(most, outstanding)
        write(data)

    def answered(data: bytes) -> bytes:
        nonlocal outstanding
        size = sum(
            REQUEST_BYTES + len(decode(Request, block)[1]) + CRC_BYTES
            for block in Deframer().feed(data)
        )
        replies = judge(data)
        outstanding -= size if replies else 0
        return replies

    line.write, device.receive = count, answered  # type: ignore[method-assign]
    link.connect()
    link.write(Command.WRITE_MEMORY, bytes(16000), phase="uploading")
    longest = REQUEST_BYTES + MAX_PAYLOAD + CRC_BYTES
    assert buffer_bytes - longest < most <= buffer_bytes
    assert outstanding == 0


def test_commands_come_after_the_data_before_them() -> None:
    """A job is started when all that was written before has been, also if the first piece of it is
    lost and everything after arrives."""
    device, line, link = open_line()
    link.connect()
    order: list[int] = []
    execute = device.link._execute
    device.link._execute = lambda header, payload: (
        order.append(header.command) or execute(header, payload)  # type: ignore[func-returns-value]
    )
    carried, write = 0, line.write

    def lose_first(data: bytes) -> None:
        nonlocal carried
        carried += 1
        if carried > 1:
            write(data)

    line.write = lose_first  # type: ignore[method-assign]
    link.write(Command.WRITE_MEMORY, bytes(3000), phase="uploading")
    link.request(Command.RUN, bytes(20), phase="starting")
    assert order == [Command.WRITE_MEMORY] * 3 + [Command.RUN]
    assert link.traffic.retries == 3  # at once, without waiting for the time to be over
    assert line.clock.now() < 0.05


def test_that_it_was_executed_is_not_its_answer() -> None:
    """The answer is lost, and a request from before, doubled on the line, is answered with how far
    the device is."""
    device, _, link = open_line()
    link.connect()
    seen: list[bytes] = []
    receive = device.receive

    def hear(data: bytes) -> bytes:
        seen.append(data)
        replies = receive(data)
        return receive(seen[0]) if len(seen) == 3 else replies

    device.receive = hear
    answers = [link.request(Command.ECHO, bytes([n]) * 5, phase="asking") for n in range(4)]
    assert answers == [bytes([n]) * 5 for n in range(4)]
    assert link.traffic.retries == 1


def test_patience_is_renewed_by_progress() -> None:
    """Every second answer of an upload is lost; the wait for the next is as short as ever."""
    device = HashDevice(buffer_bytes=1100)
    line = SimulatedLine(device)
    link = LinkClient(line)
    link.connect()
    receive, heard = device.receive, 0

    def hear(data: bytes) -> bytes:
        nonlocal heard
        replies = receive(data)
        heard += 1
        return replies if heard % 2 == 0 else b""

    device.receive = hear
    begin = line.clock.now()
    link.write(Command.WRITE_MEMORY, bytes(15 * MAX_PAYLOAD), phase="uploading")
    assert link.traffic.retries == 15
    assert line.clock.now() - begin < 15 * 1.5 * RETRY_S


def test_nothing_after_a_refused_request_is_executed() -> None:
    device, _, link = open_line()
    link.connect()
    before = bytes(device.memory)
    with pytest.raises(
        RefusedError, match=r"refused \(RANGE: .*while uploading \(frame 1, "
    ) as error:
        link.write(Command.WRITE_MEMORY, bytes(5000), address=len(before) - 10, phase="uploading")
    assert error.value.code == Code.RANGE
    assert device.memory == before
    # The next call begins a new session, by itself.
    assert link.request(Command.ECHO, b"abc", phase="trying") == b"abc"


def test_reset_is_told_and_the_work_done_anew() -> None:
    device, _, link = open_line()
    link.connect()
    device.reset()
    with pytest.raises(SessionLostError, match="has been reset while asking \\(frame 1, STATUS"):
        link.request(Command.STATUS, phase="asking")
    link.connect()
    tries = []

    def work() -> int:
        tries.append(1)
        device.reset()
        link.request(Command.STATUS, phase="asking")
        return 1

    with pytest.raises(SessionLostError):
        recovering(link, work, attempts=4)
    assert len(tries) == 4


def test_progress_is_told_to_the_end() -> None:
    _, _, link = open_line()
    told: list[tuple[int, int]] = []
    write = lambda done, total: told.append((done, total))  # noqa: E731
    link.write(Command.WRITE_MEMORY, bytes(5000), phase="uploading", progress=write)
    assert told[-1] == (5000, 5000)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    told.clear()
    link.read(Command.READ_MEMORY, 3000, phase="reading", progress=write)
    assert told == [(1024, 3000), (2048, 3000), (3000, 3000)]


def test_another_geometry_names_both() -> None:
    _, _, link = open_line()

    wanted = replace(CONFIG, lanes=32, banks=2)
    with pytest.raises(
        DeviceError, match=r"bitstream is design \w+ \(16 x 4,.*design \w+ \(32 x 2,"
    ):
        link.connect(wanted)


def test_another_protocol_and_another_device() -> None:
    device, _, link = open_line()
    raw = bytearray(device.link._identity)
    raw[4] += 1  # the protocol's version comes after the magic
    device.link._identity = bytes(raw)
    with pytest.raises(DeviceError, match="version 2 of the link and this host has version 1"):
        link.connect()
    device.link._identity = b"AT OK"
    with pytest.raises(DeviceError, match="is no zipsgd device"):
        link.connect()


def test_identity_goes_both_ways() -> None:
    identity = Identity(
        config=CONFIG,
        digest=2**64 - 1,
        clock_hz=1,
        buffer_bytes=4096,
        memory_bytes=2**39,
        word_bytes=2,
    )
    assert Identity.from_bytes(identity.to_bytes()) == identity
