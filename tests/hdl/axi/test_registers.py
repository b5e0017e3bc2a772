"""The register map of `hdl.axi`."""

from __future__ import annotations

from dataclasses import replace

import pytest
from amaranth.hdl import Shape

from tests.geometries import GEOMETRIES
from zipsgd.hdl.axi.registers import (
    ADDRESS_BITS,
    DIGEST,
    GROUP_BYTES,
    GROUPS,
    WORD_BYTES,
    Register,
    register_map,
)
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.protocol import epoch_layout, job_layout


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
    everywhere = {(r.full_name, r.address) for r in register_map(EngineConfig())}
    assert {(r.full_name, r.address) for r in registers} <= everywhere
    digests = {r.value for r in (*registers, *register_map(EngineConfig())) if r.name == DIGEST}
    assert len(digests) == 1


def test_a_field_wider_than_a_register_is_refused() -> None:
    wide = replace(EngineConfig(), coefficient_bits=24)
    with pytest.raises(ValueError, match="the epoch's correction has 36 bits and a register 32"):
        register_map(wide)


def test_no_field_is_signed() -> None:
    """The bus refuses a value by the bits above its width."""
    config = EngineConfig()
    for layout in (job_layout(config), epoch_layout(config)):
        assert not any(Shape.cast(field.shape).signed for _, field in layout)
