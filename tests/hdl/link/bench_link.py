"""Requests of every kind, sound and damaged, in order and not: the bytes that go back, and what
the device is told to execute, are those of `sim.link.LinkModel`."""

from __future__ import annotations

import zlib
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from tests.hdl.toolkit import PATIENCE_CYCLES, Bench, Stream, plain, test
from zipsgd.hdl.link.codec import encode
from zipsgd.hdl.link.frames import (
    DELIMITER,
    MAX_PAYLOAD,
    NO_SESSION,
    Code,
    Command,
    LinkCounters,
    ReplyByte,
    Request,
)
from zipsgd.sim.link import LinkModel

IDENTITY = bytes(range(1, 88))
BUFFER_BYTES = 4096
BURSTS = 3
ANSWER_CYCLES = 80
LEFT = 6
DELIMITER_BYTE = bytes([DELIMITER])


def is_refused(header: Any) -> bool:
    return bool(header.address % 2)


def execute(header: Any, payload: bytes) -> tuple[int, bytes]:
    """The bench's device: refuses some; the answer depends on every bit of a request."""
    if is_refused(header):
        return Code(header.address % len(Code) or 1), b""
    seed = zlib.crc32(payload, header.address & 0xFFFFFFFF)
    return Code.OK, np.random.default_rng(seed).bytes(min(header.count, MAX_PAYLOAD))


def cut_short(frame: bytes) -> bytes:
    """``frame`` with a last block that says that more should come; all else is right."""
    line, place = bytearray(frame), 0
    while line[place + line[place]] != DELIMITER:
        place += line[place]
    line[place] += 1
    return bytes(line)


