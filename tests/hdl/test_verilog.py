"""`hdl.verilog`: the same text in every run, with the ports that others rely on."""

from __future__ import annotations

import re
import subprocess
import sys

from hdl.engine import Engine
from hdl.verilog import to_verilog
from tests.geometries import GEOMETRIES

STREAMS = ("job", "epochs", "beats", "margins", "model_in", "model_out")
PORTS = {
    *("clk", "rst", "status"),
    *(f"{stream}__{part}" for stream in STREAMS for part in ("payload", "valid", "ready")),
}
PRINT_IT = """
import sys
from hdl.engine import Engine
from hdl.verilog import to_verilog
from tests.geometries import GEOMETRIES
sys.stdout.write(to_verilog(Engine(GEOMETRIES["4x2"]), "engine"))
"""


def test_ports() -> None:
    verilog = to_verilog(Engine(GEOMETRIES["4x2"]), "engine")
    found = re.search(r"^module engine\((.*?)\);", verilog, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert {port.strip() for port in found[1].split(",")} == PORTS


def test_same_text_in_every_run() -> None:
    """In another process, whose hashes are seeded otherwise; and no source locations."""
    here = to_verilog(Engine(GEOMETRIES["4x2"]), "engine")
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", PRINT_IT]
    there = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert there.stdout == here
    assert ".py" not in here
