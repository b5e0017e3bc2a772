"""From a loss's derivative to what the gradient multiplies."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .arith import clamp, delay, half, round_nearest, saturate
from .config import (
    CURVATURE_FRAC,
    DERIVATIVE_LATENCY,
    NOISE_BITS,
    STEP_DROPS,
    WEIGHT_BITS,
    WEIGHT_FRAC,
    EngineConfig,
)
from .protocol import CURVATURE_BITS, epoch_layout, error_layout, job_layout


class ScaledError(wiring.Component):
    """h = step * w * F and c = step * d**2 * w * f' of one sample::

        1: [* step * w]    2: [+ half]    3: [>> shift]   4: [saturate]   5: [+ noise, align]
        1: [f' * w]        2: [* step * d**2]             4: [round]      5: [valid] -> c

    Latency: ``ERROR_LATENCY``; ``weight`` is taken ``DERIVATIVE_LATENCY`` cycles before ``f``, the
    random bits one cycle before the output. Throughput: a sample a cycle. Overflow: h saturates and
    says so. Twins: `scaled_error` and `coefficient` in `sim.golden`.

    Members
    -------
    job : In(job_layout)
        Stable during a job.
    epoch : In(epoch_layout)
        Stable while a sample is under way.
    weight : In(WEIGHT_BITS)
    f : In(signed(model_bits + 1))
    curvature : In(CURVATURE_BITS)
    valid : In(1)
        With ``f``; a sample without it gets zeros.
    error_noise, coefficient_noise : In(field_bits)
    o : Out(error_layout)
    saturated : Out(1)
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "job": In(job_layout(config)),
                "epoch": In(epoch_layout(config)),
                "weight": In(WEIGHT_BITS),
                "f": In(signed(config.model_bits + 1)),
                "curvature": In(CURVATURE_BITS),
                "valid": In(1),
                "error_noise": In(config.field_bits),
                "coefficient_noise": In(config.field_bits),
                "o": Out(error_layout(config)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        valid = delay(m, self.valid, 4)

        h, overflow = self._error(m)
        grid = Signal(signed(NOISE_BITS + 1))
        m.d.sync += grid.eq(-(1 << self.job.error_drop))
        noisy = Signal(signed(config.error_bits + 1))
        m.d.comb += noisy.eq(h + (self.error_noise[:NOISE_BITS] & ~grid[:NOISE_BITS]))
        nearest, _ = saturate(m, noisy, config.error_bits)
        coarse = Signal(signed(config.error_bits))
        m.d.comb += coarse.eq(nearest & grid)
        align = Signal(range(max(config.max_bits - 1, 2)))  # Verilog has no signal of 0 bits
        m.d.comb += align.eq(config.max_bits - self.job.bits)

        m.d.sync += [
            self.o.error.eq(Mux(valid, coarse << align, 0)),
            self.o.coefficient.eq(Mux(valid, self._coefficient(m), 0)),
            self.saturated.eq(overflow & valid),
        ]
        return m

    def _error(self, m: Module) -> tuple[Signal, Signal]:
        """Stages 1 to 4: h rounded to nearest and saturated, and whether it was."""
        config, epoch = self._config, self.epoch
        weighed = Signal(config.mantissa_bits + WEIGHT_BITS)
        step = Signal(config.sample_step_bits + 1)
        m.d.sync += [
            weighed.eq(epoch.step_mantissa * self.weight),
            step.eq(round_nearest(weighed, Const(WEIGHT_FRAC), WEIGHT_FRAC)),
        ]
        step = delay(m, step, DERIVATIVE_LATENCY - 2)

        most = STEP_DROPS - 1
        drop = epoch.step_drop
        product = Signal(signed(config.model_bits + 1 + config.sample_step_bits + 1))
        to_round = product + half(drop, most)
        raised = Signal(to_round.shape())  # the half may be wider than what it is added to
        shifted = Signal.like(raised)
        h, saturated = Signal(signed(config.error_bits)), Signal()
        nearest, overflow = saturate(m, shifted, config.error_bits)
        m.d.sync += [
            product.eq(self.f * step),
            raised.eq(to_round),
            shifted.eq(raised >> drop),
            h.eq(nearest),
            saturated.eq(overflow),
        ]
        return h, saturated

    def _coefficient(self, m: Module) -> Signal:
        """c, stochastically rounded, at stage 5."""
        config = self._config
        weight = delay(m, self.weight, DERIVATIVE_LATENCY)
        weighed = Signal(CURVATURE_BITS + WEIGHT_BITS)
        scale = Signal(CURVATURE_BITS + WEIGHT_BITS - WEIGHT_FRAC + 1)
        m.d.comb += scale.eq(round_nearest(weighed, Const(WEIGHT_FRAC), WEIGHT_FRAC))
        product = Signal(config.correction_unit_bits + len(scale))
        unit = Signal(len(product) - CURVATURE_FRAC + 1)
        m.d.sync += [
            weighed.eq(self.curvature * weight),
            product.eq(scale * self.epoch.correction),
            unit.eq(round_nearest(product, Const(CURVATURE_FRAC), CURVATURE_FRAC)),
        ]
        noise = self.coefficient_noise[: config.random_bits]
        rounded = (delay(m, unit, 1) + noise) >> config.random_bits
        return clamp(m, rounded, config.coefficient_bits)
