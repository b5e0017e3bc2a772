"""What every memory of samples looks like: bursts of words, asked for by address."""

from __future__ import annotations

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

READ_LATENCY = 2
"""Cycles from a memory's address to its data: a RAM block and its output register."""


def request_layout(address_bits: int, longest: int) -> data.StructLayout:
    """What an initiator asks for.

    Members
    -------
    address : address_bits
        Of the first word, in words.
    length : range(longest + 1)
        Words, at least 1; the last must lie in the memory.
    write : 1
        The words come from ``writes``; otherwise they go to ``reads``.
    """
    return data.StructLayout({"address": address_bits, "length": range(longest + 1), "write": 1})


class MemorySignature(wiring.Signature):
    """A port of a memory, as its initiator sees it.

    Requests are served one after the other, in order: a read sees every write that was asked for
    before it. Only a request waits: once the memory has taken it, the initiator takes or gives
    every word without delay. So *an initiator asks for a read when it has room for all of it, and
    for a write when it has all of its words*; words may rest a few cycles, but nothing else is
    served meanwhile, and they never wait for anything but the memory.

    What may stall what: the memory stalls ``requests`` and ``writes``, and leaves gaps in
    ``reads``; the initiator stalls nothing. A write may be given before its request was taken.

    Parameters
    ----------
    width : int
        Bits of a word.
    address_bits : int
        The memory has up to ``2 ** address_bits`` words.
    longest : int
        Most words of a request.

    Members
    -------
    requests : Out(stream of request_layout)
    writes : Out(stream of width)
    reads : In
        Words that were read: ``payload`` (width) in the cycles in which ``valid`` is set.
    """

    def __init__(self, width: int, address_bits: int, longest: int) -> None:
        for name, value in (("width", width), ("longest", longest)):
            if value < 1:
                raise ValueError(f"{name} must be 1 or more, not {value}")
        self.width, self.address_bits, self.longest = width, address_bits, longest
        super().__init__(
            {
                "requests": Out(stream.Signature(request_layout(address_bits, longest))),
                "writes": Out(stream.Signature(width)),
                "reads": In(WordSignature(width)),
            }
        )


class WordSignature(wiring.Signature):
    """Words that are taken whenever they come: ``payload`` and ``valid``, as the source sees it."""

    def __init__(self, width: int) -> None:
        super().__init__({"payload": Out(width), "valid": Out(1)})
