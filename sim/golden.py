"""The software reference: the engine's arithmetic and slot rule as plain int64 NumPy.

Gateware equals this page bit for bit, and cycle for cycle on a stream that never waits. One
function a stage; shapes use G groups, B banks (samples of a group) and F = chunks * lanes features.
All arrays hold integers; the number of fractional bits is in `hdl.contract.config.EngineConfig`.

Sources: double sampling is Zhang et al., "ZipML", ICML 2017, section 3; the averaged codes and the
parity-gated correction are this project's (README, "The estimator").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import CURVATURE_FRAC, VARIANCE_FRAC, WEIGHT_FRAC
from zipsgd.hdl.contract.generators import RANDOM_WORD_BITS, XORSHIFT_TRIPLE, generator_constant
from zipsgd.hdl.contract.job import Epoch, Job, Loss, Mode
from zipsgd.hdl.contract.tables import ENTRIES, fraction_bits, rows

from .model import check_model, model_words

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
    """What is added before ``drop`` bits fall: the ``random_bits`` lowest bits of ``random`` on
    top, then half of their last place."""
    below = drop - random_bits
    return ((random & ((1 << random_bits) - 1)) << below) + (1 << below >> 1)


def round_stochastic(value: Ints, random: Ints, drop: int, random_bits: int) -> Ints:
    """``value / 2**drop`` rounded up with a probability equal to the dropped fraction."""
    return (value + dither(random, drop, random_bits)) >> drop


def coarsen(value: Ints, drop: int) -> Ints:
    """``value`` with its ``drop`` lowest bits zero, towards minus infinity."""
    return value >> drop << drop


class GoldenRandom:
    """Disjoint ``field_bits``-wide fields of 64-bit xorshift generators.

    Parameters
    ----------
    fields : int
        Fields a draw.
    first : int
        Index of the first generator: sources of one engine use different ones.
    """

    def __init__(self, config: EngineConfig, fields: int, first: int, seed: int) -> None:
        self.fields, self.bits = fields, config.field_bits
        count = config.generators(fields)
        constants = [generator_constant(first + index) for index in range(count)]
        self.state = np.array(constants, dtype=np.uint64) ^ np.uint64(seed)
        self._shifts = (np.arange(config.fields_per_word) * self.bits).astype(np.uint64)

    def draw(self) -> Ints:
        """``fields`` random integers below ``2**field_bits``; then the generators step once."""
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
    """What the engine reports of a pass (`hdl.contract.protocol.Status`)."""

    cycles: int = 0
    beats: int = 0
    margin_saturations: int = 0
    error_saturations: int = 0
    model_saturations: int = 0
    loss_sum: int = 0

    def held(self, config: EngineConfig) -> Counters:
        """With numbers of saturations that are no larger than what the engine's counters hold."""
        most = (1 << config.count_bits) - 1
        self.margin_saturations = min(self.margin_saturations, most)
        self.error_saturations = min(self.error_saturations, most)
        self.model_saturations = min(self.model_saturations, most)
        return self


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The samples of an epoch: codes (G, B, F); labels, valid, weights and offsets (G, B).

    Labels and offsets have ``model_frac`` fractional bits, weights `WEIGHT_FRAC`.
    """

    codes: NDArray[Any]
    labels: Ints
    valid: Bools
    weights: Ints | None = None
    offsets: Ints | None = None


@dataclass(frozen=True)
class Errors:
    """What a group's dot products leave for its update: h and c (B), and its regularisation."""

    h: Ints
    c: Ints
    decay: Ints
    threshold: Ints


def dot(codes: Ints, x: Ints) -> Ints:
    """Exact A = codes (..., F) @ x (F) -> (...), with ``model_frac + q - 1`` fractional bits."""
    return codes @ x


def margin(
    config: EngineConfig, job: Job, codes: Ints, x: Ints, offset: Ints
) -> tuple[Ints, Bools]:
    """Margins z = A >> (q - 1), rounded once, plus ``offset``; and where they saturated.

    Codes of more than 16 bits are cut in two, because A would not fit 64 bits.
    """
    cut = max(job.bits - 16, 0)
    low = dot(codes & ((1 << cut) - 1), x) + (1 << (job.bits - 1) >> 1)
    high = dot(codes >> cut, x) + (low >> cut)
    return saturate((high >> (job.bits - 1 - cut)) + offset, config.model_bits)


def interpolate(
    config: EngineConfig, start: Ints, rise: Ints, magnitude: Ints, bend: Ints | int = 0
) -> Ints:
    """Between the entries of a table: ``magnitude`` is |z|, its low bits are the place between.
    ``bend``, with `VARIANCE_FRAC` places more than the table, is added before the rounding."""
    places = fraction_bits(config)
    below = max(places, VARIANCE_FRAC)
    between = rise * (magnitude & ((1 << places) - 1))
    total = (between << below - places) + (bend << below - VARIANCE_FRAC)
    return start + round_nearest(total, below)


