"""The serial port as the command line uses it, over a pseudo-terminal and in real time; faults of
its line are in `test_link_faults`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.host.bench.test_link import SMALL
from tests.host.cli.test_train import zipsgd
from tests.host.devices.link.hash_device import HashDevice
from tests.host.devices.link.test_faults import train, undisturbed
from tests.host.terminal import terminal
from zipsgd.host.bench import compute as bench_compute
from zipsgd.host.bench import end_to_end as bench_end_to_end
from zipsgd.host.bench import link as bench_link
from zipsgd.host.devices import selftest
from zipsgd.host.devices.link import serial_port
from zipsgd.host.devices.link.client import recovering
from zipsgd.host.devices.link.serial_port import SerialPort, open_serial
from zipsgd.host.devices.selftest import open_linked
from zipsgd.host.errors import DeviceError, InputError
from zipsgd.sim.byte_port import BytePort
from zipsgd.sim.line import Endpoint, Faults
from zipsgd.sim.whole_device import FIRST_WORD_CYCLES, open_whole_device

MAX_FRAME = 4096
WORK_S = 0.006
"""Of simulated time: longer than any command takes, and a few milliseconds of ours."""


@contextmanager
def board(path: Path, device: Endpoint, faults: Faults | None = None) -> Iterator[str]:
    """A device at the end of a cable; what the port that it is on is called."""
    with terminal(path, device, faults) as (_, carrier):
        carrier.start()
        yield str(path)


def test_an_unplugged_cable_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Faults, "LONGEST_S", 0.4)
    faults = Faults("unplug and replug", 6)
    with board(tmp_path / "tty", HashDevice(), faults) as path, closing(open_serial(path)) as link:
        assert recovering(link, lambda: train(link), Faults.MOST + 1) == undisturbed()
        assert link.traffic.reopened == faults.struck > 0


def test_rate_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device understands one rate alone; at others all is noise to both."""
    rates: list[int] = []
    set_baud = SerialPort.set_baud

    def note(port: SerialPort, baud: int) -> None:
        rates.append(baud)
        set_baud(port, baud)

    monkeypatch.setattr(SerialPort, "set_baud", note)
    monkeypatch.setattr(serial_port, "SEARCH_S", 0.15)
    device, answers = HashDevice(), True
    receive = device.receive

    def hear(data: bytes) -> bytes:
        if not answers:
            return b""
        return receive(data) if rates[-1] == 1_000_000 else b"\xf0" * 3

    monkeypatch.setattr(device, "receive", hear)
    with board(tmp_path / "tty", device) as path:
        with closing(open_serial(path)) as link:
            assert rates[-1] == 1_000_000
            assert train(link) == undisturbed()
        answers = False
        with pytest.raises(DeviceError, match=r"tty: no answer to IDENTIFY at 3000000, 2000000"):
            open_serial(path)
        with pytest.raises(DeviceError, match=r"while connecting \(frame 0, IDENTIFY"):
            open_serial(path, baud=115_200, limit_s=0.3)


def test_no_port() -> None:
    with pytest.raises(InputError, match="golden has no link that could be tested; use serial:"):
        open_linked("golden")
    with pytest.raises(DeviceError, match=r"/dev/ttyNONE cannot be opened"):
        open_linked("serial:/dev/ttyNONE")
    with pytest.raises(DeviceError, match=r"/dev/ttyNONE cannot be opened .*; plug the board in"):
        open_serial("/dev/ttyNONE")


class Gateware:
    """The compiled device, which goes on for a while after every answer."""

    def __init__(self, port: BytePort) -> None:
        self.port = port
        self.reset = port.reset

    def receive(self, data: bytes) -> bytes:
        self.port.write(data)
        answer = self.port.read(MAX_FRAME, WORK_S)
        self.port.sleep(WORK_S)
        return answer


@pytest.fixture(scope="module")
def gateware() -> Iterator[Gateware]:
    with closing(open_whole_device(SMALL.config)) as port:
        yield Gateware(port)


def test_self_test_of_a_board(
    gateware: Gateware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the compiled gateware, of what was recorded of it, and of one with a memory in which a
    byte is stuck."""
    monkeypatch.setattr(selftest, "MEMORY_BYTES", 1 << 13)
    tape = tmp_path / "tape.jsonl"
    with board(tmp_path / "tty", gateware) as path:
        with monkeypatch.context() as patch:
            patch.setenv("ZIPSGD_TAPE", str(tape))
            out, _ = zipsgd("selftest", "--device", f"serial:{path}")
            patch.setenv("ZIPSGD_TAPE", str(tmp_path / "none" / "tape"))
            _, err = zipsgd("selftest", "--device", f"serial:{path}", code=2)
            assert "tape cannot be written (No such file or directory); let ZIPSGD_TAPE" in err
        parts = [line.split()[:2] for line in out.splitlines()]
        assert parts == [["ok", part] for part in ("identity", "link", "memory", "training")]

    assert zipsgd("selftest", "--device", f"replay:{tape}")[0] == out
    _, err = zipsgd("train", "sklearn:iris", "--device", f"replay:{tape}", code=1)
    assert "this host wants design " in err

    class Stuck(Gateware):
        def receive(self, data: bytes) -> bytes:
            answer = super().receive(data)
            self.port.memory[1234] = 0
            return answer

    with board(tmp_path / "stuck", Stuck(gateware.port)) as path:
        out, err = zipsgd("selftest", "--device", f"serial:{path}", code=5)
        assert [line.split()[1] for line in out.splitlines()] == ["identity", "link"]
        assert f"{path}: byte 0x4d2 came back changed" in err


def test_benches_of_a_board(
    gateware: Gateware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their figures are of the board's geometry, its line's rate, its clock, and of real time."""
    monkeypatch.setattr(bench_link, "SIZE", 1 << 13)
    for module, samples in ((bench_compute, 200), (bench_end_to_end, 120)):
        monkeypatch.setattr(module, "OPTIONS", SMALL)
        monkeypatch.setattr(module, "SAMPLES", samples)
        monkeypatch.setattr(module, "FEATURES", 20)
    with board(tmp_path / "tty", gateware) as path:
        name = f"serial:{path}@1000000"

        def bench(what: str) -> list[dict[str, Any]]:
            out, _ = zipsgd("bench", what, "--device", name, "--json")
            records = [json.loads(line) for line in out.splitlines()]
            assert all(record.pop("device") == name for record in records)
            return records

        for way in bench("link"):
            assert way["line_bytes_per_s"] == 100_000
            assert way["size"] == 1 << 13 and way["seconds"] > 0 and not way["retries"]
        (computed,) = bench("compute")
        assert computed["cycles"] == computed["predicted_cycles"] + FIRST_WORD_CYCLES
        assert computed["clock_hz"] == 1e6, "the board's"
        assert computed["most_wait"] is None and computed["simulator_cycles_per_s"] is None
        *parts, total = bench("end-to-end")
        assert sum(part["seconds"] for part in parts) == pytest.approx(total["seconds"], rel=0.05)
        assert not total["retries"]
