"""Derivatives of the losses."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.formats import CURVATURE_FRAC, VARIANCE_BITS, VARIANCE_FRAC
from ..contract.job import Loss
from ..contract.protocol import CURVATURE_BITS, LOSS_BITS
from ..contract.tables import ENTRIES, fraction_bits, rows
from ..lib.arith import add_or_subtract, delay, registered_product


class Derivative(wiring.Component):
    """F(z, Y) and f' of one sample, for the loss that the job names::

        1: [|z|]  2, 3: [table at |z|]  4: [rise * fraction, bend * s2]  5: [sum: sigma] ------+
        1: [z - Y] --------------------------------- 5: [other losses, constant of this] 6: [+ or -]

    The logistic loss interpolates the table of `hdl.contract.tables` and adds the margin-variance
    term bend * s2, where bend is -f''/2 (`sim.golden.derivative` has the formula); the other losses
    compare and select. With ``fanout_stages`` what the table says waits a cycle on its way to the
    multipliers.

    If least squares is all there is, `hdl.engine.margin.Margin` says all of it instead.

    Latency: ``derivative_latency``. Throughput: a sample a cycle. Overflow: impossible.
    Twin: `derivative` in `sim.golden`.

    Members
    -------
    loss : In(LOSS_BITS)
        `hdl.contract.job.Loss`, stable during a job; nothing reads it where there is only one.
    variance : In(VARIANCE_BITS)
        Margin variance s2, stable during an epoch.
    z, label : In(signed(model_bits))
    f : Out(signed(model_bits + 1))
        With ``model_frac`` fractional bits.
    curvature : Out(CURVATURE_BITS)
        f' with `CURVATURE_FRAC` fractional bits.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "loss": In(LOSS_BITS),
                "variance": In(VARIANCE_BITS),
                "z": In(signed(config.model_bits)),
                "label": In(signed(config.model_bits)),
                "f": Out(signed(config.model_bits + 1)),
                "curvature": Out(CURVATURE_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        one = 1 << config.model_frac
        flat = 1 << CURVATURE_FRAC

        # Stage 1.
        residual = Signal(signed(config.model_bits + 1))
        facts = Signal(
            data.StructLayout({"positive": 1, "negative_z": 1, "residual": residual.shape()})
        )
        m.d.sync += [
            facts.positive.eq(self.label > 0),
            facts.negative_z.eq(self.z < 0),
            facts.residual.eq(self.z - self.label),
        ]
        below, above = delay(m, self.z < one, 1), delay(m, self.z > -one, 1)

        # Stages 2 to 4: what the other losses ask of the residual, and of the margin.
        wait = config.derivative_latency - 3
        m.d.comb += residual.eq(facts.residual)
        far_up, far_down = delay(m, residual >= one, wait), delay(m, residual <= -one, wait)
        short = delay(m, Mux(facts.positive, below, above), wait)
        facts = delay(m, facts, wait)

        # Stage 5: what needs no table.
        others = Signal(data.StructLayout({"f": self.f.shape(), "curvature": CURVATURE_BITS}))
        hinge = Mux(facts.positive, Const(-one), Const(one))
        limit, far = Mux(far_up, Const(one), Const(-one)), far_up | far_down
        # Sigma(-|z|) is 1 - sigma(|z|), and a positive label takes 1 away: the logistic loss lacks
        # sigma(|z|), more or less.
        least = facts.negative_z.as_unsigned() - facts.positive.as_unsigned()
        forms = {
            Loss.LEAST_SQUARES: (facts.residual, flat),
            Loss.LOGISTIC: (least << config.model_frac, 0),
            Loss.HINGE: (Mux(short, hinge, 0), 0),
            Loss.SQUARED_HINGE: (Mux(short, facts.residual, 0), Mux(short, flat, 0)),
            Loss.HUBER: (Mux(far, limit, facts.residual), Mux(far, 0, flat)),
        }
        parts = others.f, others.curvature
        first, *more = [loss for loss in forms if loss in config.losses]
        with m.Switch(self.loss):
            for loss in more:
                with m.Case(loss):
                    m.d.sync += [
                        part.eq(form) for part, form in zip(parts, forms[loss], strict=True)
                    ]
            with m.Default():
                m.d.sync += [part.eq(form) for part, form in zip(parts, forms[first], strict=True)]
        if not config.uses_margin_variance:
            m.d.sync += [self.f.eq(others.f), self.curvature.eq(others.curvature)]
            return m

        # Stages 1 to 5: the logistic function and its derivative, 0 for other losses.
        is_logistic = Signal(init=not config.losses[1:])
        sigma, curvature = self._logistic(m, is_logistic)

        # Stage 6.
        m.d.sync += [
            is_logistic.eq((self.loss == Loss.LOGISTIC) if config.losses[1:] else 1),
            self.f.eq(add_or_subtract(others.f, sigma, delay(m, facts.negative_z, 1))),
            self.curvature.eq(others.curvature | curvature),
        ]
        return m

    def _logistic(self, m: Module, counts: Signal) -> tuple[Signal, Signal]:
        """Sigma of |z| plus bend * s2, rounded once, and f', at stage 5; both 0 unless counted."""
        config = self._config
        places = fraction_bits(config)
        table_rows = rows(config)
        columns = {
            name: max(getattr(row, name) for row in table_rows).bit_length()
            for name in ("sigma", "sigma_rise", "curvature", "bend")
        }
        layout = data.StructLayout(columns)
        m.submodules.table = table = memory.Memory(
            shape=layout,
            depth=ENTRIES,
            init=[{name: getattr(row, name) for name in columns} for row in table_rows],
        )
        size, magnitude = Signal(config.model_bits), Signal(range(ENTRIES << places))
        end = (ENTRIES << places) - 1
        m.d.sync += size.eq(Mux(self.z < 0, -self.z, self.z))
        m.d.comb += magnitude.eq(Mux(size > end, end, size))

        read, way = table.read_port(), int(config.fanout_stages > 0)
        row, at = Signal(layout, reset_less=True), Signal(layout)
        m.d.comb += [read.addr.eq(magnitude >> places), read.en.eq(1)]
        m.d.sync += [row.eq(read.data), at.eq(delay(m, row, way))]
        factors = (row.sigma_rise, delay(m, magnitude[:places], 2)), (row.bend, self.variance)
        rise, bend = (
            registered_product(m, *(delay(m, factor, way, reset_less=True) for factor in pair))
            for pair in factors
        )

        # All with ``below`` places below the last one, whose half rounds.
        below = max(places, VARIANCE_FRAC)
        half_place = Const(1 << (below - 1), below)
        raised = Signal(config.model_frac + 2 + below)
        m.d.comb += raised.eq(
            Cat(half_place, at.sigma) + (rise << below - places) + (bend << below - VARIANCE_FRAC)
        )
        sigma, curvature = Signal(signed(config.model_frac + 3)), Signal(CURVATURE_BITS)
        m.d.sync += [
            sigma.eq(Mux(counts, raised >> below, 0)),
            curvature.eq(Mux(counts, at.curvature, 0)),
        ]
        return sigma, curvature