def table(config: EngineConfig, magnitude: Ints) -> dict[str, Ints]:
    """The columns of `hdl.contract.tables` at |z|, which is held at the last place before their
    end."""
    index = magnitude >> fraction_bits(config)
    columns = ("sigma", "sigma_rise", "curvature", "bend", "softplus", "softplus_fall")
    table_rows = rows(config)
    return {
        column: np.array([getattr(row, column) for row in table_rows], dtype=np.int64)[index]
        for column in columns
    }


def magnitude_of(config: EngineConfig, z: Ints) -> Ints:
    """|z|, held below the end of the tables."""
    return np.minimum(np.abs(z), (ENTRIES << fraction_bits(config)) - 1)


def derivative(
    config: EngineConfig, job: Job, epoch: Epoch, z: Ints, label: Ints
) -> tuple[Ints, Ints]:
    """F(z, Y) with ``model_frac`` fractional bits and f' with `CURVATURE_FRAC`.

        F = f(z) - f''(z) / 2 * s2,    s2 = d**2 * sum_j p_j X_j**2,    d = 2**-(q - 1)

    f is the derivative of the loss by its margin z. The margin of a sample's codes scatters around
    that of its unrounded features with a variance s2, which to second order (Taylor) moves the mean
    of f(z) by f'' / 2 * s2; F takes that away. Of feature j, the draws differ with a probability
    p_j, and then by 2 d, the step of their grid; so their mean has a variance of d**2 * p_j.
    ``epoch.margin_variance`` is s2 with p_j the shares of all samples, made once a job by the host.
    Only the logistic loss has this term: of the others f'' is 0 but where f has a kink.
    """
    one = np.int64(1) << config.model_frac
    flat = np.int64(1) << CURVATURE_FRAC
    positive = label > 0
    residual = z - label
    short = np.where(positive, z, -z) < one  # Y z < 1
    if job.loss == Loss.LEAST_SQUARES:
        return residual, np.full_like(z, flat)
    if job.loss == Loss.HUBER:
        return np.clip(residual, -one, one), np.where(np.abs(residual) < one, flat, 0)
    if job.loss == Loss.HINGE:
        return np.where(short, np.where(positive, -one, one), 0), np.zeros_like(z)
    if job.loss == Loss.SQUARED_HINGE:
        return np.where(short, residual, 0), np.where(short, flat, 0)
    magnitude = magnitude_of(config, z)
    at = table(config, magnitude)
    bend = at["bend"] * epoch.variance()
    upper = interpolate(config, at["sigma"], at["sigma_rise"], magnitude, bend)
    sigma = np.where(z < 0, one - upper, upper)
    return sigma - np.where(positive, one, 0), at["curvature"]


def sample_step(job: Job, epoch: Epoch, weight: Ints) -> Ints:
    """The step's mantissa times each sample's weight."""
    return round_nearest(epoch.step.mantissa * weight, WEIGHT_FRAC)


def scaled_error(
    config: EngineConfig, job: Job, epoch: Epoch, f: Ints, weight: Ints, noise: Ints
) -> tuple[Ints, Bools]:
    """h = step * w * F with ``error_frac`` fractional bits, rounded once to nearest, then, if the
    job asks for it, stochastically to fewer bits."""
    product = sample_step(job, epoch, weight) * f
    h, saturated = saturate(
        round_nearest(product, epoch.step.shift - config.min_step_shift), config.error_bits
    )
    noise = noise & ((1 << job.error_drop) - 1)
    return coarsen(saturate(h + noise, config.error_bits)[0], job.error_drop), saturated


def coefficient(
    config: EngineConfig, job: Job, epoch: Epoch, curvature: Ints, weight: Ints, noise: Ints
) -> tuple[Ints, Bools]:
    """c = step * d**2 * w * f' of each sample, stochastically rounded to ``coefficient_frac``; and
    where w makes the product too large for it."""
    scale = round_nearest(curvature * weight, WEIGHT_FRAC)
    product = job.correction(config, epoch) * scale
    saturated = product >> CURVATURE_FRAC + config.correction_unit_bits > 0
    return _coefficient(config, round_nearest(product, CURVATURE_FRAC), noise), saturated


def decay(config: EngineConfig, epoch: Epoch, noise: Ints) -> Ints:
    """step * l2 of a group, stochastically rounded to ``coefficient_frac``."""
    return _coefficient(config, np.asarray(epoch.decay(config), dtype=np.int64), noise)


def _coefficient(config: EngineConfig, unit: Ints, noise: Ints) -> Ints:
    rounded = round_stochastic(unit, noise, config.random_bits, config.random_bits)
    return np.minimum(rounded, (1 << config.coefficient_bits) - 1)


