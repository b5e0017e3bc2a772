"""The golden model, compiled: the same bits and counters, for sweeps.

`sim.golden` is the reference; this page follows it function by function, as loops over one group
that numba compiles. It exists for speed only, and a test holds every job of the job matrix against
the reference.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import CURVATURE_FRAC, VARIANCE_FRAC, WEIGHT_FRAC
from zipsgd.hdl.contract.generators import XORSHIFT_TRIPLE
from zipsgd.hdl.contract.job import Job, Loss, Mode
from zipsgd.hdl.contract.tables import ENTRIES, fraction_bits, rows

from .compiled import compiled
from .cycles import predict_cycles
from .golden import Bools, Counters, Golden, GoldenRandom, Ints, Samples

_jit: Any = compiled()

LEFT, RIGHT, AGAIN = (np.uint64(shift) for shift in XORSHIFT_TRIPLE)
LOGISTIC, HINGE = int(Loss.LOGISTIC), int(Loss.HINGE)
SQUARED_HINGE, HUBER = int(Loss.SQUARED_HINGE), int(Loss.HUBER)
UNIT_WEIGHT = 1 << WEIGHT_FRAC
HALVES = 32
"""Bits of the lower part of the sum of losses, which needs more than 64."""


class Constants(NamedTuple):
    """What stays the same during a job: widths of the engine, fields of the job."""

    lanes: int
    field_bits: int
    fields_per_word: int
    random_bits: int
    model_bits: int
    model_frac: int
    error_bits: int
    coefficient_bits: int
    gradient_drop: int
    code_align: int
    product_align: int
    places: int
    bits: int
    loss: int
    odd: int
    regularised: int
    model_drop: int
    error_drop: int
    evaluates: bool


class Scales(NamedTuple):
    """What stays the same during an epoch."""

    mantissa: int
    drop: int
    correction: int
    decay: int
    threshold: int
    variance: int


def _constants(config: EngineConfig, job: Job) -> Constants:
    return Constants(
        lanes=config.lanes,
        field_bits=config.field_bits,
        fields_per_word=config.fields_per_word,
        random_bits=config.random_bits,
        model_bits=config.model_bits,
        model_frac=config.model_frac,
        error_bits=config.error_bits,
        coefficient_bits=config.coefficient_bits,
        gradient_drop=config.gradient_drop,
        code_align=config.gradient_frac - config.error_frac - (job.bits - 1),
        product_align=config.gradient_frac - config.correction_frac,
        places=fraction_bits(config),
        bits=job.bits,
        loss=int(job.loss),
        odd=int(job.unsigned),
        regularised=job.regularised,
        model_drop=job.model_drop,
        error_drop=job.error_drop,
        evaluates=job.mode == Mode.EVALUATE,
    )


@_jit
def _saturate(value: int, bits: int) -> int:
    limit = np.int64(1) << (bits - 1)
    return min(max(value, -limit), limit - 1)


@_jit
def _round_nearest(value: int, drop: int) -> int:
    return (value + ((np.int64(1) << drop) >> 1)) >> drop


@_jit
def _draw(state: Any, fields: Any, k: Constants) -> None:
    """Fill ``fields`` from the generators, then step them."""
    mask = (np.uint64(1) << np.uint64(k.field_bits)) - np.uint64(1)
    place = 0
    for index in range(len(state)):
        word = state[index]
        for field in range(k.fields_per_word):
            if place < len(fields):
                shift = np.uint64(field * k.field_bits)
                fields[place] = np.int64((word >> shift) & mask)
                place += 1
        word ^= word << LEFT
        word ^= word >> RIGHT
        word ^= word << AGAIN
        state[index] = word


@_jit
def _margin(codes: Any, x: Any, offset: int, k: Constants) -> int:
    """`golden.margin` before its saturation."""
    cut = max(k.bits - 16, 0)
    half = (np.int64(1) << (k.bits - 1)) >> 1
    low, high = np.int64(0), np.int64(0)
    if cut == 0:
        for feature in range(len(x)):
            high += np.int64(np.int32(codes[feature])) * np.int64(np.int32(x[feature]))
        high += half
    else:
        mask = (np.int64(1) << cut) - 1
        for feature in range(len(x)):
            low += (np.int64(codes[feature]) & mask) * x[feature]
            high += (np.int64(codes[feature]) >> cut) * x[feature]
        high += (low + half) >> cut
    return (high >> (k.bits - 1 - cut)) + offset


@_jit
def _derivative(z: int, label: int, table: Any, e: Scales, k: Constants) -> tuple[int, int]:
    """`golden.derivative` of one sample: F and f'."""
    one, flat = np.int64(1) << k.model_frac, np.int64(1) << CURVATURE_FRAC
    positive = label > 0
    residual = z - label
    short = (z if positive else -z) < one
    if k.loss == LOGISTIC:
        size = min(abs(z), (np.int64(ENTRIES) << k.places) - 1)
        index = size >> k.places
        rise = table[index, 1] * (size & ((np.int64(1) << k.places) - 1))
        below = max(k.places, VARIANCE_FRAC)
        between = (rise << (below - k.places)) + (
            (table[index, 3] * e.variance) << (below - VARIANCE_FRAC)
        )
        sigma = table[index, 0] + _round_nearest(between, below)
        f = one - sigma if z < 0 else sigma
        return (f - one if positive else f), table[index, 2]
    if k.loss == HINGE:
        return ((-one if positive else one) if short else np.int64(0)), np.int64(0)
    if k.loss == SQUARED_HINGE:
        return (residual, flat) if short else (np.int64(0), np.int64(0))
    if k.loss == HUBER:
        inside = abs(residual) < one
        return min(max(residual, -one), one), (flat if inside else np.int64(0))
    return residual, flat


