"""Configuration of an engine: every width and latency is derived here.

Plain Python, so that host, golden model, gateware and testbench share one truth. What is the same
in every engine is in `hdl.contract.formats`; a name that ends in ``_frac`` counts fractional bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .formats import (
    COARSE_BITS,
    LABEL_WORD_BITS,
    MAX_BEAT_BITS,
    MAX_BITS,
    MAX_COEFFICIENT_BITS,
    MAX_COUNT_BITS,
    MAX_ERROR_BITS,
    MAX_GRADIENT_BITS,
    MAX_MANTISSA_BITS,
    MAX_RANDOM_BITS,
    MIN_BITS,
    NOISE_BITS,
    STEP_DROPS,
    TABLE_STEP_BITS,
    WEIGHT_BITS,
    WEIGHT_FRAC,
)
from .generators import RANDOM_WORD_BITS
from .parameters import Loss, Parameters

LABELS_LATENCY = 2
"""Cycles from a group's last beat to its labels (see `hdl.engine.labels`), without
``fanout_stages``."""

MARGIN_LATENCY = 3
"""Cycles from dot product to margin (see the stages in `hdl.engine.margin`), without
``fanout_stages``."""

DERIVATIVE_LATENCY = 6
"""Cycles from margin and label to the derivatives of most losses (see the stages in
`hdl.engine.derivative`), without ``fanout_stages``."""

ERROR_LATENCY = 6
"""Cycles from derivatives to the scaled error (see the stages in `hdl.engine.scaled_error`)."""

LEAN_MARGIN_LATENCY, LEAN_LOSS_LATENCY = 2, 6
"""Cycles from dot product to margin and to the scaled error in `hdl.engine.lean_loss`."""

UPDATE_LATENCY = 2
"""Cycles from the correction to the model word that is written (see `hdl.engine.update`)."""

LEAN_UPDATE_LATENCY = 1
"""The same where one component does it all (see `hdl.engine.lean_update`)."""

MAX_FANOUT_STAGES = 2
"""Most registers that `EngineConfig.fanout_stages` asks for."""


def bits_for_sum(bits: int, terms: int) -> int:
    """Width of a signed sum of ``terms`` signed values of ``bits`` bits."""
    return bits + math.ceil(math.log2(terms)) if terms > 1 else bits


def tree_latency(operands: int, levels: int = 1) -> int:
    """Cycles of a balanced adder tree with a register after every ``levels`` levels."""
    return math.ceil(math.ceil(math.log2(operands)) / levels) if operands > 1 else 0


def is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True, kw_only=True)
class EngineConfig(Parameters):
    """Parameters of one engine, fixed when it is elaborated, and what follows from them."""

    def __post_init__(self) -> None:
        for name, least in (("lanes", 2), ("banks", 1), ("max_chunks", 2), ("replay_beats", 4)):
            value = getattr(self, name)
            if not is_power_of_two(value) or value < least:
                raise ValueError(f"{name} must be a power of two from {least} up, not {value}")
        if self.beat_bits % 8:
            raise ValueError(
                f"a beat of lanes x banks = {self.lanes} x {self.banks} bits is not a whole number "
                "of bytes; make the product 8 or more"
            )
        if self.beat_bits > MAX_BEAT_BITS:
            raise ValueError(
                f"a beat of lanes x banks = {self.lanes} x {self.banks} bits is wider than "
                f"{MAX_BEAT_BITS}; lower one of them"
            )
        if not 1 <= self.adder_levels <= 3:
            raise ValueError(f"adder_levels must be 1 to 3, not {self.adder_levels}")
        if not 0 <= self.fanout_stages <= MAX_FANOUT_STAGES:
            raise ValueError(
                f"fanout_stages must be 0 to {MAX_FANOUT_STAGES}, not {self.fanout_stages}"
            )
        if self.fanout_stages and self.is_lean:
            raise ValueError(
                "an engine with read_latency 1 has no registers between its stages; "
                "fanout_stages is 0"
            )
        if self.read_latency not in (1, 2):
            raise ValueError(f"read_latency must be 1 or 2, not {self.read_latency}")
        if not 8 <= self.count_bits <= MAX_COUNT_BITS:
            raise ValueError(f"count_bits must be 8 to {MAX_COUNT_BITS}, not {self.count_bits}")
        if not MIN_BITS <= self.max_bits <= MAX_BITS:
            raise ValueError(f"max_bits must be {MIN_BITS} to {MAX_BITS}, not {self.max_bits}")
        if self.max_delay < 1:
            raise ValueError(f"max_delay must be 1 or more, not {self.max_delay}")
        if not 0 < self.model_frac < self.model_bits <= LABEL_WORD_BITS - 8:
            raise ValueError(
                f"model_bits = {self.model_bits} and model_frac = {self.model_frac} must satisfy "
                f"0 < model_frac < model_bits <= {LABEL_WORD_BITS - 8}: labels share the format"
            )
        for name, most in (
            ("mantissa_bits", MAX_MANTISSA_BITS),
            ("coefficient_bits", MAX_COEFFICIENT_BITS),
            ("error_bits", MAX_ERROR_BITS),
        ):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 1 to {most}, not {getattr(self, name)}")
        if self.coarsening and self.model_bits <= COARSE_BITS:
            raise ValueError(
                f"model_bits must be above {COARSE_BITS}, the bits that a job may hold at zero, "
                f"not {self.model_bits}"
            )
        if self.coarsening and self.error_bits <= NOISE_BITS:
            raise ValueError(
                f"error_bits must be above {NOISE_BITS}, the bits that a job may round away, "
                f"not {self.error_bits}"
            )
        if not self.model_frac <= self.error_frac < self.error_bits:
            raise ValueError(
                f"error_frac = {self.error_frac} must lie between model_frac = {self.model_frac} "
                f"and error_bits - 1 = {self.error_bits - 1}"
            )
        if not self.losses or len(set(self.losses)) < len(self.losses):
            raise ValueError("losses must name one loss at least, and none twice")
        object.__setattr__(self, "losses", tuple(sorted(self.losses)))  # one set, one engine
        if Loss.LOGISTIC in self.losses and self.model_frac < TABLE_STEP_BITS:
            raise ValueError(
                f"model_frac must be {TABLE_STEP_BITS} or more for the logistic loss's tables, "
                f"not {self.model_frac}; add bits, or leave that loss out of losses"
            )
        most = min(self.gradient_drop, MAX_RANDOM_BITS)
        if not 8 <= self.random_bits <= most:
            raise ValueError(
                f"random_bits must be 8 to {most} (no more than the {self.gradient_drop} bits that "
                f"the update drops), not {self.random_bits}"
            )
        if self.gradient_bits > MAX_GRADIENT_BITS:
            raise ValueError(
                f"gradients would need {self.gradient_bits} bits and the golden model's integers "
                f"have {MAX_GRADIENT_BITS}; lower max_bits = {self.max_bits}, banks = {self.banks} "
                f"or error_bits = {self.error_bits}"
            )

    # The woven stream.

    @property
    def beat_bits(self) -> int:
        """Beat width W."""
        return self.lanes * self.banks

    @property
    def beat_bytes(self) -> int:
        return self.beat_bits // 8

    @property
    def label_beats(self) -> int:
        """Beats that carry the label words of a group: ``lanes`` bits of each word a beat."""
        return math.ceil(LABEL_WORD_BITS / self.lanes)

    @property
    def max_features(self) -> int:
        return self.max_chunks * self.lanes

    @property
    def error_slots(self) -> int:
        """Depth of the error queue: the groups between their dot products and their update."""
        return max(2, 1 << (self.max_delay - 1).bit_length())

    @property
    def overflows(self) -> bool:
        """Whether a job with its fields in their ranges may be too long for the replay buffer."""
        return self.max_delay * self.max_chunks * self.max_bits > self.replay_beats

    # Widths.

    @property
    def dot_bits(self) -> int:
        """Width of the exact dot product A (``model_frac + q - 1`` fractional bits)."""
        return bits_for_sum(self.model_bits + self.max_bits + 1, self.max_features)

    @property
    def aligned_error_bits(self) -> int:
        """Width of a scaled error that is shifted left by ``max_bits - q``."""
        return self.error_bits + self.max_bits - MIN_BITS

    @property
    def code_sum_frac(self) -> int:
        """Fractional bits of sum_k h_k M_kj once the errors are aligned, for every q."""
        return self.error_frac + self.max_bits - 1

    @property
    def code_sum_bits(self) -> int:
        """Width of sum_k h_k M_kj with aligned errors, for every q and every code."""
        return bits_for_sum(self.error_bits + self.max_bits + 1, self.banks)

    @property
    def shrink_bits(self) -> int:
        """Width (signed) of a feature's summed coefficients less its weight decay."""
        return bits_for_sum(self.coefficient_bits, self.banks) + 1

    @property
    def correction_frac(self) -> int:
        """Fractional bits of coefficient times model word."""
        return self.coefficient_frac + self.model_frac

    @property
    def gradient_frac(self) -> int:
        """Fractional bits of the exact gradient G: both of its terms fit without rounding."""
        return max(self.code_sum_frac, self.correction_frac)

    @property
    def gradient_drop(self) -> int:
        """Fractional bits that the update's stochastic rounding removes from G."""
        return self.gradient_frac - self.model_frac

    @property
    def correction_bits(self) -> int:
        """Width of a model word times its summed coefficients (``correction_frac``)."""
        return self.model_bits + self.shrink_bits

    @property
    def still_bits(self) -> int:
        """Lowest bits of the dithered gradient that are always the same: below them is neither the
        unit of the codes' sum nor a random bit."""
        return min(self.gradient_frac - self.code_sum_frac, self.gradient_drop - self.random_bits)

    @property
    def still_dither(self) -> int:
        """What those bits are: of the half of the dither's last place."""
        half = 1 << (self.gradient_drop - self.random_bits) >> 1
        return half & ((1 << self.still_bits) - 1)

    @property
    def dithered_bits(self) -> int:
        """Width of sum_k h_k M_kj plus the dither, without its ``still_bits``."""
        codes = self.code_sum_bits + self.gradient_frac - self.code_sum_frac
        return max(codes, self.gradient_drop + COARSE_BITS + 1) + 1 - self.still_bits

    @property
    def gradient_bits(self) -> int:
        """Width of G plus its dither, in units of ``2**-gradient_frac``."""
        correction = self.correction_bits + self.gradient_frac - self.correction_frac
        return max(self.dithered_bits + self.still_bits, correction) + 1

    @property
    def correction_unit_bits(self) -> int:
        """Width of a job's ``correction``: a coefficient before its stochastic rounding."""
        return self.coefficient_bits + self.random_bits

    @property
    def correction_unit_frac(self) -> int:
        return self.coefficient_frac + self.random_bits

    @property
    def threshold_frac(self) -> int:
        """Fractional bits of an epoch's ``threshold``: random bits below the model's last place."""
        return self.model_frac + self.random_bits

    @property
    def min_step_shift(self) -> int:
        """Smallest step shift: below it the scaled error would need a left shift."""
        return self.error_frac - self.model_frac

    @property
    def max_step_shift(self) -> int:
        return self.min_step_shift + STEP_DROPS - 1

    @property
    def sample_step_bits(self) -> int:
        """Width of a step's mantissa times a sample's weight, rounded; it never carries further."""
        if not self.sample_words:
            return self.mantissa_bits
        return self.mantissa_bits + WEIGHT_BITS - WEIGHT_FRAC

    @property
    def uses_margin_variance(self) -> bool:
        """Whether the derivative of some loss takes an epoch's margin variance."""
        return Loss.LOGISTIC in self.losses

    @property
    def is_flat(self) -> bool:
        """Whether the curvature of every sample's loss is 1."""
        return self.losses == (Loss.LEAST_SQUARES,) and not self.sample_words

    @property
    def is_lean(self) -> bool:
        """Whether gradient, correction and update are one: nothing but the drop of bits stands
        between gradient and model word, and cells matter more than the clock rate."""
        return self.area_optimised and not (self.regularisation or self.coarsening)

    @property
    def area_optimised(self) -> bool:
        """Whether cells matter more than the clock rate: registers that only shorten paths are
        left out."""
        return self.read_latency == 1

    @property
    def field_bits(self) -> int:
        """Bits of one field of a random source: enough for the coarsest rounding."""
        if not self.coarsening:
            return self.random_bits
        return max(self.random_bits + COARSE_BITS, NOISE_BITS)

    @property
    def loss_fields(self) -> int:
        """Fields that a group's errors draw: the samples' coefficients, their errors, decay and
        threshold. What comes last and no part of the engine uses is not drawn."""
        if self.regularisation:
            return 2 * self.banks + 2
        return 2 * self.banks if self.coarsening else self.banks

    # Latencies, in cycles; each is asserted by a test of its stage.

    @property
    def dot_tree_latency(self) -> int:
        """Of a sample's sum over the lanes."""
        return self.fanout_stages + tree_latency(self.lanes, self.adder_levels)

    @property
    def code_tree_latency(self) -> int:
        """Of a lane's sum over the banks."""
        return tree_latency(self.banks, self.adder_levels)

    @property
    def shrink_latency(self) -> int:
        """From a replayed parity plane to a feature's summed coefficients less its decay."""
        return self.fanout_stages + max(self.code_tree_latency, 1)

    @property
    def correction_latency(self) -> int:
        """From a replayed parity plane to the correction (see `hdl.engine.correction`)."""
        return self.shrink_latency + 3

    @property
    def gradient_latency(self) -> int:
        """From replayed codes to the correction, or to both where one component does it all."""
        if self.is_lean:
            return self.code_tree_latency + 2
        return self.correction_latency + self.update_spread

    @property
    def sums_latency(self) -> int:
        """From replayed codes to the gradient, which is used a cycle before the correction."""
        return self.gradient_latency - (not self.is_lean)

    @property
    def update_spread(self) -> int:
        """Registers between gradient, correction and update: one will do within a lane."""
        return min(self.fanout_stages, 1)

    @property
    def acc_lead(self) -> int:
        """Cycles by which an update needs its model words before the correction."""
        return 1 + self.regularisation + self.update_spread

    @property
    def x_wait(self) -> int:
        """Cycles by which a token's model words are read later than its replayed beat and errors:
        the correction needs them after it has summed its coefficients, and what is read later is
        written sooner after it."""
        return (self.code_tree_latency if self.is_lean else self.shrink_latency) + 1

    @property
    def dot_pipeline(self) -> int:
        """From a beat that is taken to the accumulated dot product: token, memory, tree, sums."""
        return 1 + self.x_wait + self.read_latency + self.dot_tree_latency + 2

    @property
    def has_lean_loss(self) -> bool:
        """Whether an error is nothing but a rounded product of step and residual."""
        return self.is_flat and self.is_lean

    @property
    def margin_latency(self) -> int:
        """From dot product to margin."""
        return (
            LEAN_MARGIN_LATENCY if self.has_lean_loss else MARGIN_LATENCY + bool(self.fanout_stages)
        )

    @property
    def derivative_latency(self) -> int:
        """From margin and label to the loss's derivatives: a residual alone needs a cycle."""
        return 1 if self.is_flat else DERIVATIVE_LATENCY + bool(self.fanout_stages)

    @property
    def loss_latency(self) -> int:
        """From dot product and labels to errors."""
        whole = self.margin_latency + self.derivative_latency + ERROR_LATENCY
        return LEAN_LOSS_LATENCY if self.has_lean_loss else whole

    @property
    def noise_latency(self) -> int:
        """From the cycle in which a group's errors use random bits to the errors."""
        return 1 if self.has_lean_loss else 3

    @property
    def labels_latency(self) -> int:
        """From a group's last beat to its labels."""
        return LABELS_LATENCY + self.fanout_stages

    @property
    def label_wait(self) -> int:
        """From complete labels to the dot product of the same group on an unstalled stream."""
        return max(self.dot_pipeline - self.label_beats - 1 - self.labels_latency, 0)

    @property
    def dot_latency(self) -> int:
        """From a group's last beat to its errors."""
        return self.labels_latency + self.label_wait + self.loss_latency

    @property
    def row_latency(self) -> int:
        """From the correction to the model word that is written."""
        return LEAN_UPDATE_LATENCY if self.is_lean else UPDATE_LATENCY

    @property
    def update_latency(self) -> int:
        """From a model word's read with the last plane of its chunk to the end of its write."""
        return self.read_latency + self.gradient_latency + self.row_latency + 1 - self.x_wait

    # Random source.

    @property
    def fields_per_word(self) -> int:
        """Disjoint fields of ``field_bits`` bits in one generator's word."""
        return RANDOM_WORD_BITS // self.field_bits

    def generators(self, fields: int) -> int:
        """Generators that give ``fields`` fields a draw."""
        return math.ceil(fields / self.fields_per_word)
