"""A training on the device as the command line runs it: Ctrl-C, retries and progress."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.host.cli.test_train import zipsgd
from tests.sim.test_verilated import random_case, random_words
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Mode
from zipsgd.hdl.link.frames import MAX_PAYLOAD, Command, DeviceStatus, from_bytes
from zipsgd.host.devices import open as devices
from zipsgd.host.devices.interface import samples_of
from zipsgd.host.devices.link.client import LinkClient
from zipsgd.host.devices.link.transport import Transport
from zipsgd.host.devices.linked_device import LinkedDevice
from zipsgd.host.devices.progress import progress_bar, uploading
from zipsgd.host.errors import DeviceError
from zipsgd.sim.byte_port import BytePort
from zipsgd.sim.golden import Golden
from zipsgd.sim.line import Faults, SimulatedLine
from zipsgd.sim.whole_device import open_whole_device

CONFIG = EngineConfig()
EPOCHS_A_JOB = 40
"""A job takes longer than the exchanges after which the test looks whether it is under way."""

TRAIN = (
    *("train", "sklearn:iris", "--device", "sim", "--json"),
    *("--epochs", str(3 * EPOCHS_A_JOB), "--epochs-per-job", str(EPOCHS_A_JOB)),
)


class Interrupted:
    """The device's end of the line; someone presses Ctrl-C in one of its reads, or it fails.

    Parameters
    ----------
    port : BytePort
    at : int, optional
        Number of the read, from 1; without it nobody does.
    silent : bool
        Whether the device answers nothing from then on.
    """

    def __init__(self, port: BytePort, at: int | None = None, silent: bool = False) -> None:
        self.reads, self._port, self._at, self._silent = 0, port, at, silent
        self._error: type[BaseException] = KeyboardInterrupt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def interrupt(self, at: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self._at, self._error = at, error

    def read(self, most: int, timeout_s: float) -> bytes:
        self.reads += 1
        if self.reads == self._at:
            raise self._error
        data = self._port.read(most, timeout_s)
        return b"" if self._silent and self._at and self.reads > self._at else data

    def close(self) -> None:
        """It is opened again by the next one."""


@pytest.fixture(scope="module")
def port() -> Iterator[BytePort]:
    with closing(open_whole_device(CONFIG)) as opened:
        yield opened


@pytest.fixture
def begin(port: BytePort, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Interrupted]:
    """The next device that the command line opens is `Interrupted`."""

    def begin(at: int | None = None, silent: bool = False) -> Interrupted:
        line = Interrupted(port, at, silent)
        opening = partial(open_on, line)
        monkeypatch.setitem(devices.DEVICES, "sim", opening)
        return line

    return begin


def open_on(line: Transport, config: EngineConfig, **options: Any) -> LinkedDevice:
    return LinkedDevice(LinkClient(line, limit_s=0.05), config, **options)


def busy(port: BytePort) -> int:
    """Not zero while a job is under way or an epoch waits."""
    link = LinkClient(port)
    link.connect()
    status = from_bytes(DeviceStatus, link.request(Command.STATUS, phase="asking"))
    return status.busy | status.waiting


def test_ctrl_c_leaves_the_device_idle_and_the_checkpoint_written(
    port: BytePort, begin: Callable[..., Interrupted], tmp_path: Path
) -> None:
    """At moments all over the training; each goes on to the bits of the undisturbed one."""
    undisturbed = begin()
    zipsgd(*TRAIN, "-o", tmp_path / "whole.json", "--checkpoint", tmp_path / "whole")
    whole = json.loads((tmp_path / "whole").read_text())
    seen = set()
    for at in (undisturbed.reads * share // 100 for share in (20, 45, 65, 95)):
        saved, model = tmp_path / f"saved-{at}", tmp_path / f"model-{at}"
        arguments = (*TRAIN, "-o", model, "--checkpoint", saved)
        begin(at)
        out, _ = zipsgd(*arguments, code=130)
        assert not busy(port), f"read {at}"
        assert not model.exists()
        epochs = json.loads(saved.read_text())["epochs"]
        assert len(epochs) == len(out.splitlines())
        for epoch, right in zip(epochs, whole["epochs"], strict=False):
            assert epoch["losses"] == right["losses"]
        seen.add(len(epochs))
        begin()
        zipsgd(*arguments, "--resume")
        assert model.read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert seen == {0, 1, 2}


def test_ctrl_c_with_a_dead_device_still_exits_130(
    begin: Callable[..., Interrupted], caplog: pytest.LogCaptureFixture
) -> None:
    begin(60, silent=True)
    zipsgd(*TRAIN, code=130)
    assert "no answer for 0.05 s while " in caplog.text
    assert "the device may still be busy" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, DeviceError])
def test_a_device_goes_on(error: type[BaseException], port: BytePort) -> None:
    """As in a notebook: the next job begins with the model that was there before the interrupt."""
    job, (woven,) = random_case(CONFIG, 0, groups=50)
    job = replace(job, mode=Mode.TRAIN)
    words = random_words(CONFIG, job.chunks, np.random.default_rng(0)) >> 4
    golden = Golden(CONFIG)
    golden.load(words)
    golden.run(job, samples_of(woven, CONFIG))
    line = Interrupted(port)
    device = LinkedDevice(LinkClient(line))
    device.load_model(words)
    device.run(job, woven)
    device.load_model(words)
    before = line.reads
    device.run(job, woven)  # nothing is uploaded again
    reads = line.reads - before
    for part in range(1, 5):
        device.load_model(words)
        line.interrupt(line.reads + reads * part // 5, error)
        with pytest.raises(error):
            device.run(job, woven)
        device.run(job, woven)
        np.testing.assert_array_equal(device.read_model(job.chunks), golden.x)


def test_retries_are_told_of_a_linked_device_only(
    port: BytePort, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Epoch by epoch, and resumed as they were; the sum is what the link has counted."""
    links: list[LinkClient] = []

    def opening(config: EngineConfig, **options: Any) -> LinkedDevice:
        links.append(LinkClient(SimulatedLine(port, faults=Faults("dropped bytes", len(links)))))
        return LinkedDevice(links[-1], config, **options)

    monkeypatch.setitem(devices.DEVICES, "sim", opening)
    train = ("train", "sklearn:iris", "--epochs", "4", "--device")
    saved = ("--checkpoint", tmp_path / "saved")
    out, _ = zipsgd(*train, "sim", "--json", *saved)
    *epochs, last = map(json.loads, out.splitlines())
    retries = [epoch["retries"] for epoch in epochs]
    assert 0 < sum(retries) == last["summary"]["retries"] <= links[0].traffic.retries
    heading, *rows, _ = zipsgd(*train, "sim", *saved, "--resume")[0].splitlines()
    place = heading.split().index("retries")
    assert [row.split()[place] for row in rows] == [str(each) for each in retries]
    assert all(len(row) == len(heading) < 80 for row in rows)
    for extra in ((*saved, "--resume"), ()):  # resumed elsewhere, and begun there
        assert "retries" not in "".join(zipsgd(*train, "golden", *extra))
        assert "retries" not in "".join(zipsgd(*train, "golden", "--json", *extra))
    elsewhere = ("--checkpoint", tmp_path / "elsewhere")
    zipsgd(*train, "golden", *elsewhere)
    out, _ = zipsgd(*train, "sim", *elsewhere, "--resume")
    assert [row.split()[place] for row in out.splitlines()[1:-1]] == ["-"] * 4


