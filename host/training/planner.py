"""Which engine suits a data set: lanes, banks and delay for a beat width, from the cycle model.

A beat of W bits can carry few features of many samples or many features of few. Many lanes waste
what the last chunk of a sample does not fill, many banks learn from more samples at one and the
same model. Every power of two is tried, each with the delay under which it is fastest, of those
that the engine takes and the memory allows; of the geometries within `NEAR` of the fewest cycles,
the one with the fewest samples in flight is chosen, because its gradients are the least stale.

Cycles are those of the cycle model for one epoch (`sim.cycles`), so they equal the engine's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from zipsgd.hdl.contract.config import EngineConfig, is_power_of_two
from zipsgd.hdl.contract.formats import MAX_BEAT_BITS
from zipsgd.hdl.contract.job import Epoch, Job, Step
from zipsgd.sim.cycles import predict_cycles

from ..codes.weaving import check_shape, groups_of
from ..errors import InputError
from ..options.losses import LOSSES
from ..options.options import Options

NEAR = 0.05
"""Share of the fewest cycles that a candidate may take more, if fewer samples are in flight."""

FULL_RATE = 0.99
"""Utilisation from which on there is nothing to explain."""

MODEL_COPIES = 2
"""Memories of the engine that hold the model: x and acc."""

ANY_STEP = 2.0**-10
"""Cycles do not depend on the step size."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An engine and an epoch on it.

    Parameters
    ----------
    options : Options
        Geometry, bits, mini-batch and delay.
    job : Job
        One epoch.
    samples, features : int
        Of an epoch; features with the intercept.
    cycles : int
        Of the epoch, on a stream that never waits.
    """

    options: Options
    job: Job
    samples: int
    features: int
    cycles: int

    @property
    def config(self) -> EngineConfig:
        return self.options.config

    @property
    def name(self) -> str:
        return f"{self.options.lanes} x {self.options.banks}"

    @property
    def group_beats(self) -> int:
        return self.job.group_beats(self.config)

    @property
    def run_groups(self) -> int:
        """Groups that follow one another without empty slots."""
        return self.job.batch_groups if self.job.sync else self.job.groups

    @property
    def least_delay(self) -> int:
        """The least delay with which no slot waits for errors."""
        errors = self.group_beats + self.config.dot_latency
        return math.ceil(errors / self.job.slot_cycles(self.config))

    @property
    def beats(self) -> int:
        """Beats of an epoch, each of ``config.beat_bytes`` bytes."""
        return self.job.groups * self.group_beats

    @property
    def cycles_a_sample(self) -> float:
        return self.cycles / self.samples

    @property
    def utilisation(self) -> float:
        """Beats a cycle."""
        return self.beats / self.cycles

    @property
    def in_flight(self) -> int:
        """Samples whose gradients are computed at one model."""
        return self.options.stale_in(self.samples)

    @property
    def replay_beats(self) -> int:
        """Beats of the replay buffer that the job needs."""
        return self.job.delay * self.job.chunks * self.job.bits

    @property
    def replay_bits(self) -> int:
        """Bits of the smallest replay buffer that holds them."""
        return _power_of_two(self.replay_beats) * self.config.beat_bits

    @property
    def model_bits(self) -> int:
        """Bits of the smallest model memories that hold the features."""
        words = _power_of_two(self.job.chunks) * self.config.lanes
        return MODEL_COPIES * words * self.config.model_bits

    @property
    def memory_bits(self) -> int:
        """Bits of replay buffer and model memories together."""
        return self.replay_bits + self.model_bits


@dataclass(frozen=True)
class Refused:
    """A geometry that cannot take the data set, and why."""

    lanes: int
    banks: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """The candidates in the order of their lanes, the chosen one, and why in sentences."""

    candidates: tuple[Candidate, ...]
    refused: tuple[Refused, ...]
    chosen: Candidate
    why: tuple[str, ...]


def plan(
    options: Options, width: int, samples: int, features: int, memory_bits: int | None = None
) -> Plan:
    """The plan for an epoch of ``samples`` samples on an engine with beats of ``width`` bits.

    Parameters
    ----------
    options : Options
        Bits, mini-batch, sync, loss, weights and ``max_bits``; its geometry and delay are ignored.
    features : int
        Without the intercept, and without a column of weights.
    memory_bits : int or None
        Most bits of replay buffer and model memories together.

    Raises
    ------
    InputError
        If an argument is out of range, or no engine of this width takes the data set; the message
        says why not.
    """
    if not is_power_of_two(width) or not 8 <= width <= MAX_BEAT_BITS:
        raise InputError(
            f"--beat-width is {width}; it must be a power of two from 8 to {MAX_BEAT_BITS}"
        )
    if samples < 1 or features < 1:
        raise InputError(
            f"{samples} samples of {features} features are nothing to plan for; give 1 or more"
        )
    if memory_bits is not None and memory_bits < 1:
        raise InputError(
            f"--memory is {memory_bits / 1024:g} kbit; an engine needs some, so make it 1 or more"
        )
    candidates: list[Candidate] = []
    refused: list[Refused] = []
    for exponent in range(1, width.bit_length()):
        lanes, banks = 1 << exponent, width >> exponent
        try:
            # A mini-batch that is no multiple of the banks is refused here.
            found = _fastest(
                replace(options, lanes=lanes, banks=banks, delay=1),
                samples,
                features + 1,
                memory_bits,
            )
            candidates.append(found)
        except InputError as fault:
            refused.append(Refused(lanes, banks, str(fault)))
    if not candidates:
        raise InputError(
            f"no engine with beats of {width} bits takes {samples} samples of {features} features "
            f"at {options.bits} bits; the last that was tried, {refused[-1].lanes} lanes x "
            f"{refused[-1].banks} banks: {refused[-1].reason}"
        )
    fewest = min(candidates, key=lambda one: one.cycles)
    near = [one for one in candidates if one.cycles <= (1 + NEAR) * fewest.cycles]
    chosen = min(near, key=lambda one: (one.in_flight, one.cycles))
    return Plan(tuple(candidates), tuple(refused), chosen, _why(chosen, fewest, memory_bits))


def candidate(options: Options, samples: int, features: int) -> Candidate:
    """What an epoch takes on the engine of ``options``; ``features`` with the intercept.

    Raises
    ------
    InputError
        If the engine has no room for the features or cannot run the job.
    """
    config = options.config
    check_shape((samples, features), None, options.bits, config)
    groups = groups_of(samples, config)
    job = Job(
        epochs=(Epoch(step=Step.nearest(ANY_STEP, config)),),
        bits=options.bits,
        chunks=math.ceil(features / config.lanes),
        groups=groups,
        batch_groups=options.batch_groups_in(groups),
        delay=options.delay,
        sync=options.sync,
        corrected=False,
        seed=0,
        loss=LOSSES[options.loss].engine,
        weighted=options.weighted,
    )
    try:
        job.check(config)
    except ValueError as fault:
        raise InputError(str(fault)) from fault
    cycles = predict_cycles(config, job)
    return Candidate(options=options, job=job, samples=samples, features=features, cycles=cycles)


def _fastest(options: Options, samples: int, features: int, memory_bits: int | None) -> Candidate:
    """With the delay that takes the fewest cycles of those that the memory allows, the smallest."""
    best = candidate(options, samples, features)
    _check_memory(best, memory_bits)
    # A longer one than the least that hides every wait only adds empty slots.
    for delay in range(2, min(best.least_delay, options.config.max_delay) + 1):
        try:
            other = candidate(replace(options, delay=delay), samples, features)
            _check_memory(other, memory_bits)
        except InputError:  # the replay buffer, or the memory for it, ends here
            break
        best = min(best, other, key=lambda one: one.cycles)
    return best


def _check_memory(found: Candidate, memory_bits: int | None) -> None:
    """Raises `InputError` if the memory does not hold replay buffer and model."""
    if memory_bits is not None and found.memory_bits > memory_bits:
        raise InputError(
            f"replay buffer and model need {math.ceil(found.memory_bits / 1024)} kbit and --memory "
            f"allows {memory_bits / 1024:.0f}"
        )


def _why(chosen: Candidate, fewest: Candidate, memory_bits: int | None) -> tuple[str, ...]:
    """The reasons, a sentence each."""
    config, job = chosen.config, chosen.job
    empty = 1 - chosen.features / (job.chunks * config.lanes)
    words = "labels and weights" if job.weighted else "labels"
    said = [
        f"A group of {config.banks} samples is {job.chunks} chunks x {job.bits} bits + "
        f"{chosen.group_beats - job.chunks * job.bits} for {words} = {chosen.group_beats} beats; "
        f"{empty:.1%} of its lanes are empty."
    ]
    if chosen is fewest:
        said.append(f"No other geometry of this width takes fewer cycles than {chosen.name}.")
    else:
        fewer = 100 * (1 - fewest.cycles / chosen.cycles)
        takes = f"{fewer:.2g}% fewer" if fewer else "as many"
        said.append(
            f"{fewest.name} takes {takes} cycles, but computes the gradients of "
            f"{fewest.in_flight} samples at one model instead of {chosen.in_flight}."
        )
    said.append(_why_delay(chosen, memory_bits))
    if chosen.utilisation < FULL_RATE:
        said.append(_why_not_full(chosen, memory_bits))
    return tuple(said)


def _why_delay(chosen: Candidate, memory_bits: int | None) -> str:
    config, delay = chosen.config, chosen.job.delay
    errors = f"a group's errors come {config.dot_latency} cycles after its last beat"
    if delay == 1:
        takes = "the engine takes" + " and --memory allows" * (memory_bits is not None)
        return f"No longer delay that {takes} is faster than 1: {errors}."
    sooner = replace(chosen.options, delay=delay - 1)
    slower = candidate(sooner, chosen.samples, chosen.features)
    return (
        f"Delay {delay}, because {errors}: with delay {delay - 1} slots would wait for them "
        f"(utilisation {slower.utilisation:.3f} instead of {chosen.utilisation:.3f})."
    )


def _why_not_full(chosen: Candidate, memory_bits: int | None) -> str:
    """What costs most of the cycles in which no beat is taken."""
    job, slot = chosen.job, chosen.job.slot_cycles(chosen.config)
    empty_slots = job.delay * math.ceil(job.groups / chosen.run_groups)
    lost = {
        "short": job.groups * (slot - chosen.group_beats),
        "empty": empty_slots * slot,
        "waits": chosen.cycles - (job.groups + empty_slots) * slot,
    }
    most = max(lost, key=lambda cause: lost[cause])
    if most == "short":
        return (
            f"The group is short: {slot} cycles must pass before a model word that was read may be "
            "read again."
        )
    if most == "waits":
        return _why_it_waits(chosen, memory_bits)
    if job.sync:
        return (
            f"{job.delay} empty slots end every mini-batch of {job.batch_groups} groups; larger "
            "mini-batches lose less."
        )
    return f"{job.delay} empty slots end an epoch of only {job.groups} groups."


def _why_it_waits(chosen: Candidate, memory_bits: int | None) -> str:
    """Why no delay hides the wait for errors: which limits it meets, if it helps."""
    config, job, delay = chosen.config, chosen.job, chosen.least_delay
    longer = replace(chosen, job=replace(job, delay=delay))
    needed = {"max_delay": delay, "replay_beats": longer.replay_beats}
    limits = [
        f"{name} = {getattr(config, name)}"
        for name, value in needed.items()
        if value > getattr(config, name)
    ]
    met = [f"the engine has {' and '.join(limits)}"] if limits else []
    if memory_bits is not None and longer.memory_bits > memory_bits:
        met.append(f"--memory allows {memory_bits / 1024:.0f} kbit")
    if met and predict_cycles(config, longer.job) < chosen.cycles:
        return f"Delay {delay} would hide the whole wait, but {' and '.join(met)}."
    what = "mini-batches" if job.sync else "an epoch"
    return f"No delay makes up for that wait in {what} of only {chosen.run_groups} groups."


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()
