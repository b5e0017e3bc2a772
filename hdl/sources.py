"""Source texts, of which comments and docstrings do not count."""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path


def sources_digest(folder: Path, paths: Iterable[Path]) -> bytes:
    """Digest of the names, below ``folder``, and of the code of Python files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(code(path.read_text(encoding="utf-8")).encode() + b"\0")
    return digest.digest()


def code(text: str) -> str:
    """``text`` without comments, strings that are statements, blank lines and trailing blanks.

    Made of the text itself, so that it is the same for every version of Python.
    """
    lines = text.splitlines()
    for (first, begin), (last, end) in sorted(_passive(text), reverse=True):
        before, after = lines[first - 1][:begin], lines[last - 1][end:]
        lines[first - 1 : last] = [before + after]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _passive(text: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where comments and strings that are statements begin and end: line and character."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start, token.end
    lines = text.splitlines()
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