def test_fast_load_changes_nothing_but_the_way(
    port: BytePort, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    links: list[LinkClient] = []

    def opening(config: EngineConfig, **options: Any) -> LinkedDevice:
        links.append(LinkClient(port))
        port.memory[: 1 << 14] = 0xA5  # nothing of the run before helps
        device = LinkedDevice(links[-1], config, memory=port.memory, **options)
        monkeypatch.setattr(links[-1], "close", lambda: None)
        return device

    monkeypatch.setitem(devices.DEVICES, "sim", opening)
    models = {}
    for option in ("--fast-load", "--no-fast-load"):
        models[option] = tmp_path / option
        train = ("sklearn:diabetes", option, "--epochs", "2")
        zipsgd("train", *train, "--device", "sim", "-o", models[option])
        zipsgd("compare", *train, "--devices", "fast,sim")
    for fast, slow in zip(links[:2], links[2:], strict=True):
        more = slow.traffic.payload_bytes - fast.traffic.payload_bytes
        assert more > 2 * 354 * 10 * 4 // 8, "two copies of the samples"
    assert models["--fast-load"].read_bytes() == models["--no-fast-load"].read_bytes()


@pytest.mark.parametrize("device", ["golden", "sim-engine", "serial:/dev/ttyUSB0"])
@pytest.mark.parametrize("option", ["--fast-load", "--no-fast-load"])
def test_fast_load_is_refused_where_there_is_no_such_way(device: str, option: str) -> None:
    _, err = zipsgd("train", "sklearn:iris", "--device", device, option, code=2)
    assert f"{option} is about the memory of sim" in err
    assert f"which {device} does not have; leave it out" in err
    _, err = zipsgd("compare", "sklearn:iris", "--devices", f"{device},fast", option, code=2)
    assert f"which {device} does not have; leave it out" in err


def test_uploads_are_shown_on_a_terminal_only(port: BytePort) -> None:
    """Bytes and time left beside the jobs, each upload from its beginning to its end."""

    def shown(*, terminal: bool) -> str:
        out = Console(file=io.StringIO(), force_terminal=terminal, width=100)
        bar = progress_bar(out)
        tell = uploading(bar)
        assert (tell is None) == bar.disable

        def upload(done: int, total: int) -> None:
            assert tell
            tell(done, total)
            bar.refresh()

        link = LinkClient(port)
        job, (woven, other) = random_case(CONFIG, 0, groups=50, copies=2)
        with bar:
            bar.add_task("jobs", total=1)
            device = LinkedDevice(link, CONFIG, progress=upload if tell else None)
            device.load_model(np.zeros(job.chunks * CONFIG.lanes, dtype=np.int64))
            for each in (woven, other):
                device.run(job, each)
            assert [task.description for task in bar.tasks] == ["jobs"]
        assert isinstance(out.file, io.StringIO)
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.file.getvalue())
        size = woven.beats.nbytes
        if terminal:
            first = min(size, MAX_PAYLOAD)
            assert len(re.findall(rf"bytes uploaded \S+ +{first}/{size} +[-0-9:]+", text)) >= 2
        return text

    shown(terminal=True)
    assert shown(terminal=False) == ""
