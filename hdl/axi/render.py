"""The register map as text: tables of ``docs/axi.md`` and a C header.

``python -m hdl.axi.render docs/axi.md`` brings the page up to date.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib.wiring import In

from ..config import EngineConfig
from ..job import Loss, Mode
from ..page import fill, markdown_table, update_file
from ..protocol import Error
from .engine import ports
from .lite import Response
from .registers import Register, register_map

GUARD = "ZIPSGD_AXI_H"


def update_page(page: str) -> str:
    """``page`` with its tables made anew, for the default engine; raises as `hdl.page.fill`."""
    config = EngineConfig()
    return fill(page, {"ports": ports_table(config), "registers": registers_table(config)})


def ports_table(config: EngineConfig) -> str:
    """Every port, as a table in Markdown."""
    return markdown_table(
        ("port", "direction", "bits"),
        (
            (f"`{name}`", "in" if member.flow == In else "out", Shape.cast(member.shape).width)
            for name, member in ports(config).items()
        ),
    )


def registers_table(config: EngineConfig) -> str:
    """Every register, as a table in Markdown for each group."""
    parts = []
    for group, registers in _groups(config):
        parts.append(f"**{group}**\n")
        parts.append("| address | register | bits | access | meaning |")
        parts.append("| --- | --- | --- | --- | --- |")
        for register in registers:
            meaning = register.text
            if register.value is not None:
                shown = f"{register.value:#x}" if register.value >> 16 else str(register.value)
                meaning = f"{shown}. {meaning}"
            parts.append(
                f"| {register.address:#05x} | `{register.name}` | {register.bits} "
                f"| {register.access} | {meaning} |"
            )
        parts.append("")
    return "\n".join(parts)


def c_header(config: EngineConfig) -> str:
    """Addresses, widths and named values as macros, for C, C++ and assemblers."""
    lines = [
        "/* Registers of the zipsgd engine's AXI4-Lite port: byte offsets from its base address.",
        "   Written by `zipsgd elaborate`. A value wider than 32 bits goes on at the next offsets,",
        "   its low word first. */",
        f"#ifndef {GUARD}",
        f"#define {GUARD}",
    ]
    for _, registers in _groups(config):
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


def _groups(config: EngineConfig) -> Iterable[tuple[str, Iterable[Register]]]:
    return groupby(register_map(config), attrgetter("group"))


if __name__ == "__main__":
    update_file(update_page)
