"""A file of named arrays that are used where they lie, and in which no damage goes unnoticed.

    prefix   magic, version, bytes of the header text, CRC-32 of all of these and of the text
    text     JSON, padded with spaces; prefix and text are a multiple of ``PAGE`` bytes
    arrays   each padded with zeros to a multiple of ``PAGE`` bytes, so that it can be mapped
    table    CRC-32 of every ``BLOCK_BYTES`` of each padded array, then of the table itself

Integers are little-endian. Nothing states an offset: the arrays follow one another as the text
lists them. The checksums cover every byte, so every flipped byte and every cut is found.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

MAGIC = b"\x89ZSGD\r\n\x1a"
"""Not text, and damaged by whatever rewrites the ends of lines."""

VERSION = 1
PAGE = 4096
BLOCK_BYTES = 1 << 20
MAX_TEXT_BYTES = 1 << 24
TYPES = ("|u1", "<i8", "<f8")
"""Element types that an array may have."""

_FIELDS = struct.Struct("<8sII")
_SUM = struct.Struct("<I")
_PREFIX_BYTES = _FIELDS.size + _SUM.size

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Section:
    """Where an array lies, in bytes from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """Bytes without padding."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def stop(self) -> int:
        """End of the padding."""
        return self.start + _padded(self.size)

    @property
    def block_count(self) -> int:
        """Checksums that cover it."""
        return -(-(self.stop - self.start) // BLOCK_BYTES)

    @property
    def blocks(self) -> Iterator[tuple[int, int]]:
        """Start and end of what each checksum covers."""
        for start in range(self.start, self.stop, BLOCK_BYTES):
            yield start, min(start + BLOCK_BYTES, self.stop)


class ContainerWriter:
    """Writes a container front to back, but for arrays that may grow in turn.

    Parameters
    ----------
    stream : BinaryIO
        Empty, and seekable.
    content : dict
        What the arrays mean, for JSON.
    shapes : mapping of name to (element type, shape)
    """

    def __init__(
        self,
        stream: BinaryIO,
        content: dict[str, Any],
        shapes: Mapping[str, tuple[str, tuple[int, ...]]],
    ) -> None:
        self._stream = stream
        listed = [[name, dtype, list(shape)] for name, (dtype, shape) in shapes.items()]
        header = {"arrays": listed, "content": content, "extensions": {}}
        text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
        text = text.ljust(_padded(_PREFIX_BYTES + len(text)) - _PREFIX_BYTES)
        fields = _FIELDS.pack(MAGIC, VERSION, len(text))
        stream.write(fields + _SUM.pack(zlib.crc32(text, zlib.crc32(fields))) + text)
        found = _sections(listed, _PREFIX_BYTES + len(text))
        self._sections = {section.name: section for section in found}
        self._written = dict.fromkeys(self._sections, 0)
        self._sums = {name: [0] * part.block_count for name, part in self._sections.items()}

    def append(self, name: str, rows: NDArray[Any]) -> None:
        """The next rows of an array."""
        section = self._sections[name]
        self._put(section, np.ascontiguousarray(rows, dtype=section.dtype).tobytes())

    def finish(self) -> None:
        """Padding and checksums.

        Raises
        ------
        ValueError
            If an array is not complete.
        """
        for name, section in self._sections.items():
            if self._written[name] != section.size:
                raise ValueError(f"{name}: {self._written[name]} of {section.size} bytes written")
            self._put(section, bytes(_padded(section.size) - section.size))
        sums = [value for name in self._sections for value in self._sums[name]]
        table = b"".join(map(_SUM.pack, sums))
        self._stream.seek(0, 2)
        self._stream.write(table + _SUM.pack(zlib.crc32(table)))

    def _put(self, section: Section, content: bytes) -> None:
        done = self._written[section.name]
        if done + len(content) > _padded(section.size):
            raise ValueError(f"{section.name} has more rows than announced")
        self._stream.seek(section.start + done)
        self._stream.write(content)
        view, sums = memoryview(content), self._sums[section.name]
        while view:
            block, within = divmod(done, BLOCK_BYTES)
            part = view[: BLOCK_BYTES - within]
            sums[block] = zlib.crc32(part, sums[block])
            done, view = done + len(part), view[len(part) :]
        self._written[section.name] = done


def open_container(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The content and the arrays, mapped and read-only, once every byte is checked.

    Raises
    ------
    InputError
        If the file cannot be read, is not a container of this version, or is damaged: the message
        names the offset.
    """
    try:
        size = path.stat().st_size
        memory = np.memmap(path, np.uint8, "r", shape=(size,)) if size else np.empty(0, np.uint8)
    except OSError as fault:
        raise InputError(f"{path} cannot be read ({fault.strerror}); check the path") from fault
    return read_container(memory, path)


