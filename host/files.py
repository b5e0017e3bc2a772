"""Output files that are either complete or not there."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from .errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` when the block ends without an exception.

    Open it before a long computation: a path that cannot be written is an error here.

    Raises
    ------
    InputError
        If there is no such directory, or it or an existing file cannot be written.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise InputError(f"{path} is not a regular file; name a file to write")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        stream = temporary.open("xb")
    except OSError as fault:
        raise InputError(
            f"{path} cannot be written ({fault.strerror}); name a file in a directory that can"
        ) from fault
    try:
        with stream:
            yield stream
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """A text file that others may read line by line while it is written.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    try:
        stream = path.open("w", encoding="utf-8", buffering=1)
    except OSError as fault:
        raise InputError(
            f"{path} cannot be written ({fault.strerror}); name a file in a directory that can"
        ) from fault
    with stream:
        yield stream
