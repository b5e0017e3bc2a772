"""From a loss's derivative to what the gradient multiplies."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import ERROR_LATENCY, EngineConfig
from ..contract.formats import CURVATURE_FRAC, NOISE_BITS, STEP_DROPS, WEIGHT_BITS, WEIGHT_FRAC
from ..contract.protocol import CURVATURE_BITS, epoch_layout, error_layout, job_layout
from ..lib.arith import (
    DSP_BITS,
    clamp,
    delay,
    partial_products,
    registered_product,
    round_nearest,
    saturate,
    sum_with_carry,
)


class ScaledError(wiring.Component):
    """h = step * w * F and c = step * d**2 * w * f' of one sample::

        1: [f * step * w]  2: [join parts]  3: [>> shift]        4: [saturate]
                                            5: [+ noise, round]  6: [align, valid] -> h
        1: [f' * w]        2: [round]       3: [* step * d**2]   4: [join parts]
                                            5: [+ noise, round]  6: [clamp, valid] -> c

    The lowest bits of the shift go the other way, and before the product as far as its multiplier
    is wide enough: what is left is a mux of a quarter of the inputs.

    Latency: ``ERROR_LATENCY``; ``weight`` is taken ``derivative_latency`` cycles before ``f``, the
    random bits three cycles before the output. Throughput: a sample a cycle. Overflow: h and c
    saturate and say so. Twins: `scaled_error` and `coefficient` in `sim.golden`.

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
        valid = delay(m, self.valid, ERROR_LATENCY - 1)
        align = Signal(range(max(config.max_bits - 1, 2)))  # Verilog has no signal of 0 bits
        m.d.sync += align.eq(config.max_bits - self.job.bits)

        coarse, overflow = self._error(m)
        coefficient, held = self._coefficient(m)
        m.d.sync += [
            self.o.error.eq(Mux(valid, coarse << align, 0)),
            self.o.coefficient.eq(Mux(valid, coefficient, 0)),
            self.saturated.eq((overflow | held) & valid),
        ]
        return m

    def _error(self, m: Module) -> tuple[Value, Value]:
        """h on its grid, and whether it saturated, at stage 6."""
        config, epoch = self._config, self.epoch
        if config.sample_words:
            weighed = registered_product(m, epoch.step_mantissa, self.weight)
            mantissa = Signal(config.sample_step_bits)
            m.d.sync += mantissa.eq(round_nearest(weighed, Const(WEIGHT_FRAC), WEIGHT_FRAC))
        else:
            mantissa = epoch.step_mantissa
        fine = (max(DSP_BITS - len(mantissa), 1)).bit_length() - 1
        places = (1 << fine) - 1
        # A register without reset, which can be one of the multiplier's.
        step = Signal(len(mantissa) + places, reset_less=True)
        m.d.sync += step.eq(mantissa << (~epoch.step_drop[:fine] if fine else 0))
        if config.sample_words:
            step = delay(m, step, config.derivative_latency - 3)

        # With a bit below the point: the highest that falls, which rounds.
        product = Signal(signed(len(self.f) + len(step) + 1))
        shifted, drop = Signal(signed(len(product) - places)), Signal(range(STEP_DROPS))
        _, overflow = saturate(m, shifted[1:].as_signed(), config.error_bits)
        m.d.sync += [
            drop.eq(epoch.step_drop),
            product.eq(Cat(0, partial_products(m, step, self.f)).as_signed()),
        ]
        m.d.sync += shifted.eq((product >> places) >> (drop[fine:] << fine))

        # Stage 5 puts the limit in place of what did not fit, so that its mux joins the sum's LUTs.
        most = (1 << (config.error_bits - 1)) - 1
        low, far = delay(m, shifted[1 : config.error_bits + 1], 1), delay(m, overflow, 1)
        sign = delay(m, shifted[-1], 1)
        rounds = delay(m, shifted[0] & ~overflow, 1)
        full = delay(m, shifted[1 : config.error_bits + 1] == most, 1)
        # Of what is too low by one place, these bits are the largest number's, and it may round up.
        fits = delay(m, shifted[config.error_bits + 1 :].all() & shifted[0], 1)
        limit = Const(most) ^ sign.replicate(config.error_bits)
        grid = Signal(signed(NOISE_BITS + 1), init=-1)
        if config.coarsening:
            m.d.sync += grid.eq(-(1 << self.job.error_drop))
        noise = delay(m, self.error_noise[:NOISE_BITS] & ~grid[:NOISE_BITS], 1)
        noisy, beyond = Signal(signed(config.error_bits + 1)), Signal()
        h = Mux(far, limit, low).as_signed()
        m.d.sync += [
            noisy.eq(sum_with_carry(h, Cat(noise, 0).as_signed(), rounds & ~full)),
            beyond.eq(Mux(full, rounds | (far & ~fits), far)),
        ]
        nearest, _ = saturate(m, noisy, config.error_bits)
        if not config.coarsening:  # ``full`` has seen to it
            nearest = noisy[: config.error_bits].as_signed()
        coarse = Signal(signed(config.error_bits))
        m.d.comb += coarse.eq(nearest & grid)
        return coarse, beyond

    def _coefficient(self, m: Module) -> tuple[Value, Value]:
        """c, and whether a weight makes it too large, at stage 6."""
        config = self._config
        scale: Value = delay(m, self.curvature, 2)
        if config.sample_words:
            weight = delay(m, self.weight, config.derivative_latency)
            weighed = registered_product(m, self.curvature, weight)
            scale = Signal(CURVATURE_BITS + WEIGHT_BITS - WEIGHT_FRAC)
            m.d.sync += scale.eq(round_nearest(weighed, Const(WEIGHT_FRAC), WEIGHT_FRAC))
        if config.is_flat:
            scale = Const(1 << CURVATURE_FRAC)

        product = Signal(config.correction_unit_bits + len(scale))
        # The highest bit that falls rounds to the unit in which the noise is drawn.
        unit, rounds = product[CURVATURE_FRAC:], product[CURVATURE_FRAC - 1]
        noise = delay(m, self.coefficient_noise[: config.random_bits], 1)
        noisy = Signal(len(unit) + 1)
        m.d.sync += [
            product.eq(partial_products(m, scale, self.epoch.correction)),
            noisy.eq((Cat(rounds, unit) + Cat(Const(1, 1), noise)) >> 1),
        ]
        beyond: Value = Const(0)
        if config.sample_words:
            beyond = delay(m, unit[config.correction_unit_bits :].any(), 1)
        return clamp(m, noisy[config.random_bits :], config.coefficient_bits), beyond
