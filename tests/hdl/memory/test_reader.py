# amaranth: UnusedElaboratable=no
"""`hdl.memory.reader` between a memory with random waits and an engine that takes beats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.hdl.runner import SIMULATORS, simulate
from zipsgd.hdl.memory.interface import MemorySignature
from zipsgd.hdl.memory.plan import SamplePlan
from zipsgd.hdl.memory.reader import SampleReader


@pytest.mark.parametrize("simulator", SIMULATORS[-1:])
@pytest.mark.parametrize(
    ("width", "beat_bits", "read_latency"), [(16, 16, 2), (64, 16, 2), (8, 32, 2), (8, 8, 1)]
)
def test_reader(
    width: int, beat_bits: int, read_latency: int, simulator: str, tmp_path: Path
) -> None:
    parameters: dict[str, Any] = {"width": width, "beat_bits": beat_bits}
    parameters["read_latency"] = read_latency
    memory: dict[str, Any] = {"address_bits": 7, "longest": 8}
    reader = SampleReader(MemorySignature(width, **memory), beat_bits, 32, read_latency)
    parameters |= memory | {"depth": 32}
    simulate(reader, "hdl.memory.bench_reader", "4x2", simulator, tmp_path, **parameters)


def test_parameters_are_checked() -> None:
    memory = MemorySignature(24, 7, 16)
    with pytest.raises(ValueError, match="depth must be at least two bursts of 16 words, not 16"):
        SampleReader(memory, 24, 16)
    with pytest.raises(ValueError, match="beats of 8 bits do not fit memory words of 24 bits"):
        SampleReader(memory, 8, 32)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (SamplePlan(beats=0), "beats = 0 is out of range: 1 to 4294967295"),
        (SamplePlan(beats=1, copies=1 << 16), "copies = 65536 is out of range: 1 to 65535"),
        (SamplePlan(beats=1, epochs=0), "epochs = 0 is out of range"),
        (SamplePlan(base=1, beats=5, copies=4), "take 12 memory words from word 1 on, and the mem"),
    ],
)
def test_plans_are_checked(plan: SamplePlan, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan.check(beat_bits=8, width=16, depth=12)


def test_a_copy_starts_with_a_word() -> None:
    SamplePlan(beats=5, copies=4).check(beat_bits=8, width=16, depth=12)
