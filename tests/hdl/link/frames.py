"""Random frames."""

from __future__ import annotations

import numpy as np

LENGTHS = (0, 1, 2, 253, 254, 255, 508, 509)
"""Where blocks of COBS end, and around."""


def random_frame(rng: np.random.Generator) -> bytes:
    """Bytes with no, few, many or only zeros; many of a length at which COBS begins a block."""
    length = int(rng.choice(LENGTHS)) if rng.random() < 0.5 else int(rng.integers(64))
    zeros = rng.choice([0.0, 0.01, 0.5, 1.0])
    values = rng.integers(1, 256, length)
    return bytes(np.where(rng.random(length) < zeros, 0, values).astype(np.uint8))
