"""Digest of a board's bitstream: that of its device, and of what stands around it."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.lib.source_digest import design_digest, sources_digest

FOLDER = Path(__file__).parent

AROUND = (
    *("description.py", "clocks.py", "top.py"),  # what the device is built into
    *("flows.py", "place_and_route.py", "targets.py", "ecp5/*.py"),  # passes of the tools
)
"""Files of this folder that make a bitstream of a device. A board's own file is not among them: of
what it says, the host is told the geometry, the clock rate and the memory."""

MAPS = "*.v"
"""Technology maps for the synthesis."""


def board_digest(config: EngineConfig) -> int:
    """Number a board's bitstream by all code that makes it, see
    `hdl.lib.source_digest.design_digest`."""
    return design_digest(config, _around())


@functools.cache
def _around() -> bytes:
    return around_digest(FOLDER)


def around_digest(folder: Path) -> bytes:
    """Digest of top and passes in ``folder``."""
    code = sources_digest(folder, (path for name in AROUND for path in folder.glob(name)))
    maps = b"".join(path.read_bytes() for path in sorted(folder.glob(MAPS)))
    return hashlib.sha256(code + maps).digest()
