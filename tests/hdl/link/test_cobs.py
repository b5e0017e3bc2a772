"""`hdl.link.cobs` against the ``cobs`` package."""

from __future__ import annotations

from pathlib import Path

from tests.hdl.runner import over, simulate
from zipsgd.hdl.link.cobs import CobsDecoder, CobsEncoder


@over(("4x2",))
def test_decoder(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(CobsDecoder(), "hdl.link.bench_cobs_decoder", geometry, simulator, tmp_path)


@over(("4x2",))
def test_encoder(geometry: str, simulator: str, tmp_path: Path) -> None:
    simulate(CobsEncoder(), "hdl.link.bench_cobs_encoder", geometry, simulator, tmp_path)