@_jit
def _loss_value(z: int, label: int, table: Any, k: Constants) -> int:
    """`golden.loss_value` of one sample, without its weight."""
    one = np.int64(1) << k.model_frac
    residual = abs(z - label)
    signed_margin = z if label > 0 else -z
    short = max(one - signed_margin, np.int64(0))
    if k.loss == LOGISTIC:
        size = min(abs(z), (np.int64(ENTRIES) << k.places) - 1)
        index = size >> k.places
        fall = table[index, 5] * (size & ((np.int64(1) << k.places) - 1))
        softplus = table[index, 4] + _round_nearest(-fall, k.places)
        return (softplus + max(-signed_margin, np.int64(0))) << (k.model_frac + 1)
    if k.loss == HINGE:
        return short << (k.model_frac + 1)
    if k.loss == SQUARED_HINGE:
        return short * short
    if k.loss == HUBER and residual >= one:
        return (2 * residual - one) << k.model_frac
    return residual * residual


@_jit
def _coefficient(unit: int, noise: int, k: Constants) -> int:
    mask = (np.int64(1) << k.random_bits) - 1
    rounded = (unit + (noise & mask)) >> k.random_bits
    return min(rounded, (np.int64(1) << k.coefficient_bits) - 1)


@_jit
def _errors(
    codes: Any, samples: Any, x: Any, noise: Any, out: Any, margins: Any, count: Any, table: Any,
    e: Scales, k: Constants,
) -> None:  # fmt: skip
    """Errors of one group into ``out`` (2, banks + 1): h and decay, c and threshold."""
    banks = len(codes)
    for bank in range(banks):
        label, valid, weight, offset = samples[:, bank]
        exact = _margin(codes[bank], x, offset, k)
        z = _saturate(exact, k.model_bits)
        margins[bank] = z
        f, curvature = _derivative(z, label, table, e, k)

        step = _round_nearest(e.mantissa * weight, WEIGHT_FRAC)
        rounded = _round_nearest(step * f, e.drop)
        h = _saturate(rounded, k.error_bits)
        dropped = noise[banks + bank] & ((np.int64(1) << k.error_drop) - 1)
        coarse = (_saturate(h + dropped, k.error_bits) >> k.error_drop) << k.error_drop

        scale = _round_nearest(curvature * weight, WEIGHT_FRAC)
        product = e.correction * scale
        held = product >> (CURVATURE_FRAC + k.random_bits + k.coefficient_bits) > 0
        unit = _round_nearest(product, CURVATURE_FRAC)
        out[0, bank] = coarse * valid
        out[1, bank] = _coefficient(unit, noise[bank], k) * valid
        count[0] += valid * (z != exact)
        count[1] += valid * (h != rounded or held)
        if k.evaluates and valid:
            value = _loss_value(z, label, table, k)
            low = (value & ((np.int64(1) << HALVES) - 1)) * weight + count[3]
            count[3] = low & ((np.int64(1) << HALVES) - 1)
            count[4] += (value >> HALVES) * weight + (low >> HALVES)

    out[0, banks] = _coefficient(e.decay, noise[2 * banks], k)
    drop = k.random_bits + k.model_drop
    dither = noise[2 * banks + 1] & ((np.int64(1) << drop) - 1)
    out[1, banks] = ((e.threshold + dither) >> drop) << k.model_drop


