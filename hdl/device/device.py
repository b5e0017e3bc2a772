"""The device: the engine with its own memory, at the end of a line."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract.config import EngineConfig
from ..contract.protocol import Error
from ..engine.engine import Engine
from ..lib.skid_buffer import buffered
from ..lib.source_digest import design_digest
from ..link.identity import Identity
from ..link.link import BUFFER_BYTES, Link
from ..memory.block import BlockMemory
from ..memory.interface import MemorySignature
from ..memory.store import SampleStore
from .decoder import CommandDecoder

BURST_WORDS = 16
"""Requests to block RAM, which could as well be asked for a word at a time."""


class FramedDevice(wiring.Component):
    """`Engine` with a memory of samples, driven by frames::

        i, o <-> [Link] <-> [CommandDecoder] <-> [Engine]
                                  |                 ^ beats
                                  +-> [SampleStore] +
                                           |
                                          port

    The manual is ``docs/link.md``. Throughput, back-pressure and overflow are those of the parts.

    Parameters
    ----------
    config : EngineConfig
    port : MemorySignature
        Of the sample memory; its width in bytes is a power of two.
    memory_words : int
        Its size.
    clock_hz : int
        Told to the host.
    depth : int
        Memory words that are read ahead (`SampleStore`).
    buffer_bytes, byte_cycles : int
        Of the link.
    digest : int, optional
        Told to the host; by default that of a device with nothing around it.

    Members
    -------
    i, o : streams of 8
        The line; ``i`` never waits.
    port : Out(MemorySignature)
    busy, fault : Out(1)
        A job is under way; the engine has refused the last one.
    """

    def __init__(
        self,
        config: EngineConfig,
        port: MemorySignature,
        memory_words: int,
        *,
        clock_hz: int,
        depth: int,
        buffer_bytes: int = BUFFER_BYTES,
        byte_cycles: int = 1,
        digest: int | None = None,
    ) -> None:
        self.config, self._byte_cycles = config, byte_cycles
        self.identity = Identity(
            config=config,
            digest=design_digest(config) if digest is None else digest,
            clock_hz=clock_hz,
            buffer_bytes=buffer_bytes,
            memory_bytes=memory_words * port.width // 8,
            word_bytes=port.width // 8,
        )
        self._decoder = CommandDecoder(config, port, memory_words)
        self._store = SampleStore(port, config.beat_bits, 8, depth, config.read_latency)
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "port": Out(port),
                "busy": Out(1),
                "fault": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        identity = self.identity
        m.submodules.link = link = Link(
            identity.to_bytes(),
            identity.buffer_bytes,
            self._byte_cycles,
            skid_buffers=not self.config.area_optimised,
        )
        m.submodules.decoder = decoder = self._decoder
        m.submodules.store = store = self._store
        engine = Engine(self.config, keeps_job=False)
        m.submodules.engine = engine
        beats = buffered(
            m, "beats", store.beats, needed=not self.config.area_optimised, clear=decoder.stop
        )

        wiring.connect(m, wiring.flipped(self.i), link.i)
        wiring.connect(m, link.o, wiring.flipped(self.o))
        wiring.connect(m, link.command, decoder.command)
        wiring.connect(m, link.data, decoder.data)
        wiring.connect(m, decoder.answer, link.answer)
        wiring.connect(m, decoder.words, store.words)
        wiring.connect(m, decoder.plan, store.job)
        wiring.connect(m, store.port, wiring.flipped(self.port))
        for name in ("job", "epochs", "model_in"):
            wiring.connect(m, getattr(decoder, name), getattr(engine, name))
        for name in ("model_out", "margins"):
            wiring.connect(m, getattr(engine, name), getattr(decoder, name))
        m.d.comb += [
            self.busy.eq(~engine.job.ready),
            self.fault.eq(engine.status.error != Error.NONE),
            engine.cancel.eq(decoder.reset),
            decoder.counters.eq(link.counters),
            decoder.status.eq(engine.status),
            decoder.writing.eq(store.writing),
            store.address.eq(decoder.address),
            store.seek.eq(decoder.seek),
            store.stop.eq(decoder.stop),
            engine.beats.payload.eq(beats.payload),
            decoder.beats.payload.eq(beats.payload),
        ]
        with m.If(decoder.reading):
            m.d.comb += [
                decoder.beats.valid.eq(beats.valid),
                beats.ready.eq(decoder.beats.ready),
            ]
        with m.Else():
            m.d.comb += [
                engine.beats.valid.eq(beats.valid),
                beats.ready.eq(engine.beats.ready),
            ]
        return m


class BlockDevice(wiring.Component):
    """`FramedDevice` on block RAM: words as wide as beats.

    Parameters
    ----------
    config : EngineConfig
    memory_bytes : int
        A multiple of a beat.
    clock_hz : int

    Members
    -------
    i, o : streams of 8
    """

    def __init__(self, config: EngineConfig, memory_bytes: int, clock_hz: int) -> None:
        words, rest = divmod(memory_bytes, config.beat_bytes)
        if rest or words < 2:
            raise ValueError(
                f"a memory of {memory_bytes} bytes is not two or more beats of {config.beat_bytes}"
            )
        self._memory = BlockMemory(config.beat_bits, words, BURST_WORDS)
        port = self._memory.port.signature.flip()
        depth = 4 * BURST_WORDS
        self._device = FramedDevice(config, port, words, clock_hz=clock_hz, depth=depth)
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.samples, m.submodules.device = self._memory, self._device
        wiring.connect(m, wiring.flipped(self.i), self._device.i)
        wiring.connect(m, self._device.o, wiring.flipped(self.o))
        wiring.connect(m, self._device.port, self._memory.port)
        return m
