"""Sum of losses."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.formats import WEIGHT_FRAC
from ..contract.job import Loss
from ..contract.protocol import LOSS_BITS, LOSS_SUM_BITS, sample_layout
from ..contract.tables import ENTRIES, fraction_bits, rows
from ..lib.arith import delay, long_product, registered_product, sum_with_carry

TOTAL_PARTS = 3
"""Parts of the total, of which each takes the carry of the one below a cycle later."""

SUM_LATENCY = 14 + TOTAL_PARTS + 1
"""Cycles from a sample's turn to the total that has its loss, its own cycle among them."""


class Evaluate(wiring.Component):
    """Adds w times the loss of every valid sample, one sample a cycle::

        group -> [one sample a cycle]
        1: [label's sign]  2: [residual, margin, |z|]  3: [|residual|, 1 - margin]
        4: [what is negative]  5: [Huber's]  6, 7: [factors by loss]
        3, 4: [table at |z|]  5: [fall * fraction]  6: [softplus]
        8, 9, 10: [product]  11: [+ softplus]  12, 13, 14: [* weight]  15, 16, 17: [total]

    Squares are made by one multiplier from the factors that the loss selects; the logistic loss
    adds its linear part to the interpolated softplus. Twin: `loss_value` in `sim.golden`.

    Latency: a group's losses are in ``total`` ``banks + SUM_LATENCY`` cycles later. Throughput: a
    group in ``banks`` cycles, which the slot controller grants. Overflow: impossible for 2**32
    samples.

    Members
    -------
    loss : In(LOSS_BITS)
    z : In(ArrayLayout(signed(model_bits), banks))
    samples : In(ArrayLayout(sample_layout, banks))
    valid : In(1)
        A group's margins are there.
    enable : In(1)
        Their losses count; stable during a job.
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
                "enable": In(1),
                "clear": In(1),
                "total": Out(LOSS_SUM_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        width, one = config.model_bits + 2, 1 << config.model_frac
        z, sample, valid = self._serialise(m)

        # Stages 1 and 2.
        positive = delay(m, sample.label > 0, 1)
        z, label = delay(m, z, 1), delay(m, sample.label, 1)
        residual, margin = Signal(signed(width)), Signal(signed(width))
        m.d.sync += [residual.eq(z - label), margin.eq(Mux(positive, z, -z))]

        # Stages 3 and 4: what the losses square.
        size, lack, loss = Signal(width), Signal(signed(width)), Signal(signed(width))
        m.d.sync += [
            size.eq(Mux(residual < 0, -residual, residual)),
            lack.eq(one - margin),
            loss.eq(-margin),
        ]
        short, linear = Signal(width), Signal(width)
        m.d.sync += [short.eq(Mux(lack < 0, 0, lack)), linear.eq(Mux(loss < 0, 0, loss))]

        # Stages 4 and 5: a parabola up to a residual of 1, its tangent beyond.
        far, excess = Signal(), Signal(width + 1)
        m.d.sync += [far.eq(size >= one), excess.eq(2 * size - one)]
        size = delay(m, size, 1)
        bounded, tangent = Signal(width), Signal(width + 1)
        m.d.sync += [bounded.eq(Mux(far, one, size)), tangent.eq(Mux(far, excess, size))]

        # Stages 6 and 7: two factors.
        size, short, linear = delay(m, size, 1), delay(m, short, 1), delay(m, linear, 1)
        factors = data.StructLayout({"left": width, "right": width + 1})
        terms = Signal(factors)
        forms = {
            Loss.LEAST_SQUARES: (size, size),
            Loss.LOGISTIC: (linear, 2 * one),
            Loss.HINGE: (short, 2 * one),
            Loss.SQUARED_HINGE: (short, short),
            Loss.HUBER: (bounded, tangent),
        }
        first, *more = [loss for loss in forms if loss in config.losses]
        with m.Switch(self.loss):
            for loss in more:
                with m.Case(loss):
                    m.d.sync += [terms.left.eq(forms[loss][0]), terms.right.eq(forms[loss][1])]
            with m.Default():
                m.d.sync += [terms.left.eq(forms[first][0]), terms.right.eq(forms[first][1])]
        terms = delay(m, terms, 1)

        # Stages 8 to 17.
        square = long_product(m, terms.left, terms.right)
        soft: Value = Const(0)
        if Loss.LOGISTIC in config.losses:
            is_logistic = Signal()
            m.d.sync += is_logistic.eq(self.loss == Loss.LOGISTIC)
            soft = delay(m, Mux(is_logistic, self._softplus(m, z), 0), 4)
        value = Signal(2 * width + 2)
        m.d.sync += value.eq(square + (soft << config.model_frac + 1))
        if config.sample_words:
            product = long_product(m, value, delay(m, sample.weight, 11))
        else:
            product = delay(m, value, 3) << WEIGHT_FRAC
        self._accumulate(m, product, delay(m, valid & sample.valid, 14))
        return m

    def _accumulate(self, m: Module, product: Value, counts: Value) -> None:
        """The total, part by part."""
        bits, carry = LOSS_SUM_BITS // TOTAL_PARTS, Const(0, 1)
        for number in range(TOTAL_PARTS):
            part = self.total.word_select(number, bits)
            term = delay(m, Mux(counts, product[number * bits :][:bits], 0), number)
            total = sum_with_carry(Cat(part, 0).as_signed(), Cat(term, 0).as_signed(), carry)
            carry = Signal(name=f"carry_{number}")
            m.d.sync += Cat(part, carry).eq(total)
            with m.If(self.clear):
                m.d.sync += [part.eq(0), carry.eq(0)]

    def _serialise(self, m: Module) -> tuple[Signal, data.View, Signal]:
        """The samples of a group, one a cycle."""
        config = self._config
        rest = Signal(config.banks)  # unary
        z, samples = Signal(self.z.shape()), Signal(self.samples.shape())
        with m.If(self.valid):
            m.d.sync += [rest.eq(self.enable.replicate(config.banks))]
            m.d.sync += [z.eq(self.z), samples.eq(self.samples)]
        with m.Else():
            m.d.sync += [
                rest.eq(rest >> 1),
                z.as_value().eq(z.as_value() >> config.model_bits),
                samples.as_value().eq(samples.as_value() >> sample_layout(config).size),
            ]
        return z[0], samples[0], rest[0]

    def _softplus(self, m: Module, z: Signal) -> Signal:
        """log(1 + exp(-|z|)) from the table, at stage 6."""
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
        m.d.sync += size.eq(Mux(z < 0, -z, z))
        m.d.comb += magnitude.eq(Mux(size > end, end, size))

        read, row = table.read_port(), Signal(layout, reset_less=True)
        softplus, half = Signal(len(row.softplus)), Const(1 << places >> 1, places)
        m.d.comb += [read.addr.eq(magnitude >> places), read.en.eq(1)]
        fall = registered_product(m, row.softplus_fall, delay(m, magnitude[:places], 2))
        m.d.sync += [
            row.eq(read.data),
            # Rounded with half a place below its last one.
            softplus.eq((Cat(half, delay(m, row.softplus, 1)) - fall) >> places),
        ]
        return softplus
