"""From dot products to errors where least squares is all that a slow engine knows."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from ..contract.config import LEAN_LOSS_LATENCY, LEAN_MARGIN_LATENCY
from ..lib.arith import clamp, delay, registered_product, saturate, sum_comb
from .loss import LossPipeline


class LeanLoss(LossPipeline):
    """`hdl.engine.loss.LossPipeline` of a slow engine without other losses, sample words,
    regularisation and coarsening: the residual is the derivative, and its curvature is 1::

        1: [A >> q - 1]  2: [saturate -> z]  3: [z - Y]  4: [* step]  5: [>> shift]
                                                6: [round, saturate, align] -> h
                                                6: [step * d**2 + noise, clamp] -> c

    Latency: `LEAN_LOSS_LATENCY`; ``z`` after `LEAN_MARGIN_LATENCY`. All else is as there.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        after = LEAN_LOSS_LATENCY - LEAN_MARGIN_LATENCY
        z_samples = delay(m, self.samples, LEAN_MARGIN_LATENCY)
        z_valid = delay(m, self.i_valid, LEAN_MARGIN_LATENCY)
        m.d.sync += [self.o_due.eq(self.o_soon), self.o_valid.eq(self.o_due)]
        m.d.comb += [
            self.z_samples.eq(z_samples),
            self.z_valid.eq(z_valid),
            self.o_soon.eq(delay(m, z_valid, after - 2)),
            self.draw.eq(self.o_soon),
        ]
        flags = []
        for bank in range(self._config.banks):
            saturated = Signal(name=f"saturated_{bank}")
            m.d.sync += saturated.eq(self._margin(m, bank))
            margin_flag = saturated & z_samples[bank].valid & z_valid
            valid = delay(m, z_samples[bank].valid, after - 1)
            error_flag = self._error(m, bank, valid)
            self._coefficient(m, bank, valid)
            flags.append((delay(m, margin_flag, after), self.o_valid & error_flag))
        margin_flags, error_flags = zip(*flags, strict=True)
        m.d.comb += [
            self.margin_saturations.eq(sum_comb(margin_flags)),
            self.error_saturations.eq(sum_comb(error_flags)),
        ]
        return m

    def _margin(self, m: Module, bank: int) -> Value:
        """``z``; returns whether it saturates."""
        config = self._config
        # With a bit below the point: the highest that falls, which rounds.
        shifted = Signal(signed(config.dot_bits + 1), name=f"shifted_{bank}")
        drop = Signal(range(config.max_bits), name=f"drop_{bank}")
        m.d.comb += drop.eq(self.job.bits - 1)
        m.d.sync += shifted.eq(Cat(Const(0, 1), self.product[bank]).as_signed() >> drop)
        nearest = shifted[1:].as_signed() + shifted[0]
        z, overflow = saturate(m, nearest, config.model_bits)
        m.d.sync += self.z[bank].eq(z)
        return overflow

    def _error(self, m: Module, bank: int, valid: Value) -> Value:
        """h, and whether it saturated."""
        config, epoch = self._config, self.epoch
        residual = Signal(signed(config.model_bits + 1), name=f"residual_{bank}")
        m.d.sync += residual.eq(self.z[bank] - self.z_samples[bank].label)
        product = registered_product(m, epoch.step_mantissa, residual)
        shifted = Signal(signed(len(product) + 1), name=f"error_{bank}")
        m.d.sync += shifted.eq(Cat(Const(0, 1), product).as_signed() >> epoch.step_drop)
        h, overflow = saturate(m, shifted[1:].as_signed() + shifted[0], config.error_bits)
        align = (config.max_bits - self.job.bits)[: max(1, (config.max_bits - 2).bit_length())]
        flag = Signal(name=f"flag_{bank}")
        m.d.sync += [
            self.group.samples[bank].error.eq(Mux(valid, h << align, 0)),
            flag.eq(overflow & valid),
        ]
        return flag

    def _coefficient(self, m: Module, bank: int, valid: Value) -> None:
        config = self._config
        noisy = self.epoch.correction + self.random[bank][: config.random_bits]
        nearest = clamp(m, noisy[config.random_bits :], config.coefficient_bits)
        m.d.sync += self.group.samples[bank].coefficient.eq(Mux(valid, nearest, 0))
