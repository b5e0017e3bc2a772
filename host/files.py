"""Output files that are either complete or not there."""

from __future__ import annotations

import contextlib
import fcntl
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from .errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` when the block ends without an exception.

    Open it before a long computation: a path that cannot be written is an error here. What a
    process that was killed in such a block has left beside ``path`` is removed.

    Raises
    ------
    InputError
        If there is no such directory, or it or an existing file cannot be written.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise InputError(f"{path} is not a regular file; name a file to write")
    try:
        remove_abandoned(target.parent, target.name)
        temporary, stream = _locked_temporary(target)
    except OSError as fault:
        raise InputError(
            f"{path} cannot be written ({fault.strerror}); name a file in a directory that can"
        ) from fault
    try:
        with stream:
            yield stream
            stream.flush()
            temporary.replace(target)  # while it is locked: nobody takes it for abandoned
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_distinct(files: dict[str, Path | None]) -> None:
    """Raise `InputError` if two files, by the options that name them, are the same one."""
    seen: dict[Path, str] = {}
    for option, path in files.items():
        if path is None:
            continue
        first = seen.setdefault(path.resolve(), option)
        if first != option:
            raise InputError(f"{first} and {option} name the same file, {path}; name another")


def remove_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files of ``name``, or of every name, that no process writes any more.

    Whoever writes one holds a lock on it, which ends with the process however that ends.
    """
    ours = re.compile(rf"\.{'.+' if name is None else re.escape(name)}\.[0-9a-f]{{8}}\.tmp")
    for path in folder.iterdir():
        if ours.fullmatch(path.name):
            with contextlib.suppress(OSError), path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _locked_temporary(target: Path) -> tuple[Path, BinaryIO]:
    """A new file beside ``target`` that this process has locked."""
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
        stream = path.open("xb")
        fcntl.flock(stream, fcntl.LOCK_EX)
        if path.exists():  # not taken for abandoned before the lock
            return path, stream
        stream.close()


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
