"""Page and C header that are made from the register map."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.geometries import GEOMETRIES
from zipsgd.hdl.axi.registers import register_map
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.host.manual.axi import update_page
from zipsgd.host.manual.c_header import c_header

PAGE = Path(__file__).parents[3] / "docs" / "axi.md"
C_FLAGS = ("-x", "c", "-std=c99", "-Wall", "-Werror", "-fsyntax-only", "-")


def test_page_is_up_to_date() -> None:
    """If not: ``python -m zipsgd.host.manual.axi docs/axi.md``."""
    page = PAGE.read_text(encoding="utf-8")
    assert update_page(page) == page
    assert page.count("| `") > len(register_map(EngineConfig()))


def test_header_is_c_with_every_address() -> None:
    config = GEOMETRIES["narrow"]
    header = c_header(config)
    subprocess.run(["g++", *C_FLAGS], input=header * 2, text=True, check=True, timeout=60)
    macros = dict(re.findall(r"#define (\w+) (\w+)", header))
    for register in register_map(config):
        name = f"ZIPSGD_{register.full_name}".upper()
        assert int(macros[name], 16) == register.address
        if register.value is not None:
            assert int(macros[f"{name}_VALUE"], 16) == register.value
    assert macros["ZIPSGD_MODE_DUMP"] == "2"
    assert macros["ZIPSGD_ERROR_REPLAY"] == "2"
