"""From an exact dot product to a margin."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..lib.arith import delay, saturate, sum_with_carry


class Margin(wiring.Component):
    """z = saturate(round_nearest(A, q - 1) + offset), of one sample::

        1: [>> q - 1, but for one bit]   2: [+ offset, + that bit]   3: [saturate]
                                         label --------------------> 3: [- label] 4: [saturate]

    With ``fanout_stages`` the product waits a cycle on its way. The residual is made of the margin
    before its saturation, beside that of the bound: no sum stands between it and a multiplier.

    Latency: ``margin_latency``, of ``residual`` a cycle more. Throughput: a sample a cycle.
    Overflow: saturates and says so. Twin: `margin` in `sim.golden`.

    Members
    -------
    bits : In(range(max_bits + 1))
        q, stable during a job.
    product : In(signed(dot_bits))
    offset, label : In(signed(model_bits))
        With ``product``.
    z : Out(signed(model_bits))
        With ``model_frac`` fractional bits.
    saturated : Out(1)
    residual : Out(signed(model_bits + 1))
        z less the label, which is all that a loss makes of them if it is least squares.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "bits": In(range(config.max_bits + 1)),
                "product": In(signed(config.dot_bits)),
                "offset": In(signed(config.model_bits)),
                "label": In(signed(config.model_bits)),
                "z": Out(signed(config.model_bits)),
                "saturated": Out(1),
                "residual": Out(signed(config.model_bits + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m, config = Module(), self._config
        way = int(config.fanout_stages > 0)
        product, offset = delay(m, self.product, way), delay(m, self.offset, way)
        drop = Signal(range(config.max_bits))
        # With a bit below the point: the highest that falls, which rounds.
        shifted = Signal(signed(config.dot_bits + 1))
        # What does not fit one bit more than a margin saturates whatever the offset.
        _, beyond = saturate(m, shifted[1:].as_signed(), config.model_bits + 1)
        far, sign = delay(m, beyond, 1), delay(m, shifted[-1], 1)
        moved = Signal(signed(config.model_bits + 2))
        nearest, overflow = saturate(m, moved, config.model_bits)
        limit = Const((1 << (config.model_bits - 1)) - 1) ^ sign.replicate(config.model_bits)
        # Whatever saturates has the product's sign: no offset is beyond a margin's range.
        label, residual = delay(m, self.label, way + 2), self.residual
        inside, bound = Signal.like(residual), Signal.like(residual)
        m.d.sync += [
            inside.eq(moved - label),
            bound.eq(limit.as_signed() - label),
            residual.eq(Mux(self.saturated, bound, inside)),
        ]
        m.d.sync += [
            drop.eq(self.bits - 1),
            shifted.eq(Cat(0, product).as_signed() >> drop),
            moved.eq(
                sum_with_carry(
                    shifted[1 : config.model_bits + 2].as_signed(),
                    delay(m, offset, 1),
                    shifted[0],
                )
            ),
            self.z.eq(Mux(far, limit, nearest)),
            self.saturated.eq(far | overflow),
        ]
        return m
