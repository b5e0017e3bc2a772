"""A session with faults is recorded, and is the same from the recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.host.devices.link.hash_device import HashDevice
from tests.host.devices.link.test_faults import train
from zipsgd.host.devices.link.client import LinkClient, recovering
from zipsgd.host.devices.link.tape import Recorder, Replay
from zipsgd.host.errors import DeviceError, InputError
from zipsgd.sim.line import Faults, SimulatedLine


def record(path: Path, kind: str) -> tuple[bytes, LinkClient]:
    line = SimulatedLine(HashDevice(), faults=Faults(kind, 3))
    link = LinkClient(Recorder(line, path))
    result = recovering(link, lambda: train(link), 9)
    link.close()
    return result, link


@pytest.mark.parametrize("kind", ["bit flips", "unplug and replug", "device reset"])
def test_replay_is_the_session(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    result, link = record(path, kind)
    assert link.traffic.retries + link.traffic.stale
    replay = Replay(path)
    again = LinkClient(replay, draw=replay.draw)
    assert recovering(again, lambda: train(again), 9) == result
    assert again.traffic == link.traffic


def test_a_host_that_does_something_else_is_told_the_line(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    record(path, "stalls")
    replay = Replay(path)
    link = LinkClient(replay, draw=lambda: 5)
    with pytest.raises(InputError, match=r"session.jsonl:3: the host does something else \(write"):
        train(link)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:9]))
    replay = Replay(path)
    link = LinkClient(replay, draw=replay.draw)
    with pytest.raises(DeviceError, match=r"session.jsonl:10: the recording ends here"):
        train(link)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "other 2"}', "\x00\xff"])
def test_what_is_no_recording(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=r"other.jsonl is no recording of a link"):
        Replay(path)
