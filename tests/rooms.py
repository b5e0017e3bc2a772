"""Rooms of the project: folders of modules, what each may import, how full they are.

``python -m tests.rooms`` prints modules and lines of each folder, as ``make lint`` does.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = "zipsgd"
PARTS = ("hdl", "host", "sim", "boards")
"""Folders that the package links to."""

MAY_IMPORT: dict[str, set[str]] = {
    "hdl/contract": set(),
    "hdl/lib": {"hdl/contract"},
    "hdl/engine": {"hdl/contract", "hdl/lib"},
    "hdl/memory": {"hdl/contract", "hdl/lib"},
    "hdl/memory/sdram": {"hdl/memory"},
    "hdl/link": {"hdl/contract", "hdl/lib"},
    "hdl/device": {"hdl/contract", "hdl/engine", "hdl/lib", "hdl/link", "hdl/memory"},
    "hdl/axi": {"hdl/contract", "hdl/engine"},
    "sim": {"hdl/contract", "hdl/device", "hdl/engine", "hdl/lib", "hdl/link", "hdl/memory"},
    "boards/ecp5": set(),
    "boards": {
        *("boards/ecp5", "hdl/contract", "hdl/device", "hdl/lib", "hdl/link", "hdl/memory"),
        *("hdl/memory/sdram", "sim"),
    },
    "host": set(),
    "host/data": {"host", "sim"},
    "host/options": {"hdl/contract", "host", "host/data"},
    "host/codes": {"hdl/contract", "host", "host/data", "host/options", "sim"},
    "host/devices/link": {"boards", "hdl/contract", "hdl/lib", "hdl/link", "host"},
    "host/devices": {
        *("boards", "hdl/contract", "hdl/device", "hdl/link", "hdl/memory", "sim"),
        *("host", "host/codes", "host/devices/link"),
    },
    "host/training": {
        *("hdl/contract", "sim"),
        *("host", "host/codes", "host/data", "host/devices", "host/options"),
    },
    "host/bench": {
        *("hdl/contract", "hdl/link", "hdl/memory", "sim", "host", "host/codes", "host/data"),
        *("host/devices", "host/options", "host/training"),
    },
    "host/manual": {"boards", "hdl/axi", "hdl/contract", "hdl/device", "hdl/link"},
    "host/cli": {
        *("boards", "hdl/axi", "hdl/contract", "hdl/engine", "hdl/lib", "sim"),
        *("host", "host/bench", "host/codes", "host/data", "host/devices", "host/manual"),
        *("host/options", "host/training"),
    },
}
"""Rooms, and the rooms that their modules may import beside their own; no more than they do."""


class Import(NamedTuple):
    """An import of one room in another."""

    path: str
    line: int
    source: str
    target: str


def modules() -> list[Path]:
    """List the modules of the package, as paths below `ROOT`."""
    found = (path.relative_to(ROOT) for part in PARTS for path in (ROOT / part).rglob("*.py"))
    return sorted(found)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def imports() -> Iterator[Import]:
    """Find every import of one room in another, also those inside of functions."""
    rooms = {dotted(path): path.parent.as_posix() for path in modules()}
    for path in modules():
        package = dotted(path) if path.name == "__init__.py" else dotted(path).rpartition(".")[0]
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ImportFrom):
                continue
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *base.split(".")])
                base = base.rstrip(".")
            for alias in node.names:
                target = rooms.get(f"{base}.{alias.name}", rooms.get(base))
                if target is not None and target != path.parent.as_posix():
                    source = path.parent.as_posix()
                    yield Import(path.as_posix(), node.lineno, source, target)


def dotted(path: Path) -> str:
    return f"{PACKAGE}." + ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def sizes(*tops: str) -> dict[str, list[int]]:
    """Lines of every module of each folder below ``tops``; ``__init__`` is a door, no module."""
    lines: dict[str, list[int]] = defaultdict(list)
    for top in tops:
        for path in sorted((ROOT / top).rglob("*.py")):
            if path.name != "__init__.py":
                text = path.read_text(encoding="utf-8")
                lines[path.parent.relative_to(ROOT).as_posix()].append(text.count("\n"))
    return dict(sorted(lines.items()))


def main() -> None:
    write = sys.stdout.write
    write(f"{'folder':26}{'modules':>8}{'lines':>8}{'longest':>9}\n")
    for folder, lines in sizes(*PARTS, "tests").items():
        write(f"{folder:26}{len(lines):8}{sum(lines):8}{max(lines):9}\n")


if __name__ == "__main__":
    main()
