"""A device with a planted fault."""

from __future__ import annotations

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.host.codes.rounding import Ints
from zipsgd.host.devices.software import GoldenDevice


class FlippedBit(GoldenDevice):
    """The golden model, but one bit of one model word is wrong after one epoch."""

    name = "flipped"

    def __init__(self, config: EngineConfig, epoch: int = 2, word: int = 3, bit: int = 0) -> None:
        super().__init__(config)
        self.epoch, self.word, self.bit, self._reads = epoch, word, bit, 0

    def read_model(self, chunks: int) -> Ints:
        words = super().read_model(chunks)
        self._reads += 1
        if self._reads == self.epoch:
            words[self.word] ^= 1 << self.bit
        return words