def read_container(
    memory: NDArray[np.uint8], path: Path
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The content and the arrays of the bytes of a file; raises as `open_container` does."""
    size = len(memory)
    prefix = memory[:_PREFIX_BYTES].tobytes()
    magic = prefix[: len(MAGIC)]
    if magic != MAGIC[: len(magic)] or not magic:
        raise InputError(
            f"{path} is not a packed data set (byte 0); make one with `zipsgd data pack`"
        )
    if len(prefix) < _PREFIX_BYTES:
        raise _cut(path, size, "in its prefix")
    _, version, length = _FIELDS.unpack_from(prefix)
    (expected,) = _SUM.unpack_from(prefix, _FIELDS.size)
    start = _PREFIX_BYTES + length
    if length > MAX_TEXT_BYTES or start % PAGE:
        raise _damage(path, _FIELDS.size - 4, _FIELDS.size, "the header's length is wrong")
    if size < start:
        raise _cut(path, size, f"in its header of {start} bytes")
    text = memory[_PREFIX_BYTES:start].tobytes()
    if zlib.crc32(text, zlib.crc32(prefix[: _FIELDS.size])) != expected:
        raise _damage(path, 0, start, "the header's checksum is wrong")
    if version != VERSION:
        raise InputError(
            f"{path} has version {version} (byte {len(MAGIC)}) and this program reads "
            f"{VERSION}; pack the data again"
        )
    content, sections = _header(path, text, start)
    end = sections[-1].stop if sections else start
    whole = end + _SUM.size * (sum(section.block_count for section in sections) + 1)
    if size < whole:
        raise _cut(path, size, f"and should have {whole} bytes")
    if size > whole:
        raise InputError(
            f"{path} should end at byte {whole} and goes on to byte {size}; copy it again"
        )
    table = memory[end:].tobytes()
    if zlib.crc32(table[: -_SUM.size]) != _SUM.unpack_from(table, len(table) - _SUM.size)[0]:
        raise _damage(path, end, size, "the checksum of the table of checksums is wrong")
    blocks = (block for section in sections for block in section.blocks)
    for (first, last), (value,) in zip(blocks, _SUM.iter_unpack(table), strict=False):
        if zlib.crc32(memory[first:last].data) != value:
            raise _damage(path, first, last, "a checksum is wrong")
    arrays = {
        part.name: memory[part.start : part.start + part.size]
        .view(np.dtype(part.dtype))
        .reshape(part.shape)
        for part in sections
    }
    return content, arrays


def _header(path: Path, text: bytes, start: int) -> tuple[dict[str, Any], list[Section]]:
    """The content, and where the arrays lie, if the text is that of a header."""
    try:
        header = json.loads(text, parse_constant=_not_finite)
        listed, content, extensions = (header[k] for k in ("arrays", "content", "extensions"))
        if not isinstance(content, dict) or not isinstance(extensions, dict):
            raise ValueError("content and extensions must be objects")
        sections = _sections(listed, start)
    except (KeyError, TypeError, ValueError, RecursionError) as fault:
        reason = " ".join(f"the header says nonsense ({fault!r})".split())[:200]
        raise _damage(path, _PREFIX_BYTES, start, reason) from fault
    if extensions:
        names = " ".join(", ".join(extensions).split())[:200]
        raise InputError(
            f"{path} needs {names}, which this version does not know; use a newer one, or pack the "
            "data again"
        )
    return content, sections


def _sections(listed: Any, start: int) -> list[Section]:
    """Raises `ValueError` or `TypeError` unless ``listed`` is a list of arrays."""
    sections: list[Section] = []
    for name, dtype, shape in listed:
        sizes = [size for size in shape if type(size) is int and 0 <= size < 1 << 48]
        if not isinstance(name, str) or dtype not in TYPES or not 1 <= len(shape) <= 3:
            raise ValueError(f"{name!r} is not an array of a known type")
        if len(sizes) != len(shape) or math.prod(sizes) >= 1 << 48:
            raise ValueError(f"{name!r} has an impossible shape")
        sections.append(Section(name, dtype, tuple(sizes), start))
        start = sections[-1].stop
    if len({section.name for section in sections}) != len(sections):
        raise ValueError("two arrays have the same name")
    return sections


def _padded(size: int) -> int:
    return -(-size // PAGE) * PAGE


def _damage(path: Path, start: int, stop: int, reason: str) -> InputError:
    return InputError(
        f"{path}: bytes {start} to {stop - 1} are damaged: {reason}; copy the file again or pack "
        "the data again"
    )


def _cut(path: Path, size: int, where: str) -> InputError:
    return InputError(
        f"{path} is cut short: it ends at byte {size} {where}; copy the file again or pack the "
        "data again"
    )


def _not_finite(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
