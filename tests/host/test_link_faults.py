"""Training over a line with faults of every kind: the same bits, or an error that says where.

``ZIPSGD_FAULTS=1000 pytest tests/host/test_link_faults.py --log-cli-level=INFO`` is the long run;
each kind then logs a row of the table in ``docs/link.md``.
"""

from __future__ import annotations

import logging
import os
import random
from collections import Counter

import pytest

from hdl.link.frames import Command, DeviceStatus, from_bytes
from host.link.client import Link, recovering
from sim.line import KINDS, Faults, SimulatedLine
from tests.host.hash_device import CONFIG, JOB_BYTES, MARGIN_BYTES, MODEL_BYTES, HashDevice

RUNS = int(os.environ.get("ZIPSGD_FAULTS", "20"))
POLL_S = 0.005
ROUNDS = 2
LONGEST_S = 60.0
"""In simulated time: more than any run whose waits are limited can take."""

logger = logging.getLogger(__name__)


def train(link: Link) -> bytes:
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


def connect(line: SimulatedLine, seed: int) -> Link:
    """A link whose sessions have the numbers that the seed says."""
    rng = random.Random(seed)
    return Link(line, draw=lambda: rng.randrange(1, 1 << 32))


def undisturbed() -> bytes:
    device = HashDevice()
    result = train(connect(SimulatedLine(device), 0))
    assert device.jobs == ROUNDS
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_recovers_bit_for_bit(kind: str) -> None:
    right, seen = undisturbed(), Counter[str]()
    for seed in range(RUNS):
        device, faults = HashDevice(), Faults(kind, seed)
        line = SimulatedLine(device, faults=faults)
        link = connect(line, seed)
        result = recovering(link, lambda link=link: train(link), Faults.MOST + 1)  # type: ignore[misc]
        assert result == right, f"{kind}, seed {seed}: silent corruption"
        assert line.clock.now() < LONGEST_S, f"{kind}, seed {seed}"
        assert faults.struck, f"{kind}, seed {seed}: no fault"
        seen["faults"] += faults.struck
        seen["retries"] += link.traffic.retries
        seen["longest_ms"] = max(seen["longest_ms"], round(1000 * line.clock.now()))
    logger.info(
        "| %s | %d | %d | %d | 0 | 0 | %d | %.1f |",
        *(kind, RUNS, seen["faults"], RUNS, seen["retries"], seen["longest_ms"] / 1000),
    )
