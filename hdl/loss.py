"""From dot products and labels to scaled errors."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .arith import delay, half, round_stochastic, saturate, sum_comb
from .config import LOSS_LATENCY, EngineConfig
from .protocol import error_layout, job_layout, label_layout


class Loss(wiring.Component):
    """h = step * (z - Y) of every sample of a group (least squares), and the coefficient of its
    parity correction::

        stage 1      2        3          4       5         6       7        8
        [+ half] [>> q-1] [saturate z] [z - Y] [* step] [+ half] [>> ] [saturate, align] -> error
                                                 [step * d**2 rounded stochastically] -> coefficient

    A sample whose valid flag is clear gets zeros. Twins: `margin`, `scaled_error` and
    `coefficient` in `sim.golden`.

    Latency: ``LOSS_LATENCY``. Throughput: a group a cycle. Overflow: margin and error saturate;
    each is counted once for a valid sample.

    Members
    -------
    job : In(job_layout)
        Stable during a pass.
    product : In(ArrayLayout(signed(dot_bits), banks))
        Dot products A.
    labels : In(ArrayLayout(label_layout, banks))
    i_valid : In(1)
    random : In(ArrayLayout(random_bits, banks))
        Used up in the cycle of ``o_due``.
    errors : Out(ArrayLayout(error_layout, banks))
    o_valid : Out(1)
    o_due : Out(1)
        One cycle before ``o_valid``.
    margin_saturations, error_saturations : Out(range(banks + 1))
        Saturations among the samples of ``errors``; zero unless ``o_valid``.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        banks = config.banks
        super().__init__(
            {
                "job": In(job_layout(config)),
                "product": In(data.ArrayLayout(signed(config.dot_bits), banks)),
                "labels": In(data.ArrayLayout(label_layout(config), banks)),
                "i_valid": In(1),
                "random": In(data.ArrayLayout(config.random_bits, banks)),
                "errors": Out(data.ArrayLayout(error_layout(config), banks)),
                "o_valid": Out(1),
                "o_due": Out(1),
                "margin_saturations": Out(range(banks + 1)),
                "error_saturations": Out(range(banks + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        banks = range(self._config.banks)
        m.d.comb += self.o_due.eq(delay(m, self.i_valid, LOSS_LATENCY - 1))
        m.d.sync += self.o_valid.eq(self.o_due)

        margin_flags, error_flags = zip(*(self._sample(m, bank) for bank in banks), strict=True)
        m.d.comb += [
            self.margin_saturations.eq(sum_comb([self.o_valid & flag for flag in margin_flags])),
            self.error_saturations.eq(sum_comb([self.o_valid & flag for flag in error_flags])),
        ]
        return m

    def _sample(self, m: Module, bank: int) -> tuple[Signal, Signal]:
        """The pipeline of one sample; returns its saturation flags, aligned with ``errors``."""
        config, job, label = self._config, self.job, self.labels[bank]
        z, z_saturated = self._margin(m, self.product[bank])
        z_label, sample_valid = delay(m, label.label, 3), delay(m, label.valid, 7)

        residual = Signal(signed(config.model_bits + 1))
        scaled = Signal(signed(len(residual) + config.mantissa_bits))
        drop = Signal(range(config.max_step_shift - config.min_step_shift + 1))
        m.d.comb += drop.eq(job.step_shift - config.min_step_shift)
        most = config.max_step_shift - config.min_step_shift
        to_round = scaled + half(drop, most)
        raised = Signal(to_round.shape())  # the half may be wider than what it is added to
        shifted = Signal.like(raised)
        m.d.sync += [
            residual.eq(z - z_label),
            scaled.eq(residual * job.step_mantissa),
            raised.eq(to_round),
            shifted.eq(raised >> drop),
        ]

        out = self.errors[bank]
        error, overflow = saturate(m, shifted, config.error_bits)
        align = Signal(range(max(config.max_bits - 1, 2)))  # Verilog has no signal of 0 bits
        m.d.comb += align.eq(config.max_bits - job.bits)
        unit = round_stochastic(
            job.correction, self.random[bank], config.random_bits, config.random_bits
        )
        rounded = Signal(config.coefficient_bits + 1)
        m.d.comb += rounded.eq(unit)
        ceiling = Const((1 << config.coefficient_bits) - 1)
        margin_flag, error_flag = Signal(), Signal()
        m.d.sync += [
            out.error.eq(Mux(sample_valid, error << align, 0)),
            out.coefficient.eq(Mux(sample_valid, Mux(rounded[-1], ceiling, rounded), 0)),
            margin_flag.eq(delay(m, z_saturated, 4) & sample_valid),
            error_flag.eq(overflow & sample_valid),
        ]
        return margin_flag, error_flag

    def _margin(self, m: Module, product: Signal) -> tuple[Signal, Signal]:
        """Stages 1 to 3: the product shifted by q - 1, rounded and saturated."""
        config = self._config
        drop = Signal(range(config.max_bits))
        m.d.comb += drop.eq(self.job.bits - 1)
        raised = Signal(signed(config.dot_bits + 1))
        shifted = Signal.like(raised)
        z, saturated = Signal(signed(config.model_bits)), Signal()
        fitting, overflow = saturate(m, shifted, config.model_bits)
        m.d.sync += [
            raised.eq(product + half(drop, config.max_bits - 1)),
            shifted.eq(raised >> drop),
            z.eq(fitting),
            saturated.eq(overflow),
        ]
        return z, saturated