def threshold(config: EngineConfig, job: Job, epoch: Epoch, noise: Ints) -> Ints:
    """step * l1 of a group in the model's last places, rounded to the model's grid."""
    drop = config.random_bits + job.model_drop
    unit = np.asarray(epoch.threshold(config), dtype=np.int64)
    return round_stochastic(unit, noise, drop, drop) << job.model_drop


def code_sum(h: Ints, codes: Ints) -> Ints:
    """sum_k h_k M_kj: h (B), codes (B, F) -> (F)."""
    return h @ codes


def shrinkage(job: Job, c: Ints, decay: Ints, codes: Ints) -> Ints:
    """sum_k c_k [draws of M_kj differed] - decay: (F). A code's parity tells whether they did."""
    differed = codes % 2 == (1 if job.unsigned else 0)
    regularised = np.arange(codes.shape[1]) < job.regularised
    return c @ differed.astype(np.int64) - decay * regularised


def gradient(config: EngineConfig, job: Job, errors: Errors, codes: Ints, x: Ints) -> Ints:
    """Exact G of a group: (F), ``gradient_frac`` fractional bits."""
    align = config.gradient_frac - config.error_frac - (job.bits - 1)
    align_product = config.gradient_frac - config.correction_frac
    shrink = shrinkage(job, errors.c, errors.decay, codes)
    return (code_sum(errors.h, codes) << align) - (shrink * x << align_product)


def soft_threshold(value: Ints, threshold: Ints) -> Ints:
    """``value`` moved towards zero by ``threshold``, and held there."""
    return np.sign(value) * np.maximum(np.abs(value) - threshold, 0)


def update(
    config: EngineConfig, job: Job, acc: Ints, g: Ints, threshold: Ints, random: Ints
) -> tuple[Ints, Bools]:
    """acc - round_stochastic(G), soft-thresholded, on the model's grid; and where it saturated."""
    drop = config.gradient_drop + job.model_drop
    step = round_stochastic(g, random, drop, config.random_bits + job.model_drop) << job.model_drop
    regularised = np.arange(len(acc)) < job.regularised
    moved = soft_threshold(acc - step, threshold * regularised)
    word, saturated = saturate(moved, config.model_bits)
    return coarsen(word, job.model_drop), saturated


def loss_value(config: EngineConfig, job: Job, z: Ints, label: Ints, weight: Ints) -> Ints:
    """w times the loss with ``2 * model_frac + 1 + WEIGHT_FRAC`` fractional bits."""
    one = np.int64(1) << config.model_frac
    residual = z - label
    signed_margin = np.where(label > 0, z, -z)
    short = np.maximum(one - signed_margin, 0)
    if job.loss == Loss.LEAST_SQUARES:
        value = residual * residual
    elif job.loss == Loss.SQUARED_HINGE:
        value = short * short
    elif job.loss == Loss.HUBER:
        size = np.abs(residual)
        value = np.where(size < one, residual * residual, (2 * size - one) << config.model_frac)
    elif job.loss == Loss.HINGE:
        value = short << (config.model_frac + 1)
    else:
        magnitude = magnitude_of(config, z)
        at = table(config, magnitude)
        softplus = interpolate(config, at["softplus"], -at["softplus_fall"], magnitude)
        value = (softplus + np.maximum(-signed_margin, 0)) << (config.model_frac + 1)
    return value * weight


def slots(job: Job) -> list[int | None]:
    """The group that each slot carries, or None. Groups count through all epochs.

    D empty slots follow the last group and, if ``sync``, every mini-batch; a job that learns
    nothing has none.
    """
    carried: list[int | None] = []
    last = job.groups * len(job.epochs) - 1
    for group in range(last + 1):
        carried.append(group)
        if job.learns and ends_batch(job, group) and (job.sync or group == last):
            carried += [None] * job.delay
    return carried


def ends_batch(job: Job, group: int) -> bool:
    """Whether ``group`` is the last of its mini-batch or of its epoch."""
    place = group % job.groups
    return (place + 1) % job.batch_groups == 0 or place == job.groups - 1


def predict_cycles(config: EngineConfig, job: Job) -> int:
    """Cycles of a job on a stream that never waits: the cycle model, slot by slot.

    ``start(t) = max(start(t-1) + slot_cycles, start(t-D) + L + dot_latency)``, the second term only
    where slot t - D carried a group, whose errors this slot's update needs. The first slot of a
    further epoch also waits for the errors of the slot before, which use the older epoch's step.
    `sim.cycles` has the same in closed form.
    """
    beats, spacing = job.group_beats(config), job.slot_cycles(config)
    carried = slots(job)
    start = [0]
    for t in range(1, len(carried) + 1):
        earliest = start[t - 1] + spacing
        needed = [t - job.delay] if job.learns else []
        group = carried[t] if t < len(carried) else None
        if group is not None and group % job.groups == 0:
            needed.append(t - 1)
        for older in needed:
            if t < len(carried) and older >= 0 and carried[older] is not None:
                earliest = max(earliest, start[older] + beats + config.dot_latency)
        start.append(earliest)
    return start[-1]


