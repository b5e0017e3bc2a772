"""How nextpnr's router2 lets nets bid for wires, and how to see that it leads nowhere.

Round after round, nets that share a wire or are too slow (`--tmg-ripup`) give up their ways and
look for others. Most designs end after 60 to 170 rounds. A net whose search finds the same slow way
each time never ends: the router goes on for 1,500 rounds, and would have found a better one with
another seed.
"""

from __future__ import annotations

import re

SETTINGS = (
    ("router2/initCurrCongWeight", "5.0"),
    ("router2/currCongWeightMult", "0.2"),
    ("router2/histCongWeight", "1.0"),
    ("router2/estimateWeight", "1.0"),
)
"""What sharing a wire costs at first, what each round adds to that (a sum, whatever its name says),
what every round of having been shared adds; and how much the router trusts its estimates of what is
left of a way.

Its own 0.5, 2, 1 and 1.25 become so dear so soon that of two nets that both are too slow elsewhere
neither ever gives way: they change places round after round. What `--router2-alt-weights` sets (5,
0, 0.5 and 1) takes hundreds of rounds more, and where wires are scarce, as in the 64 x 8 engine, it
does not end.
"""

STALLED_ROUNDS = 100
"""Without any progress, after which none is to be expected."""

_ROUND = re.compile(r"\biter=\d+ wires=\d+ overused=(\d+) overuse=\d+ tmgfail=(\d+)\b")


def stalls(log: str) -> bool:
    """Whether the last `STALLED_ROUNDS` rounds in the router's log left no fewer wires shared and
    paths too slow, added up, than an earlier one did."""
    left = [int(shared) + int(slow) for shared, slow in _ROUND.findall(log)]
    return no_progress(left, STALLED_ROUNDS)


def no_progress(left: list[int], rounds: int) -> bool:
    """Whether none of the last ``rounds`` entries is below all earlier ones; 0 is done."""
    before, since = left[:-rounds], left[-rounds:]
    return bool(before) and min(since) >= min(before) > 0
