"""AXI around a testbench: independent masters and sinks (cocotbext-axi), and a protocol checker.

The bus functional models drive; monitors check every channel against the AXI rules, replay what
the registers have been told, and feed the golden model.
"""

from __future__ import annotations

import itertools
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, SimTimeoutError, Timer, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from tests.hdl.job_bench import JobBench
from tests.hdl.random_jobs import verdict
from tests.hdl.toolkit import CLOCK_NS, PATIENCE_CYCLES, random_bits
from zipsgd.hdl.axi.registers import WORD_BYTES, Register, register_map
from zipsgd.hdl.contract.job import Job, Mode
from zipsgd.hdl.contract.protocol import Error

# The models work with cocotb 2.1, by ways that it will drop one day.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"cocotbext\.axi")

BUS, STRB_BITS = "s_axi", 4
IN_STREAMS, OUT_STREAMS = ("s_axis_beats", "s_axis_model"), ("m_axis_model", "m_axis_margins")
INPUTS = (
    *(f"{BUS}_{name}" for name in ("awaddr", "awprot", "awvalid", "wdata", "wstrb", "wvalid")),
    *(f"{BUS}_{name}" for name in ("bready", "araddr", "arprot", "arvalid", "rready")),
    *(f"{stream}_{name}" for stream in IN_STREAMS for name in ("tdata", "tvalid")),
    *(f"{stream}_tready" for stream in OUT_STREAMS),
)
OUTPUTS = (
    *(f"{BUS}_{name}" for name in ("awready", "wready", "bresp", "bvalid")),
    *(f"{BUS}_{name}" for name in ("arready", "rdata", "rresp", "rvalid")),
    *(f"{stream}_tready" for stream in IN_STREAMS),
    *(f"{stream}_{name}" for stream in OUT_STREAMS for name in ("tdata", "tvalid", "tlast")),
    "irq",
)
ANSWER_CYCLES = 4000
"""No answer takes longer, with many more to come before it."""

PROBED = 0.05
"""Share of cycles in which the outputs are watched while every input changes."""


class Channel:
    """One channel: what is valid stays, unchanged, until it is taken (IHI 0022, A3.2.1)."""

    def __init__(
        self,
        bench: AxiBench,
        prefix: str,
        payload: Sequence[str],
        on_item: Callable[..., None],
    ) -> None:
        self._name, self._on_item = prefix, on_item
        self._valid = bench.port(f"{prefix}valid")
        self._ready = bench.port(f"{prefix}ready")
        self._payload = [getattr(bench.dut, f"{prefix}{name}") for name in payload]
        self._waiting: tuple[int, ...] | None = None
        bench.monitor(self._sample)

    def _sample(self) -> None:
        if not self._valid.get():
            assert self._waiting is None, f"{self._name}: valid fell before the item was taken"
            return
        item = tuple(int(handle.value) for handle in self._payload)
        assert self._waiting in (None, item), f"{self._name}: an item changed before it was taken"
        self._waiting = item
        if self._ready.get():
            self._waiting = None
            self._on_item(*item)


class Replay:
    """What the registers hold after every write that has been answered, by the map alone."""

    def __init__(self, registers: Sequence[Register]) -> None:
        self._by_address = {register.address: register for register in registers}
        self._words = {
            register.address + WORD_BYTES * word
            for register in registers
            for word in range(register.words)
        }
        self.values = {r.full_name: 0 for r in registers if r.access == "write"}
        self.on_command: Callable[[str], None] = lambda name: None
        self.addresses: deque[int] = deque()
        self.data: deque[tuple[int, int]] = deque()
        self.reads: deque[int] = deque()
        self.address_first = self.data_first = self.answers = self.excessive = 0

    def take_address(self, address: int) -> None:
        self.address_first += len(self.addresses) >= len(self.data)
        self.addresses.append(address)

    def take_data(self, data: int, strobes: int) -> None:
        self.data_first += len(self.data) >= len(self.addresses)
        self.data.append((data, strobes))

    def answer_write(self, response: int) -> None:
        """A response answers the oldest write, whose address and data have both been taken."""
        assert self.addresses and self.data, "a write was answered that had not been sent"
        self.answers += 1
        address, (data, strobes) = self.addresses.popleft(), self.data.popleft()
        register, mask = self._by_address.get(address & -WORD_BYTES), strobed_bits(strobes)
        if register is None or register.access == "read" or (data & mask) >> register.bits:
            told = f"a write of {data & mask:#x} to {address:#x} was answered {response}"
            assert response == AxiResp.SLVERR, told
            self.excessive += register is not None and register.access != "read"
        elif register.access == "write":
            assert response == AxiResp.OKAY, f"{register.full_name} was refused"
            present = self.values[register.full_name]
            self.values[register.full_name] = present & ~mask | data & mask
        elif response == AxiResp.OKAY and data & mask & 1:
            self.on_command(register.name)

    def answer_read(self, data: int, response: int) -> None:
        assert self.reads, "a read was answered that had not been sent"
        self.answers += 1
        address = self.reads.popleft()
        known = address & -WORD_BYTES in self._words
        assert response == (AxiResp.OKAY if known else AxiResp.SLVERR), f"read of {address:#x}"
        assert known or data == 0

    def group(self, name: str) -> dict[str, int]:
        """Values of a group of registers, by their names in it."""
        return {k.removeprefix(f"{name}_"): v for k, v in self.values.items() if k.startswith(name)}


