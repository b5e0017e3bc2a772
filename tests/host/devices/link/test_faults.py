"""Training over a line with faults of every kind: the same bits, or an error that says where.

``ZIPSGD_FAULTS=1000 pytest -m long tests/host/devices/link/test_faults.py --log-cli-level=INFO`` is
the longest run; each kind then logs a row of the table in ``docs/link.md``.
"""

from __future__ import annotations

import logging
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.host.devices.link.hash_device import (
    CONFIG,
    JOB_BYTES,
    MARGIN_BYTES,
    MODEL_BYTES,
    HashDevice,
)
from tests.host.terminal import HastyPort, terminal
from zipsgd.hdl.link.frames import Command, DeviceStatus, from_bytes
from zipsgd.host.devices.link.client import LIMIT_S, LinkClient, recovering
from zipsgd.host.devices.link.transport import Transport
from zipsgd.host.errors import DeviceError
from zipsgd.sim.line import KINDS, Endpoint, Faults, SimulatedLine

RUNS, MANY_RUNS = 10, int(os.environ.get("ZIPSGD_FAULTS", "200"))
how_often = pytest.mark.parametrize("runs", [RUNS, pytest.param(MANY_RUNS, marks=pytest.mark.long)])
POLL_S = 0.005
ROUNDS = 2
LONGEST_S = 60.0
"""In simulated time: more than any run whose waits are limited can take."""

HASTE = 50
"""Seconds of the terminal's clock in one of ours: its line, its waits and its faults are those of
the simulated one."""

PATIENCE_S = 10 * HASTE
"""What a busy machine may add, on a terminal, to a wait or to a run."""

WHERE = r" while \w+ing[a-z ]* \((frame \d+,|before) [A-Z_]+ at byte 0x"

logger = logging.getLogger(__name__)


def train(link: LinkClient) -> bytes:
    """Upload, train twice, read back: everything that was read."""
    rng, results = random.Random(7), b""
    link.connect(CONFIG)
    link.request(Command.RESET, phase="resetting")
    link.write(Command.WRITE_MEMORY, rng.randbytes(9001), address=512, phase="uploading")
    link.write(Command.WRITE_MEMORY, bytes(16384 - 9513), address=9513, phase="uploading")
    link.write(Command.WRITE_MEMORY, bytes(512), phase="uploading")
    link.write(Command.WRITE_MODEL, rng.randbytes(MODEL_BYTES), phase="loading the model")
    for _ in range(ROUNDS):
        for _ in range(3):
            link.request(Command.WRITE_EPOCHS, rng.randbytes(12), phase="sending epochs")
        link.request(Command.RUN, rng.randbytes(JOB_BYTES), phase="starting")
        while from_bytes(DeviceStatus, link.request(Command.STATUS, phase="training")).busy:
            link.transport.clock.sleep(POLL_S)
        results += link.read(Command.READ_MODEL, MODEL_BYTES, phase="reading the model")
        results += link.read(Command.READ_MARGINS, MARGIN_BYTES, phase="reading margins")
    return results


def connect(port: Transport, seed: int, limit_s: float = LIMIT_S) -> LinkClient:
    """A link whose sessions have the numbers that the seed says."""
    rng = random.Random(seed)
    return LinkClient(port, draw=lambda: rng.randrange(1, 1 << 32), limit_s=limit_s)


def undisturbed() -> bytes:
    device = HashDevice()
    result = train(connect(SimulatedLine(device), 0))
    assert device.jobs == ROUNDS
    return result


