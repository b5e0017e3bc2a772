# amaranth: UnusedElaboratable=no
"""`hdl.lib.gearbox` against a list of the narrower words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.hdl.runner import SIMULATORS, simulate
from zipsgd.hdl.lib.gearbox import Gearbox

WIDTHS = [(16, 64), (24, 8)]


@pytest.mark.parametrize("simulator", SIMULATORS[-1:])
@pytest.mark.parametrize(("width_in", "width_out"), WIDTHS)
def test_gearbox(width_in: int, width_out: int, simulator: str, tmp_path: Path) -> None:
    widths: dict[str, Any] = {"width_in": width_in, "width_out": width_out}
    gearbox = Gearbox(width_in, width_out)
    simulate(gearbox, "hdl.lib.bench_gearbox", "4x2", simulator, tmp_path, **widths)


def test_widths_are_multiples() -> None:
    with pytest.raises(ValueError, match="from 24 to 16 bits is impossible; one width must be"):
        Gearbox(24, 16)