class LinkBench(Bench):
    """The host's side is random, the device's side is `execute` after random pauses."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.model = LinkModel(IDENTITY, self.watch_model)
        self.replies = self.scoreboard("reply byte")
        self.executed = self.scoreboard("command")
        self.i = Stream(self, "i", 8, self.watch_line)
        self.o = Stream(self, "o", 8, self.replies.observe)
        self.command = Stream(self, "command", Request)
        self.monitor(self.skip_data)
        self.data = Stream(self, "data", 8)
        self.answer = Stream(self, "answer", ReplyByte)
        self.counters = self.port("counters", LinkCounters)
        self.session = self.sequence = 0
        self.executing = False
        self.monitor(self.watch_ready)

    async def begin(self) -> None:
        inputs = (self.i, self.answer)
        drains = (self.o, self.command, self.data)
        await self.reset(
            *(stream.valid for stream in inputs),
            *(stream.payload for stream in inputs),
            *(stream.ready for stream in drains),
        )

    async def send(self, line: bytes, gap: float) -> None:
        """Bytes to the device, as far apart as it was promised."""
        cycles = self.parameters["byte_cycles"]
        if cycles == 1:
            await self.i.send(line, gap)
            return
        for byte in line:
            await self.i.send([byte], gap)
            await self.tick(cycles - 1)

    def watch_line(self, byte: int) -> None:
        for reply in self.model.receive(bytes([byte])):
            self.replies.expect(reply)

    def watch_model(self, header: Any, payload: bytes) -> tuple[int, bytes]:
        self.executed.expect([plain(header), None if is_refused(header) else list(payload)])
        return execute(header, payload)

    def watch_ready(self) -> None:
        assert self.i.ready.get(), "the line cannot wait"

    def skip_data(self) -> None:
        if not self.executing:
            self.data.drop()

    async def run_device(self, gap: float) -> None:
        """Execute commands for ever. Of a payload that is refused any part is taken."""
        layout = Request.as_shape()
        while True:
            await self.tick()
            while self.chance(gap):
                await self.tick()
            fields = await self.take(self.command)
            self.executing = True
            header = layout.from_bits(layout.const(fields).as_bits())
            wanted = fields["length"]
            if is_refused(header):
                wanted = int(self.rng.integers(wanted + 1))
            payload = [await self.take(self.data) for _ in range(wanted)]
            self.executed.observe([fields, None if is_refused(header) else payload])
            code, reply = execute(header, bytes(payload))
            items = [{"data": byte, "end": 0, "code": code} for byte in reply]
            await self.answer.send([*items, {"data": 0, "end": 1, "code": code}], gap / 4)
            self.executing = False

    async def take(self, stream: Stream) -> Any:
        """The next item of a stream, and be not ready for another."""
        stream.ready.set(1)
        while True:
            await FallingEdge(self.clock)
            valid, item = stream.valid.get(), stream.payload.get() if stream.valid.get() else None
            await self.tick()
            if valid:
                stream.ready.set(0)
                return item

    def request(self, command: int, length: int = 0, **fields: int) -> bytes:
        """The next request of the session, unless ``fields`` say otherwise."""
        header = {"session": self.session, "sequence": self.sequence, "command": command, **fields}
        return encode(Request, header, self.rng.bytes(length))

    def connect(self) -> bytes:
        self.session, self.sequence = int(self.rng.integers(1, 1 << 32)), 0
        return self.request(Command.IDENTIFY)

    def in_order(self, length: int | None = None) -> bytes:
        """A request whose turn it is if nothing before it is refused."""
        self.sequence = (self.sequence + 1) & 0xFFFF
        if length is None:  # long ones are rare, or they would be most of the bytes
            length = int(self.rng.choice([0, 1, 40, MAX_PAYLOAD], p=[0.4, 0.2, 0.38, 0.02]))
        command = int(self.rng.integers(1, len(Command) + 3))
        count = int(self.rng.choice([0, 1, 30, MAX_PAYLOAD], p=[0.4, 0.2, 0.38, 0.02]))
        address = 2 * int(self.rng.integers(1 << 39))
        return self.request(command, length, count=count, address=address)

    def out_of_order(self) -> bytes:
        """One that is refused, too early, late, of another session, or damaged."""
        sequence = (self.sequence + 1) & 0xFFFF
        other = int(self.rng.integers(1 << 16))
        frame = self.request(Command.STATUS, 8, sequence=sequence, count=8)
        match int(self.rng.integers(8)):
            case 0:
                return self.request(Command.RUN, 8, sequence=sequence, address=other | 1)
            case 1:
                return self.request(Command.STATUS, sequence=other)
            case 2:
                return self.request(Command.ECHO, 8, session=other)
            case 3:
                place = int(self.rng.integers(len(frame) - 1))
                return frame[:place] + self.rng.bytes(1) + frame[place + 1 :]
            case 4:
                return frame[int(self.rng.integers(len(frame))) :]
            case 5:
                return self.rng.bytes(int(self.rng.integers(40))) + DELIMITER_BYTE
            case 6:
                wrong = MAX_PAYLOAD + int(self.rng.integers(1, 3))
                return self.request(Command.ECHO, wrong, sequence=sequence)
        return self.request(Command.ECHO, 20, sequence=self.sequence)

    def burst(self) -> bytes:
        """As many requests as may be unanswered."""
        line, room = b"", BUFFER_BYTES
        last = b""
        while True:
            kind = self.rng.random()
            before = self.sequence
            frame = self.in_order() if kind < 0.6 else last if kind < 0.75 else self.out_of_order()
            room -= len(frame)
            if room < 0 or self.chance(0.03):
                self.sequence = before
                return line
            line += frame + DELIMITER_BYTE * self.chance(0.2)
            if kind < 0.6:
                last = frame

    async def settle(self) -> None:
        """Until everything that is due has been answered."""
        for _ in range(PATIENCE_CYCLES):
            await self.tick(50)
            if not self.replies.missing and not self.executed.missing:
                return
        raise AssertionError(f"{self.replies.missing} reply bytes did not come")

    def check_counters(self, **expected: int) -> None:
        counters = self.counters.get()
        for name, count in {**self.model.counters, **expected}.items():
            assert counters[name] == count, f"{name}: {counters[name]} instead of {count}"


async def run(dut: Any, gap: float) -> None:
    bench = LinkBench(dut)
    await bench.begin()
    cocotb.start_soon(bench.o.drain(gap))
    cocotb.start_soon(bench.run_device(gap))
    strangers = [bench.request(Command.ECHO, 3, session=number) for number in (NO_SESSION, 5)]
    first = [bench.connect(), bench.in_order(1), bench.in_order(2)]
    again = [bench.request(Command.ECHO, 9, sequence=number) for number in (0, 1, 2, 4)]
    line = [*strangers, *first, *again, cut_short(bench.in_order(3))]
    await bench.send(b"".join(line), gap)
    assert bench.model.counters == {"damaged": 1, "repeated": 4}
    await bench.settle()
    slow = bench.parameters["byte_cycles"] > 1
    for number in range(1 if slow else BURSTS):
        start = bench.connect() if number != 1 else b""
        # The same again once in a while, as if the answer had been lost.
        await bench.send(start + start * bench.chance(0.5) + bench.burst(), gap)
        await bench.settle()
    bench.check_counters(crowded=0)
    assert min(bench.model.counters.values()) > 0
    await bench.finish()


@test
async def random_gaps(dut: Any) -> None:
    await run(dut, gap=0.3)


@test
async def no_gaps(dut: Any) -> None:
    """Full bursts at a byte a cycle find room, whatever is in them."""
    await run(dut, gap=0.0)


async def with_device(dut: Any) -> LinkBench:
    """A link whose device answers at once, and whose answers are taken at once."""
    bench = LinkBench(dut)
    await bench.begin()
    cocotb.start_soon(bench.o.drain(0.0))
    cocotb.start_soon(bench.run_device(0.0))
    return bench


@test
async def what_is_left_of_a_payload_is_skipped(dut: Any) -> None:
    """Commands that are refused before their payload was taken, each before one that takes it."""
    bench = await with_device(dut)
    await bench.send(bench.connect(), 0.0)
    for address in range(1, 2 * LEFT, 2):
        refused = bench.request(Command.RUN, LEFT, sequence=bench.sequence + 1, address=address)
        await bench.send(refused, 0.0)
        bench.sequence += 1  # that of a refused one is the next one's
        taken = bench.request(Command.WRITE_MEMORY, LEFT, sequence=bench.sequence)
        await bench.send(taken, 0.0)
    await bench.settle()
    assert bench.executed.compared == 2 * LEFT
    await bench.finish()


@test
async def sequence_wraps(dut: Any) -> None:
    bench = await with_device(dut)
    bench.session, bench.sequence = 9, 0xFFFE
    await bench.send(bench.request(Command.IDENTIFY), 0.0)
    # Some are not for the device.
    await bench.send(b"".join(bench.in_order(length=4) * 2 for _ in range(16)), 0.0)
    await bench.settle()
    assert bench.sequence == 14
    assert bench.executed.compared >= 3
    await bench.finish()


@test
async def a_full_buffer_drops_whole_frames(dut: Any) -> None:
    """While the device stands still more comes than fits: what does not is dropped, counted and
    nothing else happens to it; the rest is executed, and what was dropped when it comes again."""
    bench = LinkBench(dut)
    await bench.begin()
    await bench.send(bench.connect(), 0.0)
    cocotb.start_soon(bench.o.drain(0.0))
    await bench.settle()
    # 17 bytes have left the buffer; without them the sums are 3140, 4164, 3860, 4884, 4160, 3885.
    lengths = [0, MAX_PAYLOAD, MAX_PAYLOAD, MAX_PAYLOAD, MAX_PAYLOAD, 700, MAX_PAYLOAD, 300, 5]
    fits = [True, True, True, True, False, True, False, False, True]
    frames = [
        bench.request(Command.WRITE_MEMORY, length, sequence=1 + number, count=8)
        for number, length in enumerate(lengths)
    ]
    receive, bench.model.receive = bench.model.receive, lambda data: b""  # type: ignore
    await bench.send(b"".join(frames), 0.0)
    bench.model.receive = receive  # type: ignore[method-assign]
    for frame, fit in zip(frames, fits, strict=True):
        for byte in frame if fit else b"":
            bench.watch_line(byte)
    bench.check_counters(crowded=fits.count(False), repeated=0)
    cocotb.start_soon(bench.run_device(0.0))
    await bench.settle()
    await bench.send(frames[4], 0.0)
    await bench.settle()
    assert bench.executed.compared == 5
    bench.check_counters(crowded=fits.count(False))
    await bench.finish()


@test
async def throughput(dut: Any) -> None:
    """A write is executed and answered in the cycles that its bytes take on the fastest line, and
    `ANSWER_CYCLES`."""
    bench = LinkBench(dut)
    byte_cycles = bench.parameters["byte_cycles"]
    await bench.begin()
    cocotb.start_soon(bench.o.drain(0.0))
    await bench.send(bench.connect(), 0.0)
    await bench.settle()
    cocotb.start_soon(bench.run_device(0.0))
    frames = [bench.request(Command.WRITE_MEMORY, MAX_PAYLOAD, sequence=n + 1) for n in range(3)]
    begin = bench.cycle
    await bench.send(b"".join(frames), 0.0)
    while bench.replies.missing:
        await bench.tick()
    line = byte_cycles * len(frames[0])
    answer = ANSWER_CYCLES if byte_cycles == 1 else 3 * ANSWER_CYCLES
    assert bench.cycle - begin <= len(frames) * (line + answer) + line
    await bench.finish()