def abandon(port: Transport, seed: int) -> None:
    """Leave on the line what a host leaves that ends in the middle of an upload."""
    link = connect(port, -1 - seed)
    link.connect()

    class KilledError(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done > 1500:
            raise KilledError

    with pytest.raises(KilledError):
        link.write(Command.WRITE_MEMORY, bytes(9000), phase="being killed", progress=kill)


class Silent:
    """Power, but nothing behind it."""

    def receive(self, data: bytes) -> bytes:
        return b""

    def reset(self) -> None:
        pass


class Babbler(Silent):
    """Noise, more of it than is asked for."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def receive(self, data: bytes) -> bytes:
        return self._rng.randbytes(3 * len(data))


def others(seed: int) -> dict[str, Endpoint | None]:
    """What may be in the device's place, once and for all."""
    return {
        "unplugged for good": None,
        "wrong bitstream": HashDevice(digest=0x0123456789ABCDEF),
        "dead device": Silent(),
        "noise": Babbler(seed),
    }


Plug = Callable[[Endpoint, Faults], AbstractContextManager[tuple[SimulatedLine, Transport]]]
"""Puts a device at the end of a line with faults: the line, and what the host has of it."""


@contextmanager
def simulated(device: Endpoint, faults: Faults) -> Iterator[tuple[SimulatedLine, Transport]]:
    """All of it in simulated time."""
    line = SimulatedLine(device, faults=faults)
    yield line, line


@pytest.fixture(params=["simulated", "terminal"])
def plug(request: pytest.FixtureRequest, tmp_path: Path) -> Plug:
    """A simulated line, and one that ends in a pseudo-terminal, in real time but hasty."""
    if request.param == "simulated":
        return simulated

    @contextmanager
    def on_terminal(device: Endpoint, faults: Faults) -> Iterator[tuple[SimulatedLine, Transport]]:
        path = tmp_path / "tty"
        with terminal(path, device, faults, HASTE) as (line, carrier):
            port = HastyPort(path, carrier.clock)
            carrier.start()  # now, because opening a port throws away what was on the line
            yield line, port
            port.close()

    return on_terminal


@how_often
@pytest.mark.parametrize("kind", KINDS)
def test_recovers_bit_for_bit(kind: str, plug: Plug, runs: int) -> None:
    right, seen = undisturbed(), Counter[str]()
    for seed in range(runs):
        faults = Faults(kind, seed)
        with plug(HashDevice(), faults) as (_, port):
            begin = port.clock.now()
            if kind == "stale bytes":
                abandon(port, seed)
            link = connect(port, seed, LIMIT_S + slack_s(port))
            result = recovering(link, lambda link=link: train(link), Faults.MOST + 1)  # type: ignore[misc]
            assert result == right, f"{kind}, seed {seed}: silent corruption"
            note(seen, link, faults.struck, port.clock.now() - begin)
        assert faults.struck, f"{kind}, seed {seed}: no fault"
        assert seen["longest_ms"] < 1000 * (LONGEST_S + slack_s(port)), f"{kind}, seed {seed}"
    log_row(kind, seen, recovered=runs)


@how_often
@pytest.mark.parametrize("kind", others(0))
def test_permanent_faults_are_errors_that_say_where(kind: str, plug: Plug, runs: int) -> None:
    seen = Counter[str]()
    for seed in range(runs):
        other = others(seed)[kind]
        faults = Faults("another device" if other else kind, seed, other)
        with plug(HashDevice(), faults) as (line, port):
            begin = port.clock.now()
            if seed % 4 == 0 and other is not None:
                line.device = other  # from the beginning
            waits = kind != "wrong bitstream"  # it answers
            link = connect(port, seed, LIMIT_S if waits else LIMIT_S + slack_s(port))
            with pytest.raises(DeviceError) as error:
                recovering(link, lambda link=link: train(link))  # type: ignore[misc]
            note(seen, link, 1, port.clock.now() - begin)
        sentence = str(error.value)
        assert sentence.startswith(f"{port.name}: "), sentence
        if kind == "wrong bitstream":
            assert "design 0123456789abcdef" in sentence, sentence
            assert "wants design " in sentence, sentence
        assert re.search(WHERE, sentence), sentence
        assert error.value.exit_code == 1
        longest_s = 2 + LIMIT_S + Faults.LONGEST_S + slack_s(port)
        assert seen["longest_ms"] < 1000 * longest_s, f"{kind}, seed {seed}"
    log_row(kind, seen, recovered=0)


def slack_s(port: Transport) -> float:
    """What the machine may add."""
    return PATIENCE_S if isinstance(port, HastyPort) else 0.0


def note(seen: Counter[str], link: LinkClient, struck: int, elapsed_s: float) -> None:
    """Count a run."""
    seen["runs"] += 1
    seen["faults"] += struck
    seen["retries"] += link.traffic.retries
    seen["longest_ms"] = max(seen["longest_ms"], round(1000 * elapsed_s))


def log_row(kind: str, seen: Counter[str], recovered: int) -> None:
    logger.info(
        "| %s | %d | %d | %d | %d | 0 | 0 | %d | %.1f |",
        *(kind, seen["runs"], seen["faults"], recovered, seen["runs"] - recovered),
        *(seen["retries"], seen["longest_ms"] / 1000),
    )
