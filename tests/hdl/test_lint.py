"""Verilator's ``-Wall`` is silent over the Verilog, but for the waivers of `hdl/lib/lint.vlt`."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from amaranth.lib import wiring

from tests.geometries import GEOMETRIES
from zipsgd.hdl.axi.engine import AxiEngine
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.presets import ENGINES
from zipsgd.hdl.device.device import BlockDevice
from zipsgd.hdl.engine.engine import Engine
from zipsgd.hdl.lib.verilog import WAIVERS, to_verilog
from zipsgd.hdl.link.uart import Uart
from zipsgd.sim.build import find_verilator

CLOCK_HZ = 48_000_000
GEOMETRY = "16x1"
"""Small, and what is waived occurs in it."""

CONFIGS = {name: GEOMETRIES[name] for name in (GEOMETRY, "small")} | {"rapid": ENGINES["rapid"]}
"""One with every part, one with few, and one with its wide wires cut."""

INTERFACES: dict[str, Callable[[EngineConfig], wiring.Component]] = {
    "streams": Engine,
    "axi-stream": AxiEngine,
    "device": lambda config: BlockDevice(config, memory_bytes=4096, clock_hz=CLOCK_HZ),
    "uart": lambda config: Uart(CLOCK_HZ, CLOCK_HZ // 16),
}


@functools.cache
def verilog(interface: str, geometry: str = GEOMETRY) -> str:
    return to_verilog(INTERFACES[interface](CONFIGS[geometry]), "engine_top")


def lint(text: str, folder: Path, *waivers: Path, top: str = "engine_top") -> list[str]:
    """The kinds of warnings, each as often as it occurs."""
    path, root = folder / "engine.v", find_verilator()
    path.write_text(text, encoding="utf-8")
    verilator = str(root / "bin" / "verilator_bin")
    done = subprocess.run(
        [verilator, "--lint-only", "-Wall", "--top-module", top, *waivers, path],
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.findall(r"^%(?:Warning|Error)-(\w+)", done.stderr, re.MULTILINE)
    assert bool(done.returncode) == bool(found), done.stderr
    return found


@pytest.mark.parametrize("geometry", CONFIGS)
@pytest.mark.parametrize("interface", INTERFACES)
def test_no_warnings(interface: str, geometry: str, tmp_path: Path) -> None:
    assert lint(verilog(interface, geometry), tmp_path, WAIVERS) == []


def test_every_waiver_is_needed(tmp_path: Path) -> None:
    waived = re.findall(r"^lint_off -rule (\w+) .*-match", WAIVERS.read_text(), re.MULTILINE)
    assert set(waived) == set(lint(verilog("axi-stream"), tmp_path))


def test_waivers_leave_the_rest(tmp_path: Path) -> None:
    """A value that is cut and a wire that nothing drives are still seen."""
    faults = """
  wire [1:0] cut = 3'd5;
  wire undriven;
  wire read = undriven & cut[0];
endmodule"""
    text = verilog("streams").replace("\nendmodule", faults, 1)
    assert set(lint(text, tmp_path, WAIVERS)) == {"WIDTHTRUNC", "UNDRIVEN"}
