# amaranth: UnusedElaboratable=no
"""`hdl.link` against `sim.link`."""

from __future__ import annotations

from pathlib import Path

import pytest

from hdl.link.frames import MAX_PAYLOAD
from hdl.link.link import Link, LocalCommands
from hdl.link.receiver import FrameBuffer, Receiver
from tests.hdl.bench_link import BUFFER_BYTES, IDENTITY
from tests.hdl.runner import over, simulate


@over(("4x2",))
def test_link(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(Link(IDENTITY, BUFFER_BYTES), "bench_link", geometry, simulator, tmp_path)


def test_what_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="does not hold a request of 1044"):
        Receiver(1024)
    with pytest.raises(ValueError, match="must be a power of two, not 5000"):
        FrameBuffer(5000)
    with pytest.raises(ValueError, match="identity of 1025 bytes does not fit"):
        LocalCommands(bytes(MAX_PAYLOAD + 1))
