"""`hdl.axi`: the register map, and the page and header that are made from it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Shape

from hdl.axi.registers import (
    ADDRESS_BITS,
    GROUP_BYTES,
    GROUPS,
    WORD_BYTES,
    Register,
    register_map,
)
from hdl.axi.render import c_header, update_page
from hdl.config import EngineConfig
from hdl.protocol import epoch_layout, job_layout
from tests.geometries import GEOMETRIES

PAGE = Path(__file__).parents[2] / "docs" / "axi.md"
C_FLAGS = ("-x", "c", "-std=c99", "-Wall", "-Werror", "-fsyntax-only", "-")


def words(registers: tuple[Register, ...]) -> list[int]:
    return [r.address + WORD_BYTES * word for r in registers for word in range(r.words)]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_addresses_are_apart_and_the_same_for_every_engine(geometry: str) -> None:
    registers = register_map(GEOMETRIES[geometry])
    addresses = words(registers)
    assert addresses == sorted(set(addresses))
    assert addresses[-1] < 1 << ADDRESS_BITS
    for register in registers:
        last = register.address + WORD_BYTES * register.words - 1
        assert GROUPS[register.address // GROUP_BYTES] == register.group
        assert GROUPS[last // GROUP_BYTES] == register.group
        assert register.words == 1 or register.access == "read"
    names = [(r.full_name, r.address) for r in register_map(EngineConfig())]
    assert [(r.full_name, r.address) for r in registers] == names


def test_a_field_wider_than_a_register_is_refused() -> None:
    wide = replace(EngineConfig(), coefficient_bits=24)
    with pytest.raises(ValueError, match="the epoch's correction has 36 bits and a register 32"):
        register_map(wide)


def test_no_field_is_signed() -> None:
    """The bus refuses a value by the bits above its width."""
    config = EngineConfig()
    for layout in (job_layout(config), epoch_layout(config)):
        assert not any(Shape.cast(field.shape).signed for _, field in layout)


def test_page_is_up_to_date() -> None:
    """If not: ``python -m hdl.axi.render docs/axi.md``."""
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
