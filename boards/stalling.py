"""See from its log that nextpnr's router2 makes no progress.

Where wires are scarce it may go on for ever: two nets change places round after round.
"""

from __future__ import annotations

import re

from .ecp5.negotiation import no_progress

ICE40_ROUNDS = 500
"""Without any progress, after which none is to be expected: half a minute.

A router that ended after 210 rounds spent 50 of them on its last two wires; another was at 13,000
with as many.
"""

_SHARED = re.compile(r"\biter=\d+ wires=\d+ overused=(\d+) overuse=\d+ archfail\b")


def ice40_stalls(log: str) -> bool:
    """Whether the last `ICE40_ROUNDS` rounds in the router's log left no fewer wires shared."""
    return no_progress([int(shared) for shared in _SHARED.findall(log)], ICE40_ROUNDS)
