"""The software reference: the engine's arithmetic and slot rule as plain int64 NumPy.

Gateware equals this page bit for bit, and cycle for cycle on a stream that never waits. One
function a stage; shapes use G groups, B banks (samples of a group) and F = chunks * lanes features.
All arrays hold integers; the number of fractional bits is in `hdl.config.EngineConfig`.

Sources: double sampling is Zhang et al., "ZipML", ICML 2017, section 3; the averaged codes and the
parity-gated correction are this project's (README, "The estimator").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hdl.config import (
    RANDOM_WORD_BITS,
    XORSHIFT_TRIPLE,
    EngineConfig,
    Job,
    generator_constant,
)

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def saturate(value: Ints, bits: int) -> tuple[Ints, Bools]:
    """The nearest value of a signed ``bits``-bit word, and where it differs from ``value``."""
    limit = np.int64(1) << (bits - 1)
    clipped = np.clip(value, -limit, limit - 1)
    return clipped, clipped != value


def round_nearest(value: Ints, drop: int) -> Ints:
    """``value / 2**drop`` to the nearest integer, ties up."""
    return (value + (1 << drop >> 1)) >> drop


def dither(random: Ints, drop: int, random_bits: int) -> Ints:
    """What is added before ``drop`` bits fall: ``random`` on top, then half of its last place."""
    below = drop - random_bits
    return (random << below) + (1 << below >> 1)


def round_stochastic(value: Ints, random: Ints, drop: int, random_bits: int) -> Ints:
    """``value / 2**drop`` rounded up with a probability equal to the dropped fraction."""
    return (value + dither(random, drop, random_bits)) >> drop


class RandomSource:
    """Disjoint ``random_bits``-wide fields of 64-bit xorshift generators.

    Parameters
    ----------
    fields : int
        Fields a draw.
    first : int
        Index of the first generator: sources of one engine use different ones.
    """

    def __init__(self, config: EngineConfig, fields: int, first: int, seed: int) -> None:
        self.fields, self.bits = fields, config.random_bits
        count = config.generators(fields)
        constants = [generator_constant(first + index) for index in range(count)]
        self.state = np.array(constants, dtype=np.uint64) ^ np.uint64(seed)
        self._shifts = (np.arange(config.fields_per_word) * self.bits).astype(np.uint64)

    def draw(self) -> Ints:
        """``fields`` random integers below ``2**random_bits``; then the generators step once."""
        words = self.state[:, None] >> self._shifts
        random = words.ravel()[: self.fields] & np.uint64((1 << self.bits) - 1)
        left, right, again = map(np.uint64, XORSHIFT_TRIPLE)
        self.state = self.state ^ (self.state << left)
        self.state ^= self.state >> right
        self.state ^= self.state << again
        return random.astype(np.int64)


assert RANDOM_WORD_BITS == 64, "RandomSource relies on uint64 arithmetic"


@dataclass
class Counters:
    """What the engine reports of a pass (`hdl.protocol.Status`)."""

    cycles: int = 0
    beats: int = 0
    margin_saturations: int = 0
    error_saturations: int = 0
    model_saturations: int = 0


def dot(codes: Ints, x: Ints) -> Ints:
    """Exact A = codes (..., F) @ x (F) -> (...), with ``model_frac + q - 1`` fractional bits."""
    return codes @ x


def margin(config: EngineConfig, job: Job, product: Ints) -> tuple[Ints, Bools]:
    """Margins z with ``model_frac`` fractional bits, rounded once, and where they saturated."""
    return saturate(round_nearest(product, job.bits - 1), config.model_bits)


def scaled_error(config: EngineConfig, job: Job, z: Ints, label: Ints) -> tuple[Ints, Bools]:
    """h = step * (z - Y), least squares, with ``error_frac`` fractional bits; rounded once."""
    product = job.step.mantissa * (z - label)
    return saturate(
        round_nearest(product, job.step.shift - config.min_step_shift), config.error_bits
    )


def coefficient(config: EngineConfig, job: Job, random: Ints) -> Ints:
    """step * d**2 for each bank, stochastically rounded to ``coefficient_frac`` fractional bits."""
    unit = np.full(random.shape, job.correction(config), dtype=np.int64)
    rounded = round_stochastic(unit, random, config.random_bits, config.random_bits)
    return np.minimum(rounded, (1 << config.coefficient_bits) - 1)


def code_sum(h: Ints, codes: Ints) -> Ints:
    """sum_k h_k M_kj: h (B), codes (B, F) -> (F)."""
    return h @ codes


def correction(c: Ints, codes: Ints, x: Ints) -> Ints:
    """sum_k c_k [M_kj even] X_j: the parity of a code says whether its two draws differed."""
    return (c @ (codes % 2 == 0).astype(np.int64)) * x


def gradient(config: EngineConfig, job: Job, h: Ints, c: Ints, codes: Ints, x: Ints) -> Ints:
    """Exact G of a group: (F), ``gradient_frac`` fractional bits."""
    align = config.gradient_frac - config.error_frac - (job.bits - 1)
    align_correction = config.gradient_frac - config.correction_frac
    return (code_sum(h, codes) << align) - (correction(c, codes, x) << align_correction)


def update(config: EngineConfig, acc: Ints, g: Ints, random: Ints) -> tuple[Ints, Bools]:
    """acc - round_stochastic(G), and where it saturated."""
    step = round_stochastic(g, random, config.gradient_drop, config.random_bits)
    return saturate(acc - step, config.model_bits)


def slots(job: Job) -> list[int | None]:
    """The group that each slot carries, or None: D empty slots follow the last and, if ``sync``,
    every mini-batch."""
    carried: list[int | None] = []
    for group in range(job.groups):
        carried.append(group)
        if ends_batch(job, group) and (job.sync or group == job.groups - 1):
            carried += [None] * job.delay
    return carried


def ends_batch(job: Job, group: int) -> bool:
    """Whether ``group`` is the last of its mini-batch or of the pass."""
    return (group + 1) % job.batch_groups == 0 or group == job.groups - 1


def predict_cycles(config: EngineConfig, job: Job) -> int:
    """Cycles of a pass on a stream that never waits: the cycle model, slot by slot.

    ``start(t) = max(start(t-1) + slot_cycles, start(t-D) + L + dot_latency)``, the second term only
    where slot t - D carried a group, whose errors this slot's update needs.
    """
    beats = config.group_beats(job.chunks, job.bits)
    spacing = config.slot_cycles(job.chunks, job.bits)
    carried = slots(job)
    start = [0]
    for t in range(1, len(carried) + 1):
        earliest = start[t - 1] + spacing
        older = t - job.delay
        if t < len(carried) and older >= 0 and carried[older] is not None:
            earliest = max(earliest, start[older] + beats + config.dot_latency)
        start.append(earliest)
    return start[-1]


class Golden:
    """The engine: two copies of the model, and the slot rule.

    ``x`` is what dot products, correction and the host read; ``acc`` collects the updates.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.x: Ints = np.zeros(0, dtype=np.int64)
        self.acc: Ints = np.zeros(0, dtype=np.int64)

    def load(self, words: Ints) -> None:
        """Set both copies of the model: (F)."""
        self.x = np.array(words, dtype=np.int64)
        self.acc = self.x.copy()

    def run(self, job: Job, codes: NDArray[Any], labels: Ints, valid: Bools) -> Counters:
        """One pass: codes (G, B, F), labels (G, B), valid (G, B)."""
        job.check(self.config)
        config, count = self.config, Counters()
        lanes = config.generators(config.lanes)
        updates = RandomSource(config, config.lanes, 0, job.seed)
        coefficients = RandomSource(config, config.banks, lanes, job.seed)
        errors: dict[int, tuple[Ints, Ints]] = {}

        carried = slots(job)
        for t, group in enumerate(carried):
            x = self.x
            older = carried[t - job.delay] if t >= job.delay else None
            if older is not None:
                h, c = errors.pop(older)
                g = gradient(config, job, h, c, codes[older].astype(np.int64), x)
                random = np.concatenate([updates.draw() for _ in range(job.chunks)])
                self.acc, saturated = update(config, self.acc, g, random)
                count.model_saturations += int(saturated.sum())
                if ends_batch(job, older):
                    self.x = self.acc.copy()
            if group is not None:
                z, margin_saturated = margin(config, job, dot(codes[group].astype(np.int64), x))
                h, error_saturated = scaled_error(config, job, z, labels[group])
                c = coefficient(config, job, coefficients.draw())
                errors[group] = (h * valid[group], c * valid[group])
                count.margin_saturations += int((margin_saturated & valid[group]).sum())
                count.error_saturations += int((error_saturated & valid[group]).sum())

        count.cycles = predict_cycles(config, job)
        count.beats = job.groups * config.group_beats(job.chunks, job.bits)
        return count
