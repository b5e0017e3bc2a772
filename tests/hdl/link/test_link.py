# amaranth: UnusedElaboratable=no
"""`hdl.link` against `sim.link`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hdl.link.bench_link import BUFFER_BYTES, IDENTITY
from tests.hdl.runner import SIMULATORS, over, simulate
from zipsgd.hdl.link.checksum import BITS
from zipsgd.hdl.link.frames import MAX_PAYLOAD
from zipsgd.hdl.link.link import Link, LocalCommands
from zipsgd.hdl.link.receiver import FrameBuffer, Receiver


@over(("4x2",))
def test_link(geometry: str, simulator: str, tmp_path: Path) -> None:
    link = Link(IDENTITY, BUFFER_BYTES)
    simulate(link, "hdl.link.bench_link", geometry, simulator, tmp_path, byte_cycles=1)


@pytest.mark.parametrize("skid_buffers", (False, True), ids=("slow", "fast"))
@pytest.mark.parametrize("simulator", SIMULATORS[-1:])
def test_link_with_checksums_of_a_bit_at_a_time(
    simulator: str, skid_buffers: bool, tmp_path: Path
) -> None:
    link = Link(IDENTITY, BUFFER_BYTES, BITS + 1, skid_buffers=skid_buffers)
    simulate(link, "hdl.link.bench_link", "4x2", simulator, tmp_path, byte_cycles=BITS + 1)


def test_what_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="does not hold a request of 1044"):
        Receiver(1024)
    with pytest.raises(ValueError, match="must be a power of two, not 5000"):
        FrameBuffer(5000)
    with pytest.raises(ValueError, match="identity of 1025 bytes does not fit"):
        LocalCommands(bytes(MAX_PAYLOAD + 1))
