"""Sum of losses."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .arith import delay, round_nearest
from .config import WEIGHT_BITS, EngineConfig
from .job import Loss
from .protocol import LOSS_BITS, LOSS_SUM_BITS, sample_layout
from .tables import ENTRIES, fraction_bits, rows


class Evaluate(wiring.Component):
    """Adds w times the loss of every valid sample, one sample a cycle::

        group -> [one sample a cycle]
        1: [residual, margin]  2, 3: [table at |z|]  4: [fall * fraction, factors by loss]
        5: [square, sum]       6: [* weight]         7: [total]

    Squares are made by one multiplier from the factors that the loss selects; the logistic loss
    adds its linear part to the interpolated softplus. Twin: `loss_value` in `sim.golden`.

    Latency: a group's losses are in ``total`` ``banks + 8`` cycles later. Throughput: a group in
    ``banks`` cycles, which the slot controller grants. Overflow: impossible for 2**32 samples.

    Members
    -------
    loss : In(LOSS_BITS)
    z : In(ArrayLayout(signed(model_bits), banks))
    samples : In(ArrayLayout(sample_layout, banks))
    valid : In(1)
    clear : In(1)
    total : Out(LOSS_SUM_BITS)
        With ``2 * model_frac + 1 + WEIGHT_FRAC`` fractional bits.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "loss": In(LOSS_BITS),
                "z": In(data.ArrayLayout(signed(config.model_bits), config.banks)),
                "samples": In(data.ArrayLayout(sample_layout(config), config.banks)),
                "valid": In(1),
                "clear": In(1),
                "total": Out(LOSS_SUM_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        width, one = config.model_bits + 2, 1 << config.model_frac
        z, sample, valid = self._serialise(m)

        # Stage 1.
        positive = sample.label > 0
        residual, margin = Signal(signed(width)), Signal(signed(width))
        m.d.sync += [residual.eq(z - sample.label), margin.eq(Mux(positive, z, -z))]
        residual, margin = delay(m, residual, 2), delay(m, margin, 2)

        # Stages 2 to 4: softplus of -|z|, and the factors of the square.
        softplus = self._softplus(m, z)
        size, short, linear = Signal(width), Signal(width), Signal(width)
        m.d.comb += [
            size.eq(Mux(residual < 0, -residual, residual)),
            short.eq(Mux(margin < one, one - margin, 0)),
            linear.eq(Mux(margin < 0, -margin, 0)),
        ]
        factors = data.StructLayout({"left": width, "right": width + 1, "linear": width, "soft": 1})
        terms = Signal(factors)
        with m.Switch(self.loss):
            with m.Case(Loss.SQUARED_HINGE):
                m.d.sync += [terms.left.eq(short), terms.right.eq(short)]
            with m.Case(Loss.HINGE):
                m.d.sync += [terms.left.eq(short), terms.right.eq(2 * one)]
            with m.Case(Loss.LOGISTIC):
                m.d.sync += [terms.left.eq(linear), terms.right.eq(2 * one)]
            with m.Case(Loss.HUBER):
                far = size >= one
                m.d.sync += [
                    terms.left.eq(Mux(far, one, size)),
                    terms.right.eq(Mux(far, 2 * size - one, size)),
                ]
            with m.Default():
                m.d.sync += [terms.left.eq(size), terms.right.eq(size)]
        m.d.sync += terms.soft.eq(self.loss == Loss.LOGISTIC)

        # Stages 5 to 7.
        value = Signal(2 * width + 2)
        product = Signal(len(value) + WEIGHT_BITS)
        m.d.sync += [
            value.eq(
                terms.left * terms.right + (Mux(terms.soft, softplus, 0) << config.model_frac + 1)
            ),
            product.eq(value * delay(m, sample.weight, 5)),
        ]
        counts = delay(m, valid & sample.valid, 6)
        with m.If(self.clear):
            m.d.sync += self.total.eq(0)
        with m.Elif(counts):
            m.d.sync += self.total.eq(self.total + product)
        return m

    def _serialise(self, m: Module) -> tuple[Signal, data.View, Signal]:
        """The samples of a group, one a cycle."""
        config = self._config
        rest = Signal(range(config.banks + 1))
        z, samples = Signal(self.z.shape()), Signal(self.samples.shape())
        with m.If(self.valid):
            m.d.sync += [rest.eq(config.banks), z.eq(self.z), samples.eq(self.samples)]
        with m.Elif(rest != 0):
            m.d.sync += [
                rest.eq(rest - 1),
                z.as_value().eq(z.as_value() >> config.model_bits),
                samples.as_value().eq(samples.as_value() >> sample_layout(config).size),
            ]
        return z[0], samples[0], rest != 0

    def _softplus(self, m: Module, z: Signal) -> Signal:
        """log(1 + exp(-|z|)) from the table, at stage 4."""
        config = self._config
        places, end = fraction_bits(config), (ENTRIES << fraction_bits(config)) - 1
        table_rows = rows(config)
        layout = data.StructLayout(
            {
                name: max(getattr(row, name) for row in table_rows).bit_length()
                for name in ("softplus", "softplus_fall")
            }
        )
        m.submodules.table = table = memory.Memory(
            shape=layout,
            depth=ENTRIES,
            init=[{n: getattr(row, n) for n, _ in layout} for row in table_rows],
        )
        size, magnitude = Signal(config.model_bits), Signal(range(ENTRIES << places))
        m.d.comb += size.eq(Mux(z < 0, -z, z))
        m.d.sync += magnitude.eq(Mux(size > end, end, size))

        read, row = table.read_port(), Signal(layout)
        fall = Signal(len(row.softplus_fall) + places)
        start, softplus = Signal(len(row.softplus)), Signal(len(row.softplus))
        m.d.comb += [read.addr.eq(magnitude >> places), read.en.eq(1)]
        m.d.sync += [
            row.eq(read.data),
            fall.eq(row.softplus_fall * delay(m, magnitude[:places], 2)),
            start.eq(row.softplus),
        ]
        m.d.comb += softplus.eq(start + round_nearest(-fall, Const(places), places))
        return softplus
