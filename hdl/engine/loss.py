"""From the dot products and labels of a group to its errors."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import ERROR_LATENCY, EngineConfig
from ..contract.formats import COARSE_BITS, CURVATURE_FRAC, THRESHOLD_BITS
from ..contract.protocol import epoch_layout, group_layout, job_layout, sample_layout
from ..lib.arith import clamp, delay, dither, fanout_tree, sum_comb
from .derivative import Derivative
from .margin import Margin
from .scaled_error import ScaledError


class LossPipeline(wiring.Component):
    """The errors of a group: a pipeline for each of its samples, and its regularisation::

        product, label -> [Margin] -> z -> [Derivative] -> F, f' -> [ScaledError] -> h, c
                                 z - label, if least squares is all -/
                                                   [decay, threshold: rounded once a group]

    A sample whose valid flag is clear gets zeros.

    Latency: ``loss_latency``; ``z`` after ``margin_latency``. Throughput: a group a cycle.
    Overflow: margin and error saturate; each is counted once for a valid sample.

    Members
    -------
    job : In(job_layout)
        Stable during a job.
    epoch : In(epoch_layout)
        Stable while a group is under way.
    product : In(ArrayLayout(signed(dot_bits), banks))
        Dot products A.
    samples : In(ArrayLayout(sample_layout, banks))
    i_valid : In(1)
    random : In(ArrayLayout(field_bits, loss_fields))
        Fields for the coefficients, the errors, decay and threshold.
    draw : Out(1)
        ``random`` is used up in the next cycle, ``noise_latency`` before ``o_valid``.
    z : Out(ArrayLayout(signed(model_bits), banks))
    z_samples : Out(ArrayLayout(sample_layout, banks))
        The samples that ``z`` belongs to.
    z_valid : Out(1)
    group : Out(group_layout)
    o_valid : Out(1)
    o_due : Out(1)
        One cycle before ``o_valid``.
    o_soon : Out(1)
        Two cycles before ``o_valid``.
    margin_saturations, error_saturations : Out(range(banks + 1))
        Saturations among the samples of ``group``; zero unless ``o_valid``.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        banks = config.banks
        samples = data.ArrayLayout(sample_layout(config), banks)
        super().__init__(
            {
                "job": In(job_layout(config)),
                "epoch": In(epoch_layout(config)),
                "product": In(data.ArrayLayout(signed(config.dot_bits), banks)),
                "samples": In(samples),
                "i_valid": In(1),
                "random": In(data.ArrayLayout(config.field_bits, config.loss_fields)),
                "draw": Out(1),
                "z": Out(data.ArrayLayout(signed(config.model_bits), banks)),
                "z_samples": Out(samples),
                "z_valid": Out(1),
                "group": Out(group_layout(config)),
                "o_valid": Out(1),
                "o_due": Out(1),
                "o_soon": Out(1),
                "margin_saturations": Out(range(banks + 1)),
                "error_saturations": Out(range(banks + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, config = Module(), self._config
        z_samples = delay(m, self.samples, config.margin_latency)
        z_valid = delay(m, self.i_valid, config.margin_latency)
        m.d.comb += [
            self.z_samples.eq(z_samples),
            self.z_valid.eq(z_valid),
            self.draw.eq(delay(m, z_valid, config.derivative_latency + ERROR_LATENCY - 4)),
        ]
        drawn = delay(m, self.draw, 1)
        m.d.sync += [
            self.o_soon.eq(drawn),
            self.o_due.eq(self.o_soon),
            self.o_valid.eq(self.o_due),
        ]

        margin_flags, error_flags = [], []
        # Every bit that a bank shifts hangs on them.
        steps = fanout_tree(
            m, self.epoch.step_mantissa, int(config.fanout_stages > 0), config.banks
        )
        drops = fanout_tree(m, self.epoch.step_drop, 1 + bool(config.fanout_stages), config.banks)
        widths = fanout_tree(m, self.job.bits, 2 * bool(config.fanout_stages), config.banks)
        losses = fanout_tree(m, self.job.loss, 2 * bool(config.fanout_stages), config.banks)
        for bank, copies in enumerate(zip(steps, drops, widths, losses, strict=True)):
            margin_flag, error_flag = self._sample(m, bank, *copies)
            margin_flags.append(self.o_valid & margin_flag)
            error_flags.append(self.o_valid & error_flag)
        m.d.comb += [
            self.margin_saturations.eq(sum_comb(margin_flags)),
            self.error_saturations.eq(sum_comb(error_flags)),
        ]
        if config.regularisation:
            self._regularise(m)
        return m

    def _sample(
        self, m: Module, bank: int, step: Value, drop: Value, bits: Value, loss: Value
    ) -> tuple[Value, Value]:
        """The pipeline of one sample; returns its saturation flags, aligned with ``group``."""
        config, banks = self._config, self._config.banks
        m.submodules[f"margin_{bank}"] = margin = Margin(config)
        m.submodules[f"error_{bank}"] = error = ScaledError(config)
        sample = self.z_samples[bank]
        m.d.comb += [
            margin.bits.eq(bits),
            margin.product.eq(self.product[bank]),
            self.z[bank].eq(margin.z),
            margin.label.eq(self.samples[bank].label),
            error.job.eq(self.job),
            error.job.bits.eq(bits),
            error.epoch.eq(self.epoch),
            error.epoch.step_mantissa.eq(step),
            error.epoch.step_drop.eq(drop),
            error.valid.eq(delay(m, sample.valid, config.derivative_latency)),
            error.coefficient_noise.eq(self.random[bank]),
            self.group.samples[bank].eq(error.o),
        ]
        if config.sample_words:
            m.d.comb += margin.offset.eq(self.samples[bank].offset)
            m.d.comb += error.weight.eq(sample.weight)
        if config.coarsening:
            m.d.comb += error.error_noise.eq(self.random[banks + bank])
        if config.is_flat:
            m.d.comb += [error.f.eq(margin.residual), error.curvature.eq(1 << CURVATURE_FRAC)]
        else:
            m.submodules[f"derivative_{bank}"] = derivative = Derivative(config)
            m.d.comb += [
                derivative.loss.eq(loss),
                derivative.z.eq(margin.z),
                derivative.label.eq(sample.label),
                error.f.eq(derivative.f),
                error.curvature.eq(derivative.curvature),
            ]
            if config.uses_margin_variance:
                m.d.comb += derivative.variance.eq(self.epoch.variance)
        saturated = margin.saturated & sample.valid
        return delay(m, saturated, config.derivative_latency + ERROR_LATENCY), error.saturated

    def _regularise(self, m: Module) -> None:
        """Decay and threshold of the group, stochastically rounded with its last two fields."""
        config, group = self._config, self.group
        bits = config.random_bits
        decay_noise, threshold_noise = delay(m, self.random[-2], 1), delay(m, self.random[-1], 1)
        decay = Signal(config.correction_unit_bits - bits + 1)
        m.d.sync += decay.eq((self.epoch.decay + dither(decay_noise, bits, bits)) >> bits)

        # The threshold is rounded to the model's grid: as many low bits as that has fall too.
        grid, threshold = Signal(signed(COARSE_BITS + 1), init=-1), Signal(THRESHOLD_BITS + 1)
        used = Cat(threshold_noise[:bits], threshold_noise[bits:][:COARSE_BITS] & ~grid[:-1])
        if config.coarsening:
            m.d.sync += grid.eq(-(1 << self.job.model_drop))
        m.d.sync += [
            threshold.eq((self.epoch.threshold + used) >> bits),
            group.decay.eq(clamp(m, decay, config.coefficient_bits)),
            group.threshold.eq((threshold & grid)[: THRESHOLD_BITS + 1]),
        ]