def strobed_bits(strobes: int) -> int:
    return sum(0xFF << 8 * byte for byte in range(STRB_BITS) if strobes >> byte & 1)


class AxiBench(JobBench):
    """The engine behind its AXI ports."""

    def __init__(self, dut: Any, *, gap: float) -> None:
        super().__init__(dut, stalls=gap > 0, clock="aclk")
        self.gap = gap
        self.registers = {r.full_name: r for r in register_map(self.config)}
        self.replay = Replay(list(self.registers.values()))
        self.replay.on_command = self.obey
        self.status: dict[str, int] = {}
        self.irq = self.port("irq")
        self.probes = 0
        dut.aresetn.value = 0
        domain = (dut.aclk, dut.aresetn, False)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, BUS), *domain)
        self.sources = [
            AxiStreamSource(AxiStreamBus.from_prefix(dut, n), *domain) for n in IN_STREAMS
        ]
        self.sinks = [AxiStreamSink(AxiStreamBus.from_prefix(dut, n), *domain) for n in OUT_STREAMS]
        self._watch()
        self._litter()
        if gap:
            self._pause()

    def _watch(self) -> None:
        replay = self.replay
        Channel(self, f"{BUS}_aw", ["addr"], replay.take_address)
        Channel(self, f"{BUS}_w", ["data", "strb"], replay.take_data)
        Channel(self, f"{BUS}_b", ["resp"], replay.answer_write)
        Channel(self, f"{BUS}_ar", ["addr"], replay.reads.append)
        Channel(self, f"{BUS}_r", ["data", "resp"], replay.answer_read)
        Channel(self, "s_axis_beats_t", ["data"], self.beats_taken.append)
        Channel(self, "s_axis_model_t", ["data"], self.take_word)
        for stream in OUT_STREAMS:
            Channel(self, f"{stream}_t", ["data", "last"], lambda data, last: None)

    def _litter(self) -> None:
        """Bytes that are not strobed may hold anything, and do."""
        channel = self.master.write_if.w_channel
        send = channel.send

        async def send_littered(item: Any) -> None:
            item.wdata |= random_bits(self.rng, 8 * STRB_BITS) & ~strobed_bits(item.wstrb)
            await send(item)

        channel.send = send_littered

    def _pause(self) -> None:
        write, read = self.master.write_if, self.master.read_if
        channels = (write.aw_channel, write.w_channel, write.b_channel)
        for endpoint in (*channels, read.ar_channel, read.r_channel, *self.sources, *self.sinks):
            endpoint.set_pause_generator(self.chance(self.gap) for _ in itertools.count())

    async def start(self) -> None:
        """Reset, then let the sinks take what comes."""
        self.model_packets = self.scoreboard("model packet")
        self.margin_packets = self.scoreboard("margins packet")
        await self.run_clock(self.dut.aresetn, active=0)
        cocotb.start_soon(self._collect_model())
        cocotb.start_soon(self._collect_margins())

    def take_word(self, data: int) -> None:
        """The model's bits of a word, the rest does not matter."""
        bits = self.config.model_bits
        word = data & (1 << bits) - 1
        self.words_taken.append(word - (word >> (bits - 1) << bits))

    def obey(self, command: str) -> None:
        if command == "start":
            self.watch_job(self.replay.group("job"))
        elif command == "push_epoch":
            self.epochs_taken.append(self.replay.group("epoch"))
        elif command == "clear_epochs":
            self.epochs_taken.clear()

    def watch_job(self, fields: dict[str, int]) -> None:
        super().watch_job(fields)
        if fields["mode"] == Mode.DUMP and verdict(self.config, fields) == Error.NONE:
            self.model_packets.expect(fields["chunks"] * self.config.lanes)

    def end_pass(self, job: Job) -> None:
        super().end_pass(job)
        if job.mode == Mode.PREDICT:
            for _ in job.epochs:
                self.margin_packets.expect(job.groups)

    def read_status(self) -> dict[str, int]:
        error: Any = Error(self.status["error"])
        return {**self.status, "error": error}

    async def _collect_model(self) -> None:
        while True:
            frame = await self.sinks[0].recv()
            words = np.frombuffer(bytes(frame.tdata), dtype="<i4")
            self.model_packets.observe(len(words))
            for word in words:
                self.words.observe(word)

    async def _collect_margins(self) -> None:
        while True:
            frame = await self.sinks[1].recv()
            groups = np.frombuffer(bytes(frame.tdata), dtype="<i4").reshape(-1, self.config.banks)
            self.margin_packets.observe(len(groups))
            for group in groups:
                self.predicted.observe(group)

    async def probe(self) -> None:
        """No path from an input to an output: outputs stay while all inputs change and return."""
        inputs = [getattr(self.dut, name) for name in INPUTS]
        outputs = [getattr(self.dut, name) for name in OUTPUTS]
        while True:
            await FallingEdge(self.clock)
            if not self.chance(PROBED):
                continue
            before, kept = [h.value for h in outputs], [h.value for h in inputs]
            for handle in inputs:
                handle.value = random_bits(self.rng, len(handle))
            await Timer(CLOCK_NS / 4, "ns")
            changed = [
                n for n, h, old in zip(OUTPUTS, outputs, before, strict=True) if h.value != old
            ]
            assert not changed, f"{changed} follow the inputs within a cycle"
            for handle, value in zip(inputs, kept, strict=True):
                handle.value = value
            self.probes += 1

    def times(self, letters: str) -> list[int]:
        """Cycles in which items of a channel of the bus are taken, from now on."""
        cycles: list[int] = []
        Channel(self, f"{BUS}_{letters}", [], lambda: cycles.append(self.cycle))
        return cycles

    # What a host does.

    async def write(self, name: str, value: int, response: AxiResp = AxiResp.OKAY) -> None:
        await self.write_bytes(self.registers[name].address, value, WORD_BYTES, response)

    async def write_bytes(
        self, address: int, value: int, count: int, response: AxiResp = AxiResp.OKAY
    ) -> None:
        answer = await self._answered(self.master.write(address, value.to_bytes(count, "little")))
        assert answer.resp == response, f"write of {value:#x} to {address:#x}: {answer.resp}"

    async def write_in_pieces(self, name: str, value: int) -> None:
        """A byte at a time, in any order."""
        address = self.registers[name].address
        for byte in self.rng.permutation(WORD_BYTES).tolist():
            await self.write_bytes(address + byte, value >> 8 * byte & 0xFF, 1)

    async def read(self, name: str) -> int:
        register = self.registers[name]
        answer = await self.read_bytes(register.address, register.words * WORD_BYTES)
        assert answer.resp == AxiResp.OKAY, f"{name}: {answer.resp}"
        return int.from_bytes(answer.data, "little")

    async def read_bytes(self, address: int, count: int) -> Any:
        return await self._answered(self.master.read(address, count))

    async def _answered(self, access: Any) -> Any:
        try:
            return await with_timeout(access, ANSWER_CYCLES * CLOCK_NS, "ns")
        except SimTimeoutError as error:
            raise AssertionError("the bus was not answered") from error

    async def finish_job(self) -> None:
        """Wait for the end of the job, by interrupt or by asking; then compare its status."""
        ask = self.chance(0.5)
        for _ in range(PATIENCE_CYCLES):
            if await self.read("control_done") if ask else self.irq.get():
                break
            await self.tick()
        else:
            raise AssertionError("the job did not end")
        assert not await self.read("control_busy")
        names = [name for name, register in self.registers.items() if register.group == "status"]
        self.status = {name.removeprefix("status_"): await self.read(name) for name in names}
        self.end_job()

    async def send_beats(self, beats: Sequence[int]) -> None:
        data = b"".join(beat.to_bytes(self.config.beat_bytes, "little") for beat in beats)
        await self.sources[0].send(AxiStreamFrame(tdata=data))

    async def send_words(self, words: Sequence[int]) -> None:
        """Words in 32 bits, with anything above the model's bits."""
        bits = self.config.model_bits
        high = self.rng.integers(0, 1 << (32 - bits), len(words)).tolist()
        values = [w & (1 << bits) - 1 | h << bits for w, h in zip(words, high, strict=True)]
        await self.sources[1].send(AxiStreamFrame(tdata=np.array(values, dtype="<u4").tobytes()))
