"""Labels of a group, gathered from its label beats."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import EngineConfig
from .protocol import label_layout, token_layout


class Labels(wiring.Component):
    """Puts the label words of a group together; a label beat brings ``lanes`` bits of each.

    Latency: 1 cycle from the group's last beat to ``valid``. Throughput: a beat a cycle.

    Members
    -------
    token : In(token_layout)
    beat : In(beat_bits)
    labels : Out(ArrayLayout(label_layout, banks))
        Complete while ``valid``.
    valid : Out(1)
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "token": In(token_layout(config)),
                "beat": In(config.beat_bits),
                "labels": Out(data.ArrayLayout(label_layout(config), config.banks)),
                "valid": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self._config.lanes
        arrived = self.token.live & self.token.label
        m.d.sync += self.valid.eq(arrived & self.token.group_end)

        for bank in range(self._config.banks):
            word = Signal(lanes * self._config.label_beats, name=f"word_{bank}")
            with m.If(arrived):
                # The first beat holds the lowest bits, and ends up there.
                m.d.sync += word.eq(Cat(word[lanes:], self.beat.word_select(bank, lanes)))
            m.d.comb += self.labels[bank].eq(word[: len(self.labels[bank].as_value())])
        return m
