"""``docs/link.md`` against the layouts that it is made from."""

from __future__ import annotations

from pathlib import Path

import pytest
from amaranth.lib import data

from zipsgd.hdl.link.frames import Reply, Request, byte_count, from_bytes, to_bytes
from zipsgd.host.manual.link import CHOICES, tables, update_page

PAGE = Path(__file__).parents[3] / "docs" / "link.md"


def test_page_is_up_to_date() -> None:
    """If not: ``python -m zipsgd.host.manual.link docs/link.md``."""
    page = PAGE.read_text(encoding="utf-8")
    assert update_page(page) == page
    assert all(f"| {command.value} | `{command.name}` |" in page for command in CHOICES["commands"])
    with pytest.raises(ValueError, match="0 places for its request"):
        update_page("")


def test_every_row_says_something() -> None:
    for table in tables().values():
        for row in table.splitlines()[2:]:
            assert row.rstrip("| ").endswith("."), row


def test_headers_are_bytes_and_back() -> None:
    assert (byte_count(Request), byte_count(Reply)) == (16, 11)
    raw = bytes(range(1, 17))
    header = from_bytes(Request, raw)
    assert (header.sequence, header.command) == (0x0605, 11)
    assert to_bytes(Request, {name: header[name] for name, _ in Request.as_shape()}) == raw
    with pytest.raises(ValueError, match="12 bits is not a whole number of bytes"):
        byte_count(data.StructLayout({"odd": 12}))
