"""What a sample reader is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from amaranth.lib import data

from ..contract.formats import MAX_COUNT_BITS
from ..contract.protocol import EPOCH_COUNT_BITS


def plan_layout(address_bits: int, beats_a_word: int = 1) -> data.StructLayout:
    """The fields of `SamplePlan`, as wide as a memory of ``2**address_bits`` words needs: it holds
    no more copies than words, and no copy of more beats than fit."""
    most_beats = beats_a_word << address_bits
    return data.StructLayout(
        {
            "base": address_bits,
            "beats": min(MAX_COUNT_BITS, most_beats.bit_length()),
            "copies": min(EPOCH_COUNT_BITS, address_bits + 1),
            "epochs": EPOCH_COUNT_BITS,
        }
    )


def copy_words(beats: int, beat_bits: int, width: int) -> int:
    """Memory words of ``width`` bits that a copy of ``beats`` takes: each starts with a word."""
    return -(-beats * beat_bits // width)


@dataclass(frozen=True, kw_only=True)
class SamplePlan:
    """Which samples the engine reads in a job: epoch e reads copy ``e % copies``.

    Parameters
    ----------
    base : int
        Address of the first copy, in memory words; the others follow without a gap.
    beats : int
        Beats of a copy.
    copies, epochs : int
    """

    base: int = 0
    beats: int
    copies: int = 1
    epochs: int = 1

    def check(self, beat_bits: int, width: int, depth: int) -> None:
        """Raise `ValueError` if a memory of ``depth`` words of ``width`` bits cannot serve it."""
        limits = (
            ("beats", self.beats, MAX_COUNT_BITS),
            ("copies", self.copies, EPOCH_COUNT_BITS),
            ("epochs", self.epochs, EPOCH_COUNT_BITS),
        )
        for name, value, bits in limits:
            if not 1 <= value < 1 << bits:
                raise ValueError(f"{name} = {value} is out of range: 1 to {(1 << bits) - 1}")
        words = self.copies * copy_words(self.beats, beat_bits, width)
        if not 0 <= self.base <= self.base + words <= depth:
            raise ValueError(
                f"{self.copies} copies of {self.beats} beats take {words} memory words from word "
                f"{self.base} on, and the memory has {depth}; use fewer copies, fewer bits or "
                "fewer samples"
            )

    def lengths(self, beat_bits: int, width: int, longest: int) -> Iterator[int]:
        """Words of each request that a reader makes for it."""
        words = copy_words(self.beats, beat_bits, width)
        for _ in range(self.epochs):
            for start in range(0, words, longest):
                yield min(longest, words - start)

    def pack(self, address_bits: int, beats_a_word: int = 1) -> int:
        """The bits of the plan."""
        fields = {
            "base": self.base,
            "beats": self.beats,
            "copies": self.copies,
            "epochs": self.epochs,
        }
        return plan_layout(address_bits, beats_a_word).const(fields).as_bits()
