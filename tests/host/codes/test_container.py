"""No cut and no flipped byte goes unnoticed, and no header gets a traceback."""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.host.codes.damage import json_values
from zipsgd.host.codes import container
from zipsgd.host.codes.container import PAGE, ContainerWriter, open_container, read_container
from zipsgd.host.errors import InputError

CONTENT = {"name": "example", "numbers": [1, 2.5, -3e-9]}
NUMBERS = np.arange(1000, dtype="<i8").reshape(50, 20) - 500
BYTES = np.arange(700, dtype=np.uint8).reshape(-1, 7)


def example() -> bytes:
    """Two arrays, written in turns, and one that is empty."""
    stream = io.BytesIO()
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "numbers": ("<i8", NUMBERS.shape),
        "empty": ("<f8", (0, 3)),
        "bytes": ("|u1", BYTES.shape),
    }
    writer = ContainerWriter(stream, CONTENT, shapes)
    writer.append("bytes", BYTES[:10])
    writer.append("numbers", NUMBERS[:33])
    writer.append("bytes", BYTES[10:])
    writer.append("numbers", np.asfortranarray(NUMBERS[33:]))
    writer.finish()
    return stream.getvalue()


PATH = Path("a.zsgd")


def refused(content: bytes) -> str:
    with pytest.raises(InputError) as caught:
        read_container(np.frombuffer(content, dtype=np.uint8), PATH)
    message = str(caught.value)
    assert message.startswith("a.zsgd") and "\n" not in message and len(message) < 600
    return message


def test_what_was_written_is_mapped_and_aligned(tmp_path: Path) -> None:
    path = tmp_path / "a.zsgd"
    path.write_bytes(example())
    content, arrays = open_container(path)
    assert content == CONTENT
    assert list(arrays) == ["numbers", "empty", "bytes"]
    assert np.array_equal(arrays["numbers"], NUMBERS)
    assert np.array_equal(arrays["bytes"], BYTES)
    assert arrays["empty"].shape == (0, 3)
    for array in arrays.values():
        assert not array.flags.writeable
        assert array.ctypes.data % PAGE == 0 and (not array.size or isinstance(array, np.memmap))


@pytest.mark.parametrize("block", [64, 4096, 1 << 20])
def test_blocks_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(container, "BLOCK_BYTES", block)
    path = tmp_path / "a.zsgd"
    path.write_bytes(example())
    assert np.array_equal(open_container(path)[1]["numbers"], NUMBERS)


def test_every_flipped_byte_is_found_and_its_place_named() -> None:
    whole, rng = example(), np.random.default_rng(0)
    for offset in range(len(whole)):
        damaged = bytearray(whole)
        damaged[offset] ^= 1 << int(rng.integers(8))
        message = refused(bytes(damaged))
        if found := re.search(r"bytes (\d+) to (\d+) are damaged", message):
            assert int(found[1]) <= offset <= int(found[2]), message
        else:  # in the magic, or a length that points past the end
            assert offset < 8 or re.search(r"ends at byte \d+ in its header", message)


def test_every_cut_is_found_and_its_place_named() -> None:
    whole = example()
    for size in range(1, len(whole)):
        message = refused(whole[:size])
        assert f"ends at byte {size} " in message
    assert "is not a packed data set" in refused(b"")


def test_what_follows_the_end_is_refused() -> None:
    message = refused(example() + b"\0")
    assert re.search(r"should end at byte (\d+) and goes on to byte", message)


def test_files_are_checked_too(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.zsgd", example()
    for content in (whole[:-1], whole[:-5000] + b"!" + whole[-4999:], b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.zsgd.*byte"):
            open_container(path)


def test_missing_files_and_directories(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match=r"cannot be read .* check the path"):
            open_container(path)


def with_header(header: Any, tail: bytes = b"", version: int = container.VERSION) -> bytes:
    """A file whose checksums are right, whatever the header says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text = text.ljust(-(-(20 + len(text)) // PAGE) * PAGE - 20)
    fields = struct.pack("<8sII", container.MAGIC, version, len(text))
    return fields + struct.pack("<I", zlib.crc32(fields + text)) + text + tail


def header(**changes: Any) -> dict[str, Any]:
    return {"arrays": [], "content": {}, "extensions": {}} | changes


EMPTY_TABLE = struct.pack("<I", 0)

NONSENSE = [
    (b"", "nonsense"),
    (b"[]", "nonsense"),
    (b"null", "nonsense"),
    (b"{", "nonsense"),
    (b"[" * 3000, "nonsense"),
    (b"\xff\xfe", "nonsense"),
    ({}, "nonsense"),
    (header(content=[]), "nonsense"),
    (header(content={"a": float("nan")}), "nonsense"),
    (header(extensions=1), "nonsense"),
    (header(arrays=None), "nonsense"),
    (header(arrays=[1]), "nonsense"),
    (header(arrays=[["a", "<i8"]]), "nonsense"),
    (header(arrays=[["a", "<i8", 4]]), "nonsense"),
    (header(arrays=[["a", "<i8", []]]), "nonsense"),
    (header(arrays=[["a", "<i8", [1, 1, 1, 1]]]), "nonsense"),
    (header(arrays=[["a", "|O8", [1]]]), "nonsense"),
    (header(arrays=[["a", ["<i8"], [1]]]), "nonsense"),
    (header(arrays=[[1, "<i8", [1]]]), "nonsense"),
    (header(arrays=[["a", "<i8", [-1]]]), "nonsense"),
    (header(arrays=[["a", "<i8", [1.0]]]), "nonsense"),
    (header(arrays=[["a", "<i8", [True]]]), "nonsense"),
    (header(arrays=[["a", "<i8", [2**47, 2**47]]]), "nonsense"),
    (header(arrays=[["a", "<i8", [2**60]]]), "nonsense"),
    (header(arrays=[["a", "|u1", [0]], ["a", "|u1", [0]]]), "nonsense"),
    (header(arrays=[["a", "<i8", [2**44]]]), "cut short"),
    (header(arrays=[["a", "<i8", [1]]]), "cut short"),
    (header(extensions={"unsigned codes": {}}), "needs unsigned codes, which this version"),
]


@pytest.mark.parametrize(("written", "message"), NONSENSE)
def test_a_header_that_lies_is_refused_before_anything_is_read(written: Any, message: str) -> None:
    assert message in refused(with_header(written, EMPTY_TABLE))


def test_another_version_is_refused() -> None:
    message = refused(with_header(header(), EMPTY_TABLE, version=2))
    assert "has version 2 (byte 8) and this program reads 1" in message


arrays = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from(["|u1", "<i8", "<f8", ">f8", "<c8"]),
    st.lists(st.integers(-1, 3) | st.integers(), max_size=4),
)


@settings(max_examples=200)
@given(
    written=json_values | st.builds(header, arrays=st.lists(arrays, max_size=3) | json_values),
    tail=st.binary(max_size=30),
)
def test_no_header_gets_a_traceback(written: Any, tail: bytes) -> None:
    try:
        read_container(np.frombuffer(with_header(written, tail), dtype=np.uint8), PATH)
    except InputError as fault:
        assert str(fault).startswith(str(PATH))


def test_arrays_must_be_complete_and_no_larger_than_announced() -> None:
    writer = ContainerWriter(io.BytesIO(), {}, {"a": ("|u1", (3,))})
    with pytest.raises(ValueError, match="a: 0 of 3 bytes written"):
        writer.finish()
    with pytest.raises(ValueError, match="more rows than announced"):
        writer.append("a", np.zeros(5000, dtype=np.uint8))
