"""Labels of a group, gathered from its label beats."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.formats import WEIGHT_FRAC
from ..contract.protocol import (
    job_layout,
    label_layout,
    offset_layout,
    sample_layout,
    token_layout,
    weight_layout,
)
from ..lib.arith import delay, fanout_tree


class Labels(wiring.Component):
    """Puts the label words of a group together; a label beat brings ``lanes`` bits of each sample's
    word. Words that the job does not send read as weight 1 and offset 0.

    Latency: ``labels_latency`` from the group's last beat to ``valid``. Throughput: a beat a cycle.

    Members
    -------
    job : In(job_layout)
        Stable during a job.
    token : In(token_layout)
    beat : In(beat_bits)
    samples : Out(ArrayLayout(sample_layout, banks))
        Complete while ``valid``.
    valid : Out(1)
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "job": In(job_layout(config)),
                "token": In(token_layout(config)),
                "beat": In(config.beat_bits),
                "samples": Out(data.ArrayLayout(sample_layout(config), config.banks)),
                "valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        layouts = [label_layout(config)]
        if config.sample_words:
            layouts += [weight_layout(), offset_layout(config)]
        spread, arrived, group_end = config.fanout_stages, Signal(len(layouts)), Signal()
        beat = delay(m, self.beat, 1 + spread)
        with m.If(self.token.live & self.token.label):
            m.d.sync += arrived.eq(1 << self.token.word if config.sample_words else 1)
        with m.Else():
            m.d.sync += arrived.eq(0)
        m.d.sync += [
            group_end.eq(self.token.live & self.token.label & self.token.group_end),
            self.valid.eq(delay(m, group_end, spread)),
        ]

        for bank, takes in enumerate(fanout_tree(m, arrived, spread, config.banks)):
            part = beat.word_select(bank, config.lanes)
            words = []
            for index, layout in enumerate(layouts):
                word = Signal(config.lanes * config.label_beats, name=f"word_{bank}_{index}")
                with m.If(takes[index]):
                    # The first beat holds the lowest bits, and ends up there.
                    m.d.sync += word.eq(Cat(word[config.lanes :], part))
                words.append(data.View(layout, word[: layout.size]))
            label, sample = words[0], self.samples[bank]
            m.d.comb += [sample.label.eq(label.label), sample.valid.eq(label.valid)]
            if config.sample_words:
                weight, offset = words[1:]
                m.d.comb += [
                    sample.weight.eq(Mux(self.job.weighted, weight.weight, 1 << WEIGHT_FRAC)),
                    sample.offset.eq(Mux(self.job.offset, offset.offset, 0)),
                ]
        return m
