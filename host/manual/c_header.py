"""Render the register map as a C header."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

from zipsgd.hdl.axi.lite import Response
from zipsgd.hdl.axi.registers import Register, register_map
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.job import Loss, Mode
from zipsgd.hdl.contract.protocol import Error

GUARD = "ZIPSGD_AXI_H"


def c_header(config: EngineConfig) -> str:
    """Addresses, widths and named values as macros, for C, C++ and assemblers."""
    lines = [
        "/* Registers of the zipsgd engine's AXI4-Lite port: byte offsets from its base address.",
        "   Written by `zipsgd elaborate`. A value wider than 32 bits goes on at the next offsets,",
        "   its low word first. */",
        f"#ifndef {GUARD}",
        f"#define {GUARD}",
    ]
    for _, registers in by_group(config):
        lines.append("")
        for register in registers:
            name = f"ZIPSGD_{register.full_name}".upper()
            lines.append(f"#define {name} {register.address:#05x} /* {register.bits} bits */")
            if register.value is not None:
                lines.append(f"#define {name}_VALUE {register.value:#x}")
    named: tuple[Any, ...] = (Mode, Loss, Error, Response)
    for choices in named:
        prefix = f"ZIPSGD_{choices.__name__}".upper()
        lines += ["", *(f"#define {prefix}_{choice.name} {choice.value}" for choice in choices)]
    return "\n".join([*lines, "", "#endif", ""])


def by_group(config: EngineConfig) -> Iterable[tuple[str, Iterable[Register]]]:
    """Registers of each group, in order of addresses."""
    return groupby(register_map(config), attrgetter("group"))
