"""Digests of source code, in which comments and docstrings do not count.

A design is found by `design_digest`: a bitstream says its own to the host, and what is compiled for
simulation is kept under it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..contract.config import EngineConfig

DIGEST_BITS = 64

GATEWARE = Path(__file__).parents[1]
"""Folder of the gateware, which is all of the code that makes a design's Verilog."""

NAMES_ALONE = ("contract/presets.py",)
"""Files of that folder that only give names to configurations."""


def design_digest(config: EngineConfig, around: bytes = b"") -> int:
    """Number a design by the code of its gateware and its geometry.

    Other code is another design, even if it does the same: a bitstream and a host with equal
    digests are of one version.

    Parameters
    ----------
    config : EngineConfig
    around : bytes
        Digest of code that makes the rest of a bitstream, such as a board's top.

    Returns
    -------
    int
        `DIGEST_BITS` bits.
    """
    whole = hashlib.sha256(_gateware() + repr(config).encode() + around).digest()
    return int.from_bytes(whole[: DIGEST_BITS // 8], "little")


@functools.cache
def _gateware() -> bytes:
    return sources_digest(GATEWARE, gateware_files(GATEWARE))


def gateware_files(folder: Path) -> list[Path]:
    """List the Python files at any depth of ``folder`` that a design is made of."""
    named = {folder / name for name in NAMES_ALONE}
    return [path for path in folder.rglob("*.py") if path not in named]


def sources_digest(folder: Path, paths: Iterable[Path]) -> bytes:
    """Digest of the names, below ``folder``, and of the code of Python files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(code(path.read_text(encoding="utf-8")).encode() + b"\0")
    return digest.digest()


@functools.lru_cache(maxsize=256)
def code(text: str) -> str:
    """``text`` without comments, strings that are statements, blank lines and trailing blanks.

    Made of the text itself, so that it is the same for every version of Python.
    """
    inside = _ends_inside(text)
    lines = [(line, number in inside) for number, line in enumerate(text.split("\n"), 1)]
    for (first, begin), (last, end) in sorted(_passive(text), reverse=True):
        (before, _), (after, open_end) = lines[first - 1], lines[last - 1]
        lines[first - 1 : last] = [(before[:begin] + after[end:], open_end)]
    kept, open_begin = [], False
    for line, open_end in lines:
        if line.strip() or open_begin or open_end:
            kept.append(line if open_end else line.rstrip())
        open_begin = open_end
    return "\n".join(kept)


def _ends_inside(text: str) -> set[int]:
    """Lines of which the end is inside a string: there blanks count."""
    found: set[int] = set()
    begun: list[int] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        name = tokenize.tok_name[token.type]  # Python 3.12 has several tokens of an f-string
        if name == "STRING":
            found.update(range(token.start[0], token.end[0]))
        elif name == "FSTRING_START":
            begun.append(token.start[0])
        elif name == "FSTRING_END":
            found.update(range(begun.pop(), token.end[0]))
    return found


def _passive(text: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where comments and strings that are statements begin and end: line and character."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start, token.end
    lines = text.split("\n")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
            continue
        if isinstance(node.value.value, str) and node.end_lineno and node.end_col_offset:
            yield (
                (node.lineno, _characters(lines[node.lineno - 1], node.col_offset)),
                (node.end_lineno, _characters(lines[node.end_lineno - 1], node.end_col_offset)),
            )


def _characters(line: str, count: int) -> int:
    """``ast`` counts bytes of UTF-8."""
    return len(line.encode()[:count].decode())
