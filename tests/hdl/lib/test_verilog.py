"""`hdl.lib.verilog`: the same text in every run, with the ports that others rely on."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.geometries import GEOMETRIES
from zipsgd.hdl.axi.engine import AxiEngine
from zipsgd.hdl.engine.engine import Engine
from zipsgd.hdl.lib.verilog import to_verilog

STREAMS = ("job", "epochs", "beats", "margins", "model_in", "model_out")
PORTS = {
    *("clk", "rst", "status", "cancel"),
    *(f"{stream}__{part}" for stream in STREAMS for part in ("payload", "valid", "ready")),
}
AXI_PORTS = {
    *("aclk", "aresetn", "irq"),
    *(f"s_axi_aw{part}" for part in ("addr", "prot", "valid", "ready")),
    *(f"s_axi_w{part}" for part in ("data", "strb", "valid", "ready")),
    *(f"s_axi_b{part}" for part in ("resp", "valid", "ready")),
    *(f"s_axi_ar{part}" for part in ("addr", "prot", "valid", "ready")),
    *(f"s_axi_r{part}" for part in ("data", "resp", "valid", "ready")),
    *(f"s_axis_{s}_t{part}" for s in ("beats", "model") for part in ("data", "valid", "ready")),
    *(f"m_axis_{s}_t{part}" for s in ("model", "margins") for part in ("data", "valid", "ready")),
    *("m_axis_model_tlast", "m_axis_margins_tlast"),
}
PRINT_IT = """
import sys
from zipsgd.hdl.axi.engine import AxiEngine
from zipsgd.hdl.lib.verilog import to_verilog
from tests.geometries import GEOMETRIES
sys.stdout.write(to_verilog(AxiEngine(GEOMETRIES["4x2"]), "engine"))
"""


@pytest.mark.parametrize(("kind", "ports"), [(Engine, PORTS), (AxiEngine, AXI_PORTS)])
def test_ports(kind: type[Engine] | type[AxiEngine], ports: set[str]) -> None:
    verilog = to_verilog(kind(GEOMETRIES["4x2"]), "engine")
    found = re.search(r"^module engine\((.*?)\);", verilog, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert {port.strip() for port in found[1].split(",")} == ports


def test_same_text_in_every_run() -> None:
    """In another process, whose hashes are seeded otherwise; and no source locations."""
    here = to_verilog(AxiEngine(GEOMETRIES["4x2"]), "engine")
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", PRINT_IT]
    there = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert there.stdout == here
    assert ".py" not in here
