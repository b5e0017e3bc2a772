"""Pages of the manual whose tables are made from the gateware's own descriptions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any


def fill(page: str, tables: Mapping[str, str]) -> str:
    """``page`` with its tables made anew.

    A table stands between the comments ``<!-- name -->`` and ``<!-- end -->``.

    Raises
    ------
    ValueError
        If a table has no place on the page.
    """
    for name, table in tables.items():
        begin = f"<!-- {name} -->\n"
        if page.count(begin) != 1:
            raise ValueError(f"the page has {page.count(begin)} places for its {name}; it needs 1")
        before, rest = page.split(begin)
        page = before + begin + table + rest[rest.index("<!-- end -->") :]
    return page


def markdown_table(head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """A table in Markdown."""
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def update_file(update: Callable[[str], str]) -> None:
    """Bring the page that the command line names up to date."""
    target = Path(sys.argv[1])
    target.write_text(update(target.read_text(encoding="utf-8")), encoding="utf-8")
