"""The bytes of a file: opened, decompressed within bounds, and cut into pieces of whole lines."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from ..errors import InputError
from .checks import one_line
from .gather import Guarded, temporary_file

SUFFIXES = (".gz", ".bz2", ".xz")
FORMATS: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
"""First bytes of a compressed file, and what decompresses it."""

PIECE_BYTES = 1 << 22
"""Bytes of text that are parsed at a time."""

MAX_LINE_BYTES = 1 << 26

DAMAGE = (
    EOFError,
    OSError,
    MemoryError,
    RuntimeError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the libraries raise on an archive that is damaged, cut short or encrypted."""


@dataclass(frozen=True, eq=False)
class Source:
    """An open file.

    Parameters
    ----------
    name : str
        As the user wrote it.
    stream : BinaryIO
        Decompressed, buffered, at the start.
    size : int
        Bytes on disk.
    compressed : bool
    opened : ExitStack
        What to close in the end.
    raw : BinaryIO
        The file as it is on disk.
    """

    name: str
    stream: BinaryIO
    size: int
    compressed: bool
    opened: ExitStack
    raw: BinaryIO

    @property
    def suffix(self) -> str:
        """Of the file, without that of its compression."""
        path = Path(self.name)
        return (path.with_suffix("") if path.suffix in SUFFIXES else path).suffix.lower()

    def peek(self, size: int) -> bytes:
        """The next bytes, which stay to be read; fewer if there are fewer."""
        with damage_of(self.name, self.raw):
            return cast(io.BufferedReader, self.stream).peek(size)[:size]

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Number of the first line, from 1, and bytes of pieces that end where a line does."""
        line_number, rest = 1, b""
        while True:
            with damage_of(self.name, self.raw):
                content = self.stream.read(PIECE_BYTES)
            end = content.rfind(b"\n") + 1
            if content and not end:
                rest += content
                if len(rest) > MAX_LINE_BYTES:
                    raise InputError(
                        f"{self.name}:{line_number}: a line has more than {MAX_LINE_BYTES} bytes; "
                        "give one sample a line"
                    )
                continue
            piece = rest + content[:end]
            rest = content[end:]
            if piece:
                yield line_number, piece
            line_number += piece.count(b"\n")
            if not content:
                return

    def seekable(self) -> IO[bytes]:
        """The content as a file that can be read in any order; a temporary one if compressed."""
        if not self.compressed:
            return self.stream
        file = self.opened.enter_context(temporary_file(self.name, self.size))
        with damage_of(self.name, self.raw):
            shutil.copyfileobj(self.stream, file)
        file.seek(0)
        return file


@contextmanager
def open_source(name: str) -> Iterator[Source]:
    """Open a file, decompressed by its first bytes.

    Raises
    ------
    InputError
        If it cannot be read or is empty.
    """
    with ExitStack() as opened:
        try:
            raw = opened.enter_context(Path(name).open("rb"))
            size = Path(name).stat().st_size
        except FileNotFoundError as fault:
            raise InputError(f"{name}: there is no such file; check the path") from fault
        except IsADirectoryError as fault:
            raise InputError(f"{name} is a directory; name a file in it") from fault
        except (OSError, ValueError) as fault:
            raise InputError(f"{name} cannot be read ({fault}); check the path") from fault
        start = raw.peek(6)
        found = [decompress for magic, decompress in FORMATS.items() if start.startswith(magic)]
        stream: BinaryIO = raw
        if found:
            content = opened.enter_context(found[0](raw))
            stream = opened.enter_context(
                cast(BinaryIO, io.BufferedReader(Guarded(name, content, size), 1 << 16))
            )
        source = Source(name, stream, size, bool(found), opened, raw)
        if not source.peek(1):
            raise InputError(f"{name} is empty; give it at least two samples")
        yield source


@contextmanager
def damage_of(where: str, read: IO[bytes]) -> Iterator[None]:
    """What the libraries raise on damage becomes one sentence; ``read`` is what they read."""
    try:
        yield
    except DAMAGE as fault:
        raise damaged(where, fault, read.tell()) from fault


def damaged(where: str, fault: Exception, stop: int) -> InputError:
    """The sentence on a file that a library, having read ``stop`` bytes, cannot make sense of."""
    reason = one_line(str(fault))[:200]
    return InputError(
        f"{where} is damaged or cut short before byte {stop} ({reason}); fetch or save it again"
    )
