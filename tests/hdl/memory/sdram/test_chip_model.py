# amaranth: UnusedElaboratable=no
"""`tests.hdl.sdram_model` notices every fault, and the chips' figures are in whole cycles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from tests.hdl.memory.sdram.cases import CASES, SLOW
from tests.hdl.memory.sdram.chip_model import START_REFRESHES, Pins, SdramModel, ViolationError
from zipsgd.hdl.memory.sdram.chip import (
    AS4C32M16SB_7,
    CHIPS,
    IS42S16160G_7,
    POSTPONED,
    W9825G6KH_6,
    Limit,
)
from zipsgd.hdl.memory.sdram.controller import Sdram
from zipsgd.hdl.memory.sdram.pins import ALL_BANKS, SdramCommand, mode_register

BURST = 4
CHIP = CASES[0].chip
MODE = mode_register(BURST, SLOW.cas)

Step = tuple[int, Pins]
"""Cycles after the last step, and what the pins say then."""


def start(refreshes: int = START_REFRESHES, mode: int = MODE) -> list[Step]:
    """A start by the book."""
    again = [(SLOW.rfc, Pins(SdramCommand.REFRESH, dqm=3))] * (refreshes - 1)
    return [
        (SLOW.power_up, Pins(SdramCommand.PRECHARGE, address=ALL_BANKS, dqm=3)),
        (SLOW.rp, Pins(SdramCommand.REFRESH, dqm=3)),
        *again,
        (SLOW.rfc, Pins(SdramCommand.MODE, address=mode, dqm=3)),
    ]


def activate(after: int = SLOW.mrd, bank: int = 0, row: int = 5) -> Step:
    return after, Pins(SdramCommand.ACTIVATE, bank=bank, address=row)


def write(after: int = SLOW.rcd, bank: int = 0, column: int = 8) -> list[Step]:
    """A burst of 1, 2, 3, 4."""
    first = Pins(SdramCommand.WRITE, bank=bank, address=column, dq=1, driven=True)
    return [
        (after, first),
        *((1, Pins(SdramCommand.NOTHING, dq=n, driven=True)) for n in (2, 3, 4)),
    ]


def read(after: int = 1, bank: int = 0, column: int = 8) -> Step:
    return after, Pins(SdramCommand.READ, bank=bank, address=column)


def precharge(after: int, bank: int = 0) -> Step:
    return after, Pins(SdramCommand.PRECHARGE, bank=bank)


def refresh(after: int) -> Step:
    return after, Pins(SdramCommand.REFRESH)


def nothing(after: int) -> Step:
    return after, Pins(SdramCommand.NOTHING)


def play(steps: Iterable[Step]) -> SdramModel:
    """The chip after these steps; between them its pins say nothing."""
    model = SdramModel(CHIP, SLOW, BURST)
    dqm = 3
    for index, (after, pins) in enumerate(steps):
        for _ in range(after if index == 0 else after - 1):
            model.clock(Pins(SdramCommand.NOTHING, dqm=dqm))
        model.clock(pins)
        dqm = pins.dqm
        if pins.command == SdramCommand.MODE:
            dqm = 0
    return model


USED = [*start(), activate(), *write()]
"""Bank 0 is open at row 5, and columns 8 to 11 were written."""


def test_what_was_written_is_read() -> None:
    model = play([*USED, read(), nothing(1)])
    seen = [model.shows(model.cycle - 1 + SLOW.cas + offset) for offset in range(-1, BURST + 1)]
    assert seen == [None, 1, 2, 3, 4, None]


def test_a_day_by_the_book() -> None:
    steps = [
        *USED,
        precharge(SLOW.wr),
        activate(SLOW.rp + 6, row=6),
        activate(SLOW.rrd, bank=1),
        precharge(SLOW.ras, bank=1),
        precharge(1),
        refresh(SLOW.rc),
        refresh(SLOW.rfc),
        activate(SLOW.rfc),
        read(SLOW.rcd),
        precharge(SLOW.ras - SLOW.rcd),
    ]
    play(steps)


FAULTS: dict[str, tuple[str, list[Step]]] = {
    "a command before the pause is over": ("power-up", [(SLOW.power_up - 1, start()[0][1])]),
    "a refresh before the precharge": ("start", [(SLOW.power_up, start()[1][1])]),
    "too few refreshes": ("start", start(START_REFRESHES - 1)),
    "DQM is clear too soon": ("start", [(SLOW.power_up, Pins(SdramCommand.NOTHING))]),
    "an activate before the mode": ("start", [*start()[:-1], activate(SLOW.rfc)]),
    "another CAS latency": ("CAS latency", start(mode=mode_register(BURST, 2))),
    "another burst length": ("burst", start(mode=mode_register(8, SLOW.cas))),
    "tMRD": ("tMRD", [*start(), activate(SLOW.mrd - 1)]),
    "tRCD": ("tRCD", [*start(), activate(), *write(SLOW.rcd - 1)]),
    "tRAS": ("tRAS", [*start(), activate(), precharge(SLOW.ras - 1)]),
    "tRP": ("tRP", [*start(), activate(), precharge(SLOW.rc), activate(SLOW.rp - 1)]),
    "tRC": ("tRC", [*start(), activate(), precharge(SLOW.ras), activate(SLOW.rc - SLOW.ras - 1)]),
    "tRRD": ("tRRD", [*start(), activate(), activate(SLOW.rrd - 1, bank=1)]),
    "tRFC": ("tRFC", [*start(), refresh(SLOW.mrd), refresh(SLOW.rfc - 1)]),
    "tWR": ("tWR", [*USED, precharge(SLOW.wr - 1)]),
    "a precharge cuts a read": ("burst", [*USED, read(6), precharge(BURST - 1)]),
    "a read cuts a read": ("burst", [*USED, read(), read(BURST - 1)]),
    "a burst does not start at its first column": ("burst", [*USED, read(column=9)]),
    "an open bank is activated": ("bank", [*USED, activate(SLOW.rc)]),
    "a closed bank is read": ("bank", [*USED, read(bank=1)]),
    "a closed bank is written": ("bank", [*USED, *write(bank=2)]),
    "an open bank is refreshed": ("bank", [*USED, refresh(SLOW.rc)]),
    "what was never written is read": ("unwritten", [*USED, read(column=12)]),
    "nothing drives a write": ("write", [*USED, (1, Pins(SdramCommand.WRITE, address=8))]),
    "both drive": (
        "contention",
        [*USED, read(), (SLOW.cas, Pins(SdramCommand.NOTHING, driven=True))],
    ),
    "it drives while the chip lets go": (
        "contention",
        [*USED, read(), *write(SLOW.cas + BURST)],
    ),
    "it drives without a write": (
        "contention",
        [*USED, (1, Pins(SdramCommand.NOTHING, driven=True))],
    ),
    "no refresh in a window": ("refresh", [*start(), nothing(SLOW.refresh_window + 1)]),
    "one row is not refreshed in a window": (
        "refresh",
        [*start(), *[refresh(11)] * (SLOW.refresh_rows - 1), nothing(SLOW.refresh_window)],
    ),
    "the chip is not selected": ("select", [*USED, (1, Pins(SdramCommand.READ, cs=False))]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_noticed(name: str) -> None:
    rule, steps = FAULTS[name]
    with pytest.raises(ViolationError) as caught:
        play(steps)
    assert caught.value.rule == rule


def test_limits_in_cycles() -> None:
    assert [Limit(ns=15).at(mhz * 1e6) for mhz in (1, 100, 133, 134, 200, 201)] == [
        1,
        2,
        2,
        3,
        3,
        4,
    ]
    assert Limit(ns=2, cycles=2).at(100e6) == 2
    timing = AS4C32M16SB_7.timing(100e6)
    assert (timing.rcd, timing.rc, timing.wr, timing.cas) == (3, 7, 2, 2)
    assert (timing.power_up, timing.refresh_window) == (20_000, 6_400_000)
    assert AS4C32M16SB_7.timing(133e6).cas == 3


@pytest.mark.parametrize("name", CHIPS)
def test_refreshes_are_in_time_though_late(name: str) -> None:
    timing = CHIPS[name].timing(133e6)
    last = (timing.refresh_rows + POSTPONED + 2) * timing.interval
    assert timing.refresh_window * 0.999 < last <= timing.refresh_window


def test_sizes() -> None:
    sizes = [chip.bytes >> 20 for chip in (AS4C32M16SB_7, IS42S16160G_7, W9825G6KH_6)]
    assert sizes == [64, 32, 32]


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="166 MHz is too fast for this SDRAM, which takes 143 MHz"):
        AS4C32M16SB_7.timing(166e6)
    with pytest.raises(ValueError, match=r"burst must be one of \(2, 4, 8\), not 1"):
        Sdram(AS4C32M16SB_7, 100e6, 64, burst=1)
    with pytest.raises(
        ValueError, match="a request of 512 words takes 2048 cycles and the refresh"
    ):
        Sdram(AS4C32M16SB_7, 100e6, 512)
    with pytest.raises(ValueError, match="columns"):
        replace(AS4C32M16SB_7, column_bits=11)
