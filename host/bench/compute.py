"""What a device's engine does with samples that are in the device's memory: no link, no host."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from zipsgd.hdl.contract.job import Job
from zipsgd.hdl.memory.plan import SamplePlan
from zipsgd.sim.golden import predict_cycles
from zipsgd.sim.memory import Waits, service_cycles
from zipsgd.sim.whole_device import FIRST_WORD_CYCLES, memory_signature

from ..devices.interface import SIMULATED
from ..devices.linked_device import LinkedDevice
from ..errors import MismatchError
from ..json_lines import json_line
from ..options.options import Options
from ..training.loop import prepare
from .link import opened, options_for
from .simulator import synthetic

SAMPLES, FEATURES, EPOCHS = 20_480, 90, 4
"""A megabyte at 4 bits, which is put into a simulated memory without passing the link."""

OPTIONS = Options(epochs=EPOCHS, copies=1, step=2.0**-12, epochs_per_job=EPOCHS)
MEMORIES = (Waits(), Waits(most_wait=8))
"""Of the simulated device, and one that lets every request of 16 words wait for 0 to 8 cycles."""

WAITS = {None: "not known", 0: "never"}

LEAST_UTILISATION = 0.99
LEAST_CYCLES_PER_S = 0.4e6
CLOCK_HZ = 80e6
"""Of predictions from the simulated device, unless another is named: about what place and route
gives (README)."""


@dataclass(frozen=True, kw_only=True)
class Computed:
    """A training job on a device.

    Parameters
    ----------
    most_wait : int or None
        Cycles that the memory lets a request wait at most; None if that is not known.
    cycles, predicted_cycles : int
        Measured, and of the cycle model with what is known of the memory.
    utilisation : float
        Beats a cycle.
    simulator_cycles_per_s : float or None
        Of the whole simulated device, in a second of a core; None on a board.
    clock_hz : float
        For the prediction.
    predicted_samples_per_s : float
        At that clock, from the measured cycles.
    """

    most_wait: int | None
    cycles: int
    predicted_cycles: int
    utilisation: float
    simulator_cycles_per_s: float | None
    clock_hz: float
    predicted_samples_per_s: float


def compute(name: str, clock_hz: float | None = None, as_json: bool = False) -> None:
    """Measure and print; ``clock_hz`` is that of the prediction, by default the board's own.

    Raises
    ------
    MismatchError
        If a simulated job takes other cycles than predicted or misses a target, or a board's takes
        fewer than the cycle model.
    """
    results = []
    for waits in MEMORIES if name == SIMULATED else (None,):
        with opened(name, OPTIONS.config, waits=waits) as device:
            results.append(measure(device, waits, clock_hz))
    if as_json:
        for one in results:
            typer.echo(json_line({"device": name, **asdict(one)}))
    else:
        Console(highlight=False, soft_wrap=True).print(_table(name, results))
    for one in results:
        check(one)


def measure(device: LinkedDevice, waits: Waits | None, clock_hz: float | None) -> Computed:
    """Train, the samples first put where they belong; ``waits`` of a simulated memory."""
    options = options_for(device, OPTIONS)
    task = prepare(synthetic(SAMPLES, FEATURES), options)
    (job,) = task.jobs
    chunks, clock = task.copies[0].chunks, device.link.transport.clock
    device.load_model(np.zeros(chunks * device.config.lanes, dtype=np.int64))
    counters = device.run(job, *task.copies)
    speed = None
    if waits is not None:
        # Again, with nothing left to upload, for the simulator's speed.
        simulated_s, core_s = clock.now(), time.process_time()
        device.run(job, *task.copies)
        simulated_s, core_s = clock.now() - simulated_s, time.process_time() - core_s
        speed = simulated_s * device.identity.clock_hz / core_s
    rate_hz = clock_hz or (CLOCK_HZ if waits is not None else device.identity.clock_hz)
    return Computed(
        most_wait=None if waits is None else waits.most_wait,
        cycles=counters.cycles,
        predicted_cycles=predict(device, job, waits),
        utilisation=counters.beats / counters.cycles,
        simulator_cycles_per_s=speed,
        clock_hz=rate_hz,
        predicted_samples_per_s=SAMPLES * options.epochs * rate_hz / counters.cycles,
    )


def predict(device: LinkedDevice, job: Job, waits: Waits | None) -> int:
    """Cycles of a job: those of the cycle model, or what its memory takes for all words and the
    engine after the last of them, if that is longer; and the first word's way."""
    config, cycles = device.config, predict_cycles(device.config, job)
    if waits is None:
        return cycles
    beats = job.groups * job.group_beats(config)
    if waits.most_wait:
        port = memory_signature(config, device.identity.memory_bytes)
        plan = SamplePlan(beats=beats, epochs=len(job.epochs))
        served = service_cycles(plan.lengths(config.beat_bits, port.width, port.longest), waits)
        last = predict_cycles(config, replace(job, epochs=job.epochs[-1:])) - beats
        cycles = max(cycles, served + last)
    return FIRST_WORD_CYCLES + cycles


def check(one: Computed) -> None:
    """Raises `MismatchError`, see `compute`."""
    known = one.most_wait is not None
    if one.cycles < one.predicted_cycles or (known and one.cycles != one.predicted_cycles):
        raise MismatchError(
            f"the job took {one.cycles} cycles and {one.predicted_cycles} were predicted; the "
            "cycle model, or what is known of the memory, has a fault"
        )
    if one.most_wait == 0 and one.utilisation < LEAST_UTILISATION:
        raise MismatchError(
            f"the engine's utilisation is {one.utilisation:.4f} on a memory that does not wait; "
            f"the target is {LEAST_UTILISATION}"
        )
    speed = one.simulator_cycles_per_s
    if speed is not None and speed < LEAST_CYCLES_PER_S:
        raise MismatchError(
            f"the device is simulated at {speed / 1e6:.2f} million cycles a second of a core, "
            f"below {LEAST_CYCLES_PER_S / 1e6:.1f}; close other programs and measure again"
        )


def _table(name: str, results: list[Computed]) -> Table:
    table = Table(
        title=f"{name}: {SAMPLES:,} samples of {FEATURES} features, {EPOCHS} epochs, from the "
        f"device's memory; samples a second are predicted for {results[0].clock_hz / 1e6:g} MHz"
    )
    for heading in ("memory waits", "cycles", "predicted", "utilised", "million samples/s"):
        table.add_column(heading, justify="right")
    if name == SIMULATED:
        table.add_column("simulator, million cycles/core s", justify="right")
    for one in results:
        speed = one.simulator_cycles_per_s
        table.add_row(
            WAITS.get(one.most_wait, f"0 to {one.most_wait} cycles"),
            *(f"{one.cycles:,}", f"{one.predicted_cycles:,}", f"{one.utilisation:.4f}"),
            f"{one.predicted_samples_per_s / 1e6:.2f}",
            *(() if speed is None else (f"{speed / 1e6:.2f}",)),
        )
    return table
