"""The link's description as text: the tables of ``docs/link.md``.

``python -m zipsgd.host.manual.link docs/link.md`` brings the page up to date.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data

from zipsgd.hdl.contract.parameters import Parameters
from zipsgd.hdl.contract.protocol import Status
from zipsgd.hdl.link.frames import (
    Code,
    Command,
    DeviceStatus,
    LinkCounters,
    Reply,
    Request,
    identity_layout,
)

from .page import fill, markdown_table, update_file

LAYOUTS = {
    "request": Request,
    "reply": Reply,
    "device status": DeviceStatus,
    "link counters": LinkCounters,
    "engine status": Status,
}
CHOICES: dict[str, Any] = {"commands": Command, "codes": Code}


def update_page(page: str) -> str:
    """``page`` with its tables made anew; raises as `host.manual.page.fill`."""
    return fill(page, tables())


def tables() -> dict[str, str]:
    """Every table, in Markdown."""
    made = {name: layout_table(layout, members(layout)) for name, layout in LAYOUTS.items()}
    texts = members(identity_layout) | members(Parameters, "Parameters")
    made["identity"] = layout_table(identity_layout(), texts)
    for name, choices in CHOICES.items():
        texts = members(choices)
        rows = ((choice.value, f"`{choice.name}`", texts[choice.name]) for choice in choices)
        made[name] = markdown_table(("number", "name", "meaning"), rows)
    return made


def layout_table(layout: Any, texts: dict[str, str]) -> str:
    """The fields of a layout. Those that fill whole bytes have places in bytes, others in bits."""
    shape = data.Layout.cast(layout)
    whole = all(field.offset % 8 == field.width % 8 == 0 for _, field in shape)
    unit, size = ("byte", 8) if whole else ("bit", 1)
    rows = (
        (field.offset // size, Shape.cast(field.shape).width // size, f"`{name}`", texts[name])
        for name, field in shape
    )
    return markdown_table((f"first {unit}", f"{unit}s", "field", "meaning"), rows)


def members(described: Any, title: str = "Members") -> dict[str, str]:
    """The texts of a section of a docstring, by their names."""
    doc = inspect.getdoc(described) or ""
    section = doc.partition(f"{title}\n{'-' * len(title)}\n")[2]
    texts: dict[str, str] = {}
    for entry in re.findall(r"^(\S.*)\n?((?:\n? +.*)*)", section, re.MULTILINE):
        head, body = entry
        text = " ".join(body.split()) or head.partition(" : ")[2] + "."
        for name in head.partition(" : ")[0].split(", "):
            texts[name] = _plain(text)
    return texts


def _plain(text: str) -> str:
    """Markdown for what docstrings mark up."""
    text = text.replace("``", "`")
    return re.sub(r"`(?:[\w]+\.)+(\w+)`", r"`\1`", text)


if __name__ == "__main__":
    update_file(update_page)
