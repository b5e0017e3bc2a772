# amaranth: UnusedElaboratable=no
"""A compiled sample store on the simulated memory: the same beats whatever the memory's waits."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from zipsgd.hdl.lib.verilog import to_verilog
from zipsgd.hdl.memory.interface import MemorySignature
from zipsgd.hdl.memory.plan import SamplePlan, plan_layout
from zipsgd.hdl.memory.store import SampleStore
from zipsgd.sim.build import TOP, compile_library
from zipsgd.sim.memory import Waits, make_words, memory_settings, service_cycles

HARNESS = Path(__file__).with_name("store_harness.cpp")
PORT = MemorySignature(64, address_bits=16, longest=16)
WORDS = 1 << 12
START_CYCLES = 20
"""More than the first beat takes on a memory without waits, and the end of a job."""

Words = NDArray[np.uint8]


class Store:
    """The compiled store, its memory and what can be done with them."""

    def __init__(self, library: Any) -> None:
        self._library, self._handle = library, library.store_create()
        self.words = make_words(PORT, WORDS)

    def close(self) -> None:
        self._library.store_destroy(self._handle)

    def run(self, plan: SamplePlan, waits: Waits, limit: int = 200_000) -> tuple[Words, int]:
        """The beats of a plan (beats, 8) and the cycles; none if it did not end."""
        settings = memory_settings(PORT, self.words, waits)
        count = plan.beats * plan.epochs
        beats = np.zeros(count, dtype=np.uint64)
        layout = plan_layout(PORT.address_bits)
        size = next(size for size in (4, 8, 12, 16) if layout.size <= 8 * size)
        packed = plan.pack(PORT.address_bits).to_bytes(size, "little")
        cycles = self._library.store_run(
            self._handle, ctypes.byref(settings), packed, beats.ctypes.data, count, limit
        )
        return beats.view(np.uint8).reshape(count, 8), cycles

    def write(self, address: int, data: Words, waits: Waits) -> int:
        settings = memory_settings(PORT, self.words, waits)
        cycles: int = self._library.store_write(
            self._handle, ctypes.byref(settings), address, data.tobytes(), data.size, 200_000
        )
        return cycles


@pytest.fixture(scope="module")
def library() -> Any:
    verilog = to_verilog(SampleStore(PORT, 64, 8, depth=64), TOP)
    library = ctypes.CDLL(str(compile_library(verilog, HARNESS)))
    number, pointer = ctypes.c_uint64, ctypes.c_void_p
    library.store_create.restype = pointer
    library.store_destroy.argtypes = [pointer]
    for name in ("store_write", "store_run"):
        getattr(library, name).restype = number
    library.store_write.argtypes = [pointer, pointer, number, ctypes.c_char_p, number, number]
    library.store_run.argtypes = [pointer, pointer, ctypes.c_char_p, pointer, number, number]
    return library


@pytest.fixture
def store(library: Any) -> Iterator[Store]:
    opened = Store(library)
    opened.words[:] = np.random.default_rng(1).integers(256, size=opened.words.shape)
    yield opened
    opened.close()


PLAN = SamplePlan(base=96, beats=1001, copies=3, epochs=5)


def expected(store: Store, plan: SamplePlan) -> Words:
    copies = [plan.base + epoch % plan.copies * plan.beats for epoch in range(plan.epochs)]
    return np.concatenate([store.words[first : first + plan.beats] for first in copies])


def test_a_beat_a_cycle_without_waits(store: Store) -> None:
    """All epochs: utilisation 0.996 of a short job, and nearer to 1 the longer it is."""
    beats, cycles = store.run(PLAN, Waits())
    assert (beats == expected(store, PLAN)).all()
    assert PLAN.beats * PLAN.epochs < cycles < PLAN.beats * PLAN.epochs + START_CYCLES


@pytest.mark.parametrize(
    "waits", [Waits(most_wait=40), Waits(gap=0.5, seed=3), Waits(most_wait=9, gap=0.3, seed=4)]
)
def test_waits_change_cycles_and_nothing_else(store: Store, waits: Waits) -> None:
    beats, cycles = store.run(PLAN, waits)
    assert (beats == expected(store, PLAN)).all()
    assert cycles > 1.2 * PLAN.beats * PLAN.epochs
    assert store.run(PLAN, waits)[1] == cycles, "not the same for the same seed"


def test_waits_cost_what_is_predicted(store: Store) -> None:
    """To the cycle: a job takes what its memory takes, and a constant."""
    extra = set()
    for seed in range(6):
        waits = Waits(most_wait=7 * seed, seed=seed)
        lengths = PLAN.lengths(64, PORT.width, PORT.longest)
        extra.add(store.run(PLAN, waits)[1] - service_cycles(lengths, waits))
    assert len(extra) == 1 and 0 < extra.pop() < START_CYCLES
    with pytest.raises(ValueError, match="set gap to 0"):
        service_cycles([1], Waits(gap=0.5))


def test_waits_shorter_than_the_queue_cost_nothing_on_average(store: Store) -> None:
    """The memory rests, but is asked ahead: a rest in ten cycles costs a cycle in ten."""
    beats, cycles = store.run(PLAN, Waits(gap=0.1))
    assert (beats == expected(store, PLAN)).all()
    assert 1.08 < cycles / (PLAN.beats * PLAN.epochs) < 1.16


@pytest.mark.parametrize("waits", [Waits(), Waits(most_wait=20, gap=0.4)])
def test_words_from_the_link(store: Store, waits: Waits) -> None:
    data = np.random.default_rng(2).integers(256, size=(300, 8), dtype=np.uint8)
    assert store.write(700, data, waits)
    assert (store.words[700:1000] == data).all()


def test_a_plan_past_the_end_fails(store: Store) -> None:
    assert not store.run(SamplePlan(base=WORDS - 8, beats=9), Waits())[1]


def test_settings_are_checked() -> None:
    words = make_words(PORT, 4)
    with pytest.raises(ValueError, match=r"words of shape \(4, 4\) and type uint8 are not a"):
        memory_settings(PORT, words[:, :4])
    with pytest.raises(ValueError, match="65537 words are more than 16 address bits reach"):
        memory_settings(PORT, make_words(PORT, (1 << 16) + 1))
    with pytest.raises(ValueError, match=r"gap must be a probability from 0 to 0.99, not 1"):
        memory_settings(PORT, words, Waits(gap=1))
