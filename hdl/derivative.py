"""Derivatives of the losses."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .arith import delay, round_nearest
from .config import CURVATURE_FRAC, VARIANCE_BITS, VARIANCE_FRAC, EngineConfig
from .job import Loss
from .protocol import CURVATURE_BITS, LOSS_BITS
from .tables import ENTRIES, fraction_bits, rows


class Derivative(wiring.Component):
    """F(z, Y) and f' of one sample, for the loss that the job names::

        1: [z - Y, |z|]  2, 3: [table at |z|]  4: [rise * fraction]  5: [+ sigma, + bend]
        6: [select by loss]

    The logistic loss interpolates the table of `hdl.tables` and adds the margin-variance term
    bend * s2 (design contract, section 1); the other losses compare and select.

    Latency: ``DERIVATIVE_LATENCY``. Throughput: a sample a cycle. Overflow: impossible.
    Twin: `derivative` in `sim.golden`.

    Members
    -------
    loss : In(LOSS_BITS)
        `hdl.job.Loss`, stable during a job.
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
        signed_margin = Signal(signed(config.model_bits + 1))
        positive = self.label > 0
        m.d.comb += signed_margin.eq(Mux(positive, self.z, -self.z))
        facts = Signal(
            data.StructLayout(
                {"positive": 1, "negative_z": 1, "short": 1, "residual": residual.shape()}
            )
        )
        m.d.sync += [
            facts.positive.eq(positive),
            facts.negative_z.eq(self.z < 0),
            facts.short.eq(signed_margin < one),
            facts.residual.eq(self.z - self.label),
        ]
        facts = delay(m, facts, 4)

        # Stages 1 to 5: the logistic function and its derivatives.
        sigma, curvature = self._logistic(m)
        logistic = Mux(facts.negative_z, one - sigma, sigma) - Mux(facts.positive, one, 0)

        # Stage 6.
        m.d.comb += residual.eq(facts.residual)
        far_up, far_down = residual >= one, residual <= -one
        hinge = Mux(facts.positive, Const(-one), Const(one))
        with m.Switch(self.loss):
            with m.Case(Loss.LOGISTIC):
                m.d.sync += [self.f.eq(logistic), self.curvature.eq(curvature)]
            with m.Case(Loss.HINGE):
                m.d.sync += [self.f.eq(Mux(facts.short, hinge, 0)), self.curvature.eq(0)]
            with m.Case(Loss.SQUARED_HINGE):
                m.d.sync += [
                    self.f.eq(Mux(facts.short, residual, 0)),
                    self.curvature.eq(Mux(facts.short, flat, 0)),
                ]
            with m.Case(Loss.HUBER):
                m.d.sync += [
                    self.f.eq(Mux(far_up, Const(one), Mux(far_down, Const(-one), residual))),
                    self.curvature.eq(Mux(far_up | far_down, 0, flat)),
                ]
            with m.Default():
                m.d.sync += [self.f.eq(residual), self.curvature.eq(flat)]
        return m

    def _logistic(self, m: Module) -> tuple[Signal, Signal]:
        """Sigma of |z| plus bend * s2, and f', both at stage 5."""
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
        m.d.comb += size.eq(Mux(self.z < 0, -self.z, self.z))
        end = (ENTRIES << places) - 1
        m.d.sync += magnitude.eq(Mux(size > end, end, size))

        read = table.read_port()
        row, at = Signal(layout), Signal(layout)
        rise = Signal(columns["sigma_rise"] + places)
        bend = Signal(columns["bend"] + VARIANCE_BITS)
        sigma, curvature = Signal(config.model_frac + 2), Signal(CURVATURE_BITS)
        m.d.comb += [read.addr.eq(magnitude >> places), read.en.eq(1)]
        m.d.sync += [
            row.eq(read.data),
            rise.eq(row.sigma_rise * delay(m, magnitude[:places], 2)),
            bend.eq(row.bend * self.variance),
            at.eq(row),
            sigma.eq(
                at.sigma
                + round_nearest(rise, Const(places), places)
                + round_nearest(bend, Const(VARIANCE_FRAC), VARIANCE_FRAC)
            ),
            curvature.eq(at.curvature),
        ]
        return sigma, curvature
