"""The engine with AXI ports, for the tools of any vendor."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockDomain, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.formats import MODEL_WORD_BITS
from ..engine.engine import Engine
from .control import Control
from .lite import CHANNELS, LiteSlave

TOP = "zipsgd_axi"
"""Verilog module, and prefix of those inside it."""


class AxiEngine(wiring.Component):
    """`Engine` behind AXI4-Lite and AXI4-Stream::

        s_axi ------------> [LiteSlave] - [Control] -- job, epochs --> [Engine]
        s_axis_beats -----------------------------------------------> |      | -> m_axis_margins
        s_axis_model -----------------------------------------------> |      | -> m_axis_model

    ``docs/axi.md`` is the manual. Every output is a register or depends on registers alone.

    Input streams have no ``tlast``: a job says how many items it takes, and they may be cut into
    packets anywhere. Output streams have it for the DMA engine behind them: a packet is the model
    of one job, or the margins of one epoch.

    Throughput, latency and overflow are the engine's.

    Members
    -------
    aclk, aresetn : In(1)
        Clock, and reset: active low, synchronous. The model must be loaded after it (`Model`).
    s_axi_* : `CHANNELS`
    s_axis_beats_* : In
        A beat of the woven stream.
    s_axis_model_* : In
        Words of a `Mode.LOAD` job, each `MODEL_WORD_BITS` wide; bits above the model's are ignored.
    m_axis_model_* : Out
        Words of a `Mode.DUMP` job.
    m_axis_margins_* : Out
        Margins of a `Mode.PREDICT` job, a group's ``banks`` words at a time, sample 0 lowest.
    irq : Out(1)
        Level, active high: see `Control`.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        super().__init__(ports(config))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = sync = ClockDomain("sync")
        m.d.comb += [sync.clk.eq(self.aclk), sync.rst.eq(~self.aresetn)]
        m.submodules.lite = lite = LiteSlave()
        m.submodules.control = control = Control(self.config)
        m.submodules.engine = engine = Engine(self.config)

        wiring.connect(m, lite.bus, control.bus)
        wiring.connect(m, control.job, engine.job)
        wiring.connect(m, control.epochs, engine.epochs)
        m.d.comb += [control.status.eq(engine.status), self.irq.eq(control.irq)]
        self._connect_bus(m, lite)
        self._connect_streams(m, engine)
        self._mark_packets(m, control, engine)
        return m

    def _connect_bus(self, m: Module, lite: LiteSlave) -> None:
        for name, member in CHANNELS.items():
            outside, inside = getattr(self, f"s_axi_{name}"), getattr(lite, name)
            if member.flow == In:
                m.d.comb += inside.eq(outside)
            else:
                m.d.comb += outside.eq(inside)

    def _connect_streams(self, m: Module, engine: Engine) -> None:
        bits = self.config.model_bits
        words = (engine.margins.payload[bank] for bank in range(self.config.banks))
        m.d.comb += [
            engine.beats.payload.eq(self.s_axis_beats_tdata),
            engine.beats.valid.eq(self.s_axis_beats_tvalid),
            self.s_axis_beats_tready.eq(engine.beats.ready),
            engine.model_in.payload.eq(self.s_axis_model_tdata[:bits].as_signed()),
            engine.model_in.valid.eq(self.s_axis_model_tvalid),
            self.s_axis_model_tready.eq(engine.model_in.ready),
            self.m_axis_model_tdata.eq(_word(engine.model_out.payload)),
            self.m_axis_model_tvalid.eq(engine.model_out.valid),
            engine.model_out.ready.eq(self.m_axis_model_tready),
            self.m_axis_margins_tdata.eq(Cat(_word(word) for word in words)),
            self.m_axis_margins_tvalid.eq(engine.margins.valid),
            engine.margins.ready.eq(self.m_axis_margins_tready),
        ]

    def _mark_packets(self, m: Module, control: Control, engine: Engine) -> None:
        """Where a packet ends follows from the job: both streams are empty when it starts."""
        job, starts = control.job.payload, control.job.valid
        lane_bits = self.config.lanes.bit_length() - 1
        words_left = Signal((job.chunks << lane_bits).shape())
        groups, groups_left = Signal.like(job.groups), Signal.like(job.groups)
        last_word, last_group = words_left == 1, groups_left == 1
        m.d.comb += [
            self.m_axis_model_tlast.eq(last_word),
            self.m_axis_margins_tlast.eq(last_group),
        ]
        with m.If(starts):
            m.d.sync += [
                words_left.eq(job.chunks << lane_bits),
                groups.eq(job.groups),
                groups_left.eq(job.groups),
            ]
        with m.Else():
            with m.If(engine.model_out.valid & engine.model_out.ready):
                m.d.sync += words_left.eq(words_left - 1)
            with m.If(engine.margins.valid & engine.margins.ready):
                m.d.sync += groups_left.eq(Mux(last_group, groups, groups_left - 1))


def ports(config: EngineConfig) -> dict[str, wiring.Member]:
    """The ports of an `AxiEngine`, under the names by which vendors' tools know the buses."""
    return {
        "aclk": In(1),
        "aresetn": In(1),
        **{f"s_axi_{name}": member for name, member in CHANNELS.items()},
        **_stream("s_axis_beats", In, config.beat_bits),
        **_stream("s_axis_model", In, MODEL_WORD_BITS),
        **_stream("m_axis_model", Out, MODEL_WORD_BITS, tlast=True),
        **_stream("m_axis_margins", Out, MODEL_WORD_BITS * config.banks, tlast=True),
        "irq": Out(1),
    }


def _stream(
    prefix: str, flow: wiring.Flow, bits: int, *, tlast: bool = False
) -> dict[str, wiring.Member]:
    """Signals of an AXI4-Stream whose ``tdata`` has ``bits``, a whole number of bytes."""
    members = {
        f"{prefix}_tdata": flow(bits),
        f"{prefix}_tvalid": flow(1),
        f"{prefix}_tready": flow.flip()(1),
    }
    return {**members, f"{prefix}_tlast": flow(1)} if tlast else members


def _word(value: Value) -> Value:
    """``value`` sign-extended to `MODEL_WORD_BITS`."""
    return Cat(value, value[-1].replicate(MODEL_WORD_BITS - len(value)))
