"""Render the register map as the tables of ``docs/axi.md``.

``python -m zipsgd.host.manual.axi docs/axi.md`` brings the page up to date.
"""

from __future__ import annotations

from amaranth.hdl import Shape
from amaranth.lib.wiring import In

from zipsgd.hdl.axi.engine import ports
from zipsgd.hdl.contract.config import EngineConfig

from .c_header import by_group
from .page import fill, markdown_table, update_file


def update_page(page: str) -> str:
    """Renew the tables of ``page`` for the default engine; raises as `host.manual.page.fill`."""
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
    for group, registers in by_group(config):
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


if __name__ == "__main__":
    update_file(update_page)