@_jit
def _update(
    codes: Any, errors: Any, x: Any, acc: Any, state: Any, fields: Any, count: Any, k: Constants
) -> None:
    """`golden.gradient` and `golden.update` of one group, in place."""
    banks, features = codes.shape
    decay, threshold = errors[0, banks], errors[1, banks]
    total = np.zeros(k.lanes, dtype=np.int64)
    shrink = np.zeros(k.lanes, dtype=np.int64)
    below = k.gradient_drop - k.random_bits
    half = (np.int64(1) << below) >> 1
    mask = (np.int64(1) << (k.random_bits + k.model_drop)) - 1
    drop = k.gradient_drop + k.model_drop
    for start in range(0, features, k.lanes):
        _draw(state, fields, k)
        total[:] = 0
        shrink[:] = 0
        for bank in range(banks):
            if k.bits < 32:
                # Factors of 32 bits, products of 64: what processors multiply many of at once.
                h, c = np.int32(errors[0, bank]), np.int32(errors[1, bank])
                for lane in range(k.lanes):
                    code = np.int32(codes[bank, start + lane])
                    total[lane] += np.int64(h) * np.int64(code)
                    shrink[lane] += c if (code & 1) == k.odd else 0
            else:
                for lane in range(k.lanes):
                    wide = np.int64(codes[bank, start + lane])
                    total[lane] += errors[0, bank] * wide
                    shrink[lane] += errors[1, bank] if (wide & 1) == k.odd else 0
        for lane in range(k.lanes):
            feature = start + lane
            regularised = feature < k.regularised
            shrunk = shrink[lane] - decay * regularised
            g = (total[lane] << k.code_align) - ((shrunk * x[feature]) << k.product_align)
            g += ((fields[lane] & mask) << below) + half
            moved = acc[feature] - ((g >> drop) << k.model_drop)
            if regularised:
                if moved > threshold:
                    moved -= threshold
                elif moved < -threshold:
                    moved += threshold
                else:
                    moved = np.int64(0)
            word = _saturate(moved, k.model_bits)
            count[2] += word != moved
            acc[feature] = (word >> k.model_drop) << k.model_drop


@_jit
def _slots(groups: int, epochs: int, ends: Any, sync: bool, empty: int) -> Any:
    """`golden.slots` with -1 for a slot without a group; ``empty`` slots follow what needs them."""
    batches = 1
    if sync:
        batches = epochs * ends.sum()
    carried = np.empty(groups * epochs + batches * empty, dtype=np.int64)
    t = 0
    for group in range(groups * epochs):
        carried[t] = group
        t += 1
        if group == groups * epochs - 1 or (sync and ends[group % groups]):
            carried[t : t + empty] = -1
            t += empty
    return carried


