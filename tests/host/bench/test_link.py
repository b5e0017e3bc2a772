"""`zipsgd bench link`, `compute` and `end-to-end` on a small simulated device: their figures are
those of the gateware, and a missed target or a wrong result is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.host.bench import compute as bench_compute
from zipsgd.host.bench import end_to_end as bench_end_to_end
from zipsgd.host.bench import link as bench_link
from zipsgd.host.bench.link import BAUD, LEAST_SHARE, Way, opened, options_for
from zipsgd.host.bench.simulator import synthetic
from zipsgd.host.devices import linked_device
from zipsgd.host.devices.link.stopwatch import Stopwatch
from zipsgd.host.devices.linked_device import LinkedDevice
from zipsgd.host.errors import InputError, MismatchError
from zipsgd.host.options.options import Options
from zipsgd.host.training.loop import prepare
from zipsgd.sim.golden import predict_cycles
from zipsgd.sim.line import SimulatedClock
from zipsgd.sim.memory import Waits

SMALL = Options(lanes=4, banks=2, epochs=3, copies=1, step=2.0**-8, epochs_per_job=3)


@pytest.fixture(scope="module")
def on_line() -> Iterator[LinkedDevice]:
    """A device behind a simulated UART, compiled once."""
    with opened("sim", SMALL.config, baud=BAUD) as device:
        yield device


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_link, "SIZE", 1 << 13)
    monkeypatch.setattr(linked_device, "FAST_LOAD_BYTES", 0)
    for module, samples in ((bench_compute, 600), (bench_end_to_end, 250)):
        monkeypatch.setattr(module, "OPTIONS", SMALL)
        monkeypatch.setattr(module, "SAMPLES", samples)
        monkeypatch.setattr(module, "FEATURES", 20)


def test_link_fills_the_line(on_line: LinkedDevice) -> None:
    """Above the target, below the line's rate, and the seconds are those of the simulated clock."""
    begin = on_line.link.transport.clock.now()
    ways = bench_link.measure(on_line)
    elapsed_s = on_line.link.transport.clock.now() - begin
    assert [way.name for way in ways] == ["upload", "read back"]
    assert ways[0].line_bytes_per_s == BAUD / 10
    assert LEAST_SHARE <= ways[0].share < 1 and 0.75 < ways[1].share < 1
    assert sum(way.seconds for way in ways) == pytest.approx(elapsed_s)
    assert not any(way.retries for way in ways)
    bench_link.check("sim", ways[0])


def test_link_tells_what_is_wrong(on_line: LinkedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Way("upload", 8000, 0.03, 300_000, 7)
    with pytest.raises(MismatchError, match=r"reached 88\.9% .* is 90% \(7 frames"):
        bench_link.check("sim", slow)
    bench_link.check("serial:/dev/ttyUSB0", slow)
    read = on_line.link.read

    def changed(*arguments: Any, **options: Any) -> bytes:
        return read(*arguments, **options)[:-1] + b"\0"

    monkeypatch.setattr(on_line.link, "read", changed)
    with pytest.raises(MismatchError, match="came back changed"):
        bench_link.measure(on_line)


@pytest.mark.parametrize(
    "waits", [Waits(), Waits(most_wait=8), Waits(most_wait=40, seed=2)], ids=str
)
def test_compute_takes_the_cycles_of_model_and_memory(waits: Waits) -> None:
    """To the cycle; and a memory that waits costs what it says."""
    with opened("sim", SMALL.config, waits=waits) as device:
        one = bench_compute.measure(device, waits, 50e6)
    bench_compute.check(replace(one, simulator_cycles_per_s=None))
    beats = one.utilisation * one.cycles
    if waits.most_wait:
        assert beats * (1 + 0.4 * waits.most_wait / 16) < one.cycles
    assert one.predicted_samples_per_s == pytest.approx(600 * 3 * 50e6 / one.cycles)
    assert one.simulator_cycles_per_s is not None and one.simulator_cycles_per_s > 1000
    with pytest.raises(MismatchError, match="were predicted"):
        bench_compute.check(replace(one, cycles=one.cycles + 1))
    with pytest.raises(MismatchError, match=r"0\.39 million cycles a second of a core, below 0\.4"):
        bench_compute.check(replace(one, simulator_cycles_per_s=0.39e6))


def test_parts_of_end_to_end_add_up(on_line: LinkedDevice) -> None:
    run = bench_end_to_end.measure(on_line)
    seconds = {part.name: part.seconds for part in run.parts}
    assert list(seconds) == ["parse", "round", "upload", "train", "read back"]
    assert min(seconds.values()) > 0
    assert sum(seconds.values()) == pytest.approx(run.total_s)
    task = prepare(synthetic(200, 20), SMALL)
    job = replace(task.jobs[0], groups=100)
    size = 100 * job.group_beats(SMALL.config) * SMALL.config.beat_bytes
    assert size / (BAUD / 10) < seconds["upload"] < 1.3 * size / (BAUD / 10)
    clock_hz = on_line.identity.clock_hz
    assert seconds["train"] > predict_cycles(SMALL.config, job) / clock_hz
    assert run.retries == 0


def test_the_time_of_a_wrong_result_is_not_told(
    on_line: LinkedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = on_line.read_model
    monkeypatch.setattr(on_line, "read_model", lambda chunks: read(chunks) ^ 1)
    with pytest.raises(MismatchError, match="of 24 model words are not those of the golden"):
        bench_end_to_end.measure(on_line)


def test_as_json(
    on_line: LinkedDevice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_end_to_end, "opened", lambda *_, **__: nullcontext(on_line))
    bench_end_to_end.end_to_end("sim", as_json=True)
    *parts, total = map(json.loads, capsys.readouterr().out.splitlines())
    assert sum(part["share"] for part in parts) == pytest.approx(1)
    assert (total["name"], total["retries"]) == ("total", 0)


def test_devices_and_engines_that_cannot_be_measured(
    on_line: LinkedDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="fast has no link"), opened("fast", SMALL.config):
        pass
    assert options_for(on_line, Options()).config == on_line.config
    monkeypatch.setattr(on_line, "config", ENGINES["small"])
    assert options_for(on_line, Options()).config == ENGINES["small"]
    monkeypatch.setattr(on_line, "config", replace(SMALL.config, max_chunks=8))
    with pytest.raises(InputError, match="its engine has parameters of its own"):
        options_for(on_line, Options())


def test_the_stopwatch_loses_nothing() -> None:
    """Pauses count for the phase that they lead to."""
    clock = SimulatedClock()
    watch = Stopwatch(clock)
    for phase, pause_s in (("a", 1.0), ("b", 2.0), ("a", 0.5)):
        clock.sleep(pause_s)
        watch.charge(phase)
    assert watch.seconds == {"a": 1.5, "b": 2.0}
    watch.restart()
    assert not watch.seconds
