"""A training through the pins of a board: a UART, bit by bit, and an SDRAM that notices faults."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.task import bridge, resume
from cocotb.triggers import RisingEdge

from tests.boards.pinned import CYCLES_A_BIT, SIMULATED
from tests.hdl.memory.sdram.chip_model import BANKS, Pins, SdramModel
from tests.hdl.toolkit import CLOCK_NS, Bench, random_signed
from zipsgd.boards.description import SDRAM_BURST, SdramSamples
from zipsgd.hdl.contract.job import Epoch, Job, Step
from zipsgd.hdl.link.uart import FRAME_BITS
from zipsgd.hdl.memory.sdram.pins import SdramCommand
from zipsgd.host.codes.weaving import Woven, code_range, weave
from zipsgd.host.devices.link.client import LinkClient
from zipsgd.host.devices.linked_device import LinkedDevice
from zipsgd.host.devices.software import GoldenDevice
from zipsgd.sim.golden import Counters

GROUPS, CHUNKS, BITS = 24, 2, 4
MANY_GROUPS, MANY_CHUNKS = 160, 6
LEAST_RATE = 0.95
"""Of the peak rate, refreshes and the way from slot to slot included; the goal was 0.85."""
LIMIT_CYCLES = 1_000_000
RATE_ERROR = 0.01
"""Of the host's UART."""


class BoardBench(Bench):
    """The other ends of a board's wires, each looked at once a cycle."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.config, self.clock_hz = SIMULATED.engine, SIMULATED.clock_hz
        self.outgoing, self.incoming = bytearray(), bytearray()
        self._rx, self._tx = self.port("rx"), self.port("tx")
        self._began: int | None = None  # cycle of the start bit's edge
        self._bits: list[int] = []

        samples = SIMULATED.samples
        assert isinstance(samples, SdramSamples)
        self.chip = SdramModel(samples.chip, samples.chip.timing(self.clock_hz), SDRAM_BURST)
        words = dict.fromkeys(("dq_i", "dq_o", "dq_oe"), samples.chip.dq_bits)
        widths = words | {"a": samples.chip.row_bits, "ba": 2, "dqm": 2}
        widths |= dict.fromkeys(("cke", "cs", "ras", "cas", "we"), 1)
        self._pins = {name: self.port(f"sdram_{name}", width) for name, width in widths.items()}

    async def start(self) -> None:
        self._rx.set(1)
        self._pins["dq_i"].set(0)
        await self.run_clock(None)
        self.monitor(self._watch_tx)
        self.monitor(self._watch_chip)
        cocotb.start_soon(self._send())
        cocotb.start_soon(self._drive_chip())

    # The wires.

    async def _send(self) -> None:
        """Bytes from the host, each bit a little longer than agreed."""
        bit_cycles = CYCLES_A_BIT * (1 + RATE_ERROR)
        while True:
            await self.tick()
            while self.outgoing:
                levels, done = 1 << FRAME_BITS - 1 | self.outgoing.pop(0) << 1, 0
                for number in range(FRAME_BITS):
                    self._rx.set(levels >> number & 1)
                    end = round((number + 1) * bit_cycles)
                    await self.tick(end - done)
                    done = end

    def _watch_tx(self) -> None:
        """Bytes from the board, by the middles of their bits."""
        if self._began is None and not self._tx.get():
            self._began = self.cycle
        if self._began is None:
            return
        if self.cycle - self._began == len(self._bits) * CYCLES_A_BIT + CYCLES_A_BIT // 2:
            self._bits.append(self._tx.get())
        if len(self._bits) == FRAME_BITS:
            start, *bits, stop = self._bits
            assert (start, stop) == (0, 1), "start or stop bit is wrong"
            self.incoming.append(sum(bit << place for place, bit in enumerate(bits)))
            self._began, self._bits = None, []

    def _watch_chip(self) -> None:
        """In the middle of the cycle, where the chip's clock rises. Strobes are low if active."""
        pins = {name: port.get() for name, port in self._pins.items()}
        driven = pins["dq_oe"] != 0
        assert not driven or pins["dq_oe"] == (1 << 16) - 1, "some bits of DQ are driven"
        code = (1 - pins["ras"]) | (1 - pins["cas"]) << 1 | (1 - pins["we"]) << 2
        self.chip.clock(
            Pins(
                SdramCommand(code),
                bank=pins["ba"],
                address=pins["a"],
                dq=pins["dq_o"],
                driven=driven,
                dqm=pins["dqm"],
                cke=bool(pins["cke"]),
                cs=not pins["cs"],
            )
        )

    async def _drive_chip(self) -> None:
        dq = self._pins["dq_i"]
        while True:
            shown = self.chip.shows(self.chip.cycle + 1)
            if shown is None:
                dq.scramble(self.rng)
            else:
                dq.set(shown)
            await RisingEdge(self.clock)