@_jit
def _run(
    carried: Any, ends: Any, delay: int, learns: bool, groups: int, codes: Any, samples: Any,
    scales: Any, x: Any, acc: Any, margins: Any, update_state: Any, loss_state: Any, table: Any,
    count: Any, k: Constants,
) -> Any:  # fmt: skip
    """All slots of a job; returns x."""
    copies, _, banks = codes.shape[:3]
    errors = np.zeros((delay + 1, 2, banks + 1), dtype=np.int64)
    update_fields = np.zeros(k.lanes, dtype=np.int64)
    loss_fields = np.zeros(2 * banks + 2, dtype=np.int64)
    for t in range(len(carried)):
        # A dot product reads x as it was before this slot's update.
        group = carried[t]
        if group >= 0:
            epoch, place = divmod(group, groups)
            copy = epoch % copies
            e = scales[epoch]
            _draw(loss_state, loss_fields, k)
            _errors(
                codes[copy, place], samples[copy, :, place], x, loss_fields,
                errors[group % (delay + 1)], margins[place], count, table,
                Scales(e[0], e[1], e[2], e[3], e[4], e[5]), k,
            )  # fmt: skip
        older = carried[t - delay] if learns and t >= delay else np.int64(-1)
        if older >= 0:
            epoch, place = divmod(older, groups)
            _update(
                codes[epoch % copies, place], errors[older % (delay + 1)], x, acc, update_state,
                update_fields, count, k,
            )  # fmt: skip
            if ends[place]:
                for word in range(len(x)):  # an assignment of slices takes 2 s to compile
                    x[word] = acc[word]
    return x


def slots(job: Job) -> tuple[Ints, Bools]:
    """`golden.slots` with -1 for a slot without a group; which groups end their mini-batch."""
    ends = (np.arange(job.groups) + 1) % job.batch_groups == 0
    ends[-1] = True
    empty = job.delay if job.learns else 0
    return _slots(job.groups, len(job.epochs), ends, job.sync, empty), ends


class Fast(Golden):
    """The golden model with its passes compiled; the first on a machine compiles (some seconds)."""

    def run(self, job: Job, *copies: Samples) -> Counters:
        """As `Golden.run`."""
        self.check(job)
        config = self.config
        first = config.generators(config.lanes)
        update_random = GoldenRandom(config, config.lanes, 0, job.seed)
        loss_random = GoldenRandom(config, config.loss_fields, first, job.seed)
        self.margins = np.zeros((job.groups, config.banks), dtype=np.int64)
        carried, ends = slots(job)
        scales = np.array([_scales(config, job, index) for index in range(len(job.epochs))])
        count = np.zeros(5, dtype=np.int64)
        used = copies[: len(job.epochs)]
        self.x = _run(
            carried, ends, job.delay, job.learns, job.groups,
            np.stack([samples.codes for samples in used]) if used[1:] else used[0].codes[None],
            np.stack([_sample_words(job, samples) for samples in used]),
            scales, self.x, self.acc, self.margins, update_random.state, loss_random.state,
            _table(config), count, _constants(config, job),
        )  # fmt: skip
        return Counters(
            cycles=predict_cycles(config, job),
            beats=job.groups * len(job.epochs) * job.group_beats(config),
            margin_saturations=int(count[0]),
            error_saturations=int(count[1]) if job.learns else 0,
            model_saturations=int(count[2]),
            loss_sum=int(count[3]) + (int(count[4]) << HALVES),
        ).held(config)


def _scales(config: EngineConfig, job: Job, index: int) -> tuple[int, ...]:
    epoch = job.epochs[index]
    return Scales(
        mantissa=epoch.step.mantissa,
        drop=epoch.step.shift - config.min_step_shift,
        correction=job.correction(config, epoch),
        decay=epoch.decay(config),
        threshold=epoch.threshold(config),
        variance=epoch.variance(),
    )


def _sample_words(job: Job, samples: Samples) -> Ints:
    """Labels, valid flags, weights and offsets: (4, G, B)."""
    weights = samples.weights if job.weighted else None
    offsets = samples.offsets if job.offset else None
    columns: list[Ints | Bools] = [
        samples.labels,
        samples.valid,
        np.full_like(samples.labels, UNIT_WEIGHT) if weights is None else weights,
        np.zeros_like(samples.labels) if offsets is None else offsets,
    ]
    return np.stack([column.astype(np.int64) for column in columns])


def _table(config: EngineConfig) -> NDArray[np.int64]:
    columns = ("sigma", "sigma_rise", "curvature", "bend", "softplus", "softplus_fall")
    return np.array(
        [[getattr(row, column) for column in columns] for row in rows(config)], dtype=np.int64
    )