class Golden:
    """The engine: two copies of the model, and the slot rule.

    ``x`` is what dot products, correction and the host read; ``acc`` collects the updates.
    ``margins`` (G, B) are those of the last job's last epoch.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.x: Ints = np.zeros(0, dtype=np.int64)
        self.acc: Ints = np.zeros(0, dtype=np.int64)
        self.margins: Ints = np.zeros((0, config.banks), dtype=np.int64)

    def load(self, words: Ints) -> None:
        """Set both copies of the model: (F); raises as `sim.model.model_words`."""
        self.x = model_words(self.config, words)
        self.acc = self.x.copy()

    def run(self, job: Job, *copies: Samples) -> Counters:
        """All epochs of a job; epoch e reads ``copies[e % len(copies)]``.

        Raises
        ------
        ValueError
            If the engine cannot run the job, or its model is one of other samples.
        """
        self.check(job)
        config, count = self.config, Counters()
        first = config.generators(config.lanes)
        update_random = GoldenRandom(config, config.lanes, 0, job.seed)
        loss_random = GoldenRandom(config, config.loss_fields, first, job.seed)
        self.margins = np.zeros((job.groups, config.banks), dtype=np.int64)
        errors: dict[int, Errors] = {}

        carried = slots(job)
        for t, group in enumerate(carried):
            x = self.x
            older = carried[t - job.delay] if job.learns and t >= job.delay else None
            if older is not None:
                samples, place = _locate(job, copies, older)
                codes, made = samples.codes[place].astype(np.int64), errors.pop(older)
                g = gradient(config, job, made, codes, x)
                random = np.concatenate([update_random.draw() for _ in range(job.chunks)])
                self.acc, saturated = update(config, job, self.acc, g, made.threshold, random)
                count.model_saturations += int(saturated.sum())
                if ends_batch(job, older):
                    self.x = self.acc.copy()
            if group is not None:
                samples, place = _locate(job, copies, group)
                epoch = job.epochs[group // job.groups]
                errors[group] = self._errors(job, epoch, samples, place, x, loss_random, count)

        count.cycles = predict_cycles(config, job)
        count.beats = job.groups * len(job.epochs) * job.group_beats(config)
        return count.held(config)

    def check(self, job: Job) -> None:
        """Raise `ValueError` with a sentence if this engine, with its model, cannot run ``job``."""
        job.check(self.config)
        check_model(self.config, job, self.x.size)

    def _errors(
        self,
        job: Job,
        epoch: Epoch,
        samples: Samples,
        place: int,
        x: Ints,
        random: GoldenRandom,
        count: Counters,
    ) -> Errors:
        """Margins, losses and errors of one group."""
        config = self.config
        labels, valid = samples.labels[place], samples.valid[place]
        weight = np.full_like(labels, 1 << WEIGHT_FRAC)
        if job.weighted and samples.weights is not None:
            weight = samples.weights[place]
        offset = np.zeros_like(labels)
        if job.offset and samples.offsets is not None:
            offset = samples.offsets[place]
        banks = config.banks
        noise = np.zeros(2 * banks + 2, dtype=np.int64)
        noise[: random.fields] = random.draw()

        codes = samples.codes[place].astype(np.int64)
        z, margin_saturated = margin(config, job, codes, x, offset)
        self.margins[place] = z
        f, curvature = derivative(config, job, epoch, z, labels)
        h, error_saturated = scaled_error(config, job, epoch, f, weight, noise[banks : 2 * banks])
        c, held = coefficient(config, job, epoch, curvature, weight, noise[:banks])
        count.margin_saturations += int((margin_saturated & valid).sum())
        if job.learns:
            count.error_saturations += int(((error_saturated | held) & valid).sum())
        if job.mode == Mode.EVALUATE:
            losses = loss_value(config, job, z, labels, weight)[valid]
            count.loss_sum += sum(losses.tolist())  # 16 of them may need more than 64 bits
        return Errors(
            h=h * valid,
            c=c * valid,
            decay=decay(config, epoch, noise[2 * banks]),
            threshold=threshold(config, job, epoch, noise[2 * banks + 1]),
        )


def _locate(job: Job, copies: tuple[Samples, ...], group: int) -> tuple[Samples, int]:
    """The samples that hold a group, and its place there."""
    epoch, place = divmod(group, job.groups)
    return copies[epoch % len(copies)], place
