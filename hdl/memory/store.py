"""The sample store of a device, but for the memory itself."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .arbiter import Arbiter
from .interface import READ_LATENCY, MemorySignature
from .reader import SampleReader
from .writer import SampleWriter


class SampleStore(wiring.Component):
    """Data goes in from the link and out to the engine::

        words --> [SampleWriter] --\\
                                    [Arbiter] <-> port
        beats <-- [SampleReader] --/

    Both sides may work at once. What was written before ``writing`` fell is read by every job that
    is taken afterwards.

    Latency, throughput, back-pressure and overflow are those of `SampleWriter` and `SampleReader`.

    Parameters
    ----------
    port : MemorySignature
        Of the memory.
    beat_bits, word_bits : int
        Width of the engine's beats and of the link's words.
    depth, read_latency : int
        Memory words that are read ahead, and how (`SampleReader`).

    Members
    -------
    words : In(stream of word_bits)
    address, seek, writing
        ``address``, ``seek`` and ``busy`` of `SampleWriter`.
    job, beats, stop
        Of `SampleReader`.
    port : Out(MemorySignature)
    """

    def __init__(
        self,
        port: MemorySignature,
        beat_bits: int,
        word_bits: int,
        depth: int,
        read_latency: int = READ_LATENCY,
    ) -> None:
        self._reader = SampleReader(port, beat_bits, depth, read_latency)
        self._writer = SampleWriter(port, word_bits)
        super().__init__(
            {
                "words": In(stream.Signature(word_bits)),
                "address": In(port.address_bits),
                "seek": In(1),
                "writing": Out(1),
                "job": self._reader.signature.members["job"],
                "beats": Out(stream.Signature(beat_bits)),
                "stop": In(1),
                "port": Out(port),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.reader = reader = self._reader
        m.submodules.writer = writer = self._writer
        m.submodules.share = share = Arbiter(self.port.signature)
        wiring.connect(m, wiring.flipped(self.words), writer.i)
        wiring.connect(m, wiring.flipped(self.job), reader.job)
        wiring.connect(m, reader.beats, wiring.flipped(self.beats))
        wiring.connect(m, reader.port, share.reader)
        wiring.connect(m, writer.port, share.writer)
        wiring.connect(m, share.port, wiring.flipped(self.port))
        m.d.comb += [
            writer.address.eq(self.address),
            writer.seek.eq(self.seek),
            reader.stop.eq(self.stop),
            self.writing.eq(writer.busy),
        ]
        return m