class BoardTime:
    """`host.devices.link.transport.Clock` of a bench."""

    def __init__(self, bench: BoardBench) -> None:
        self._bench = bench

    def now(self) -> float:
        return self._bench.cycle / self._bench.clock_hz

    def sleep(self, seconds: float) -> None:
        resume(self._bench.tick)(max(1, int(seconds * self._bench.clock_hz)))


class BoardLine:
    """`host.devices.link.transport.Transport` of a bench."""

    name, bytes_per_s = "pins", float("inf")

    def __init__(self, bench: BoardBench) -> None:
        self._bench, self.clock = bench, BoardTime(bench)

    def write(self, data: bytes) -> None:
        self._bench.outgoing += data

    def read(self, most: int, timeout_s: float) -> bytes:
        resume(self._wait)(int(timeout_s * self._bench.clock_hz))
        incoming = self._bench.incoming
        data = bytes(incoming[:most])
        del incoming[:most]
        return data

    def reopen(self) -> None:
        raise OSError("nobody unplugs a simulation")

    def close(self) -> None:
        pass

    async def _wait(self, cycles: int) -> None:
        for _ in range(cycles):
            if self._bench.incoming:
                break
            await self._bench.tick()


class BackDoor:
    """The memory's bytes, for `LinkedDevice`: written into the chip without passing the link."""

    def __init__(self, chip: SdramModel) -> None:
        self._chip = chip

    def __setitem__(self, place: slice, data: Any) -> None:
        chip = self._chip.chip
        for number, word in enumerate(data.view("<u2").tolist(), start=place.start // 2):
            above, column = divmod(number, 1 << chip.column_bits)
            row, bank = divmod(above, BANKS)
            self._chip.words[bank, row, column] = word


def training(bench: BoardBench, groups: int, chunks: int) -> tuple[Job, list[Woven]]:
    """Two copies of a data set, three epochs."""
    rng, config = bench.rng, bench.config
    least, most = code_range(BITS, False)
    copies = [
        weave(
            rng.integers(least, most + 1, (groups * config.banks, chunks * config.lanes)),
            random_signed(rng, config.model_frac, groups * config.banks),
            BITS,
            config,
        )
        for _ in range(2)
    ]
    job = Job(
        epochs=tuple(Epoch(step=Step.nearest(2.0**-k, config)) for k in (5, 6, 7)),
        bits=BITS,
        chunks=chunks,
        groups=groups,
        batch_groups=3,
        delay=2,
        sync=False,
        corrected=True,
        seed=int(rng.integers(1 << 16)),
    )
    return job, copies


def compare(bench: BoardBench, device: LinkedDevice, groups: int, chunks: int) -> Counters:
    """Train; the golden model must end at the same words. The device's counters."""
    job, copies = training(bench, groups, chunks)
    begin = random_signed(bench.rng, bench.config.model_frac, chunks * bench.config.lanes)
    golden, found = GoldenDevice(bench.config), []
    for each in (golden, device):
        each.load_model(begin)
        counters = each.run(job, *copies)
        found.append((counters.beats, each.read_model(chunks).tolist()))
    assert found[0] == found[1]
    return counters


@cocotb.test(timeout_time=LIMIT_CYCLES * CLOCK_NS, timeout_unit="ns")
async def trained_through_the_pins(dut: Any) -> None:
    """Registers begin as the configuration leaves them: there is no reset. Then, on more data than
    one would send through a simulated UART, most of the memory's peak rate is used."""
    bench = BoardBench(dut)
    await bench.start()
    commands: dict[Any, int] = bench.chip.commands  # mypy takes a member of `SdramCommand` for one

    def train() -> Counters:
        memory: Any = BackDoor(bench.chip)
        line = LinkClient(BoardLine(bench))
        device = LinkedDevice(line)
        assert device.config == bench.config
        compare(bench, device, GROUPS, CHUNKS)
        assert commands[SdramCommand.WRITE] > 2 * GROUPS
        device = LinkedDevice(line, memory=memory, fast_load=True)
        counters = compare(bench, device, MANY_GROUPS, MANY_CHUNKS)
        assert device.retries == 0
        return counters

    counters = await bridge(train)()
    rate = counters.beats / counters.cycles
    bench.dut._log.info("%.1f %% of the memory's peak rate", 100 * rate)
    assert SIMULATED.samples.bits_a_cycle(bench.config) == bench.config.beat_bits
    assert rate > LEAST_RATE
    assert commands[SdramCommand.REFRESH]
