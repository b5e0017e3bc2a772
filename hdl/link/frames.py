"""Frames of the link: the one description that gateware, host and tests share.

A frame on the line is ``COBS(header | payload | CRC-32) 0x00``: the header is `Request` towards the
device and `Reply` from it, the CRC is that of Ethernet and zlib over header and payload, and
everything is little-endian. No other file knows an offset, a width or a number of these.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from amaranth.lib import crc, data, enum

from ..contract.config import EngineConfig
from ..contract.protocol import EPOCH_COUNT_BITS, Status
from ..lib.source_digest import DIGEST_BITS

MAGIC = int.from_bytes(b"ZSGL", "little")
PROTOCOL = 1
"""Version of this page; the first fields of the identity keep their places in every version."""

MAX_PAYLOAD = 1024
"""Most bytes of a payload: 96 to 98 in 100 bytes of an upload are data, and one lost bit costs a
kilobyte."""

CRC = crc.catalog.CRC32_ISO_HDLC
CRC_BYTES = 4
DELIMITER = 0
"""Ends a frame, and occurs nowhere in it."""

NO_SESSION = 0
"""The session of a device that has been reset: never chosen by a host."""

SESSION_BITS, SEQUENCE_BITS, LENGTH_BITS, ADDRESS_BITS = 32, 16, 16, 40
CONFIG_BITS = 32
"""Of a parameter of `EngineConfig` in the identity."""

LINK_COUNTER_BITS = 16
"""Of what the device counts; the fields that say it are wider."""

COMMAND_BITS = 8
"""Of commands and codes, which in a frame may be unknown ones."""


class Command(enum.IntEnum, shape=COMMAND_BITS):  # type: ignore[call-arg]
    """What a request asks for. Those that carry a payload take `Request.length` bytes, those that
    read answer with `Request.count` bytes, at most `MAX_PAYLOAD`.

    Members
    -------
    IDENTIFY
        Begin a session, if it is a new one, and answer with `identity_layout`.
    ECHO
        Answer with the payload.
    STATUS
        Answer with `DeviceStatus`.
    RESET
        Abandon the job and empty the queue of epochs; memory and session stay.
    WRITE_MEMORY
        Write the payload, whole words, to the sample memory from `Request.address` on.
    READ_MEMORY
        Read whole words and beats from the sample memory, from `Request.address` on.
    WRITE_MODEL
        The next words of the model, for a LOAD job that is under way.
    READ_MODEL
        The next words of the model, from a DUMP job that is under way; fewer if there are fewer.
    READ_MARGINS
        The next margins of a PREDICT job that is under way; fewer if there are fewer.
    WRITE_EPOCHS
        Append the payload's epochs (`epoch_item_layout`) to the queue.
    RUN
        Start the payload's job (`run_layout`); the answer does not wait for its end.
    """

    IDENTIFY = 0
    ECHO = 1
    STATUS = 2
    RESET = 3
    WRITE_MEMORY = 4
    READ_MEMORY = 5
    WRITE_MODEL = 6
    READ_MODEL = 7
    READ_MARGINS = 8
    WRITE_EPOCHS = 9
    RUN = 10


class Code(enum.IntEnum, shape=COMMAND_BITS):  # type: ignore[call-arg]
    """What became of a request. All but `OK` and `OUT_OF_ORDER` refuse it: then nothing has
    changed, and nothing that was sent after it is executed.

    Members
    -------
    OK
        Executed, once.
    OUT_OF_ORDER
        Not the next in sequence, and not the last: `Reply.expected` says which would be.
    NO_SESSION
        The device has been reset since the session began, or there was none.
    UNKNOWN
        There is no such command in this device.
    RANGE
        Address, count or length do not fit.
    BUSY
        A job is under way, or the queue of epochs is full.
    """

    OK = 0
    OUT_OF_ORDER = 1
    NO_SESSION = 2
    UNKNOWN = 3
    RANGE = 4
    BUSY = 5


class Request(data.Struct):
    """Header of a frame to the device.

    Members
    -------
    session : 32
        Number that the host drew when it connected, not `NO_SESSION`.
    sequence : 16
        Counts the session's requests from 0, which is IDENTIFY.
    length : 16
        Bytes of payload.
    count : 16
        Bytes that a reading command asks for.
    command : 8
        A `Command`; others are refused.
    address : 40
        Byte of the sample memory.
    """

    session: SESSION_BITS
    sequence: SEQUENCE_BITS
    length: LENGTH_BITS
    count: LENGTH_BITS
    command: COMMAND_BITS
    address: ADDRESS_BITS


class Reply(data.Struct):
    """Header of a frame from the device.

    Members
    -------
    session : 32
        Of the request.
    sequence : 16
        Of the request that is answered.
    expected : 16
        The next that will be executed: everything before it has been.
    length : 16
        Bytes of payload.
    code : 8
        A `Code`.
    """

    session: SESSION_BITS
    sequence: SEQUENCE_BITS
    expected: SEQUENCE_BITS
    length: LENGTH_BITS
    code: COMMAND_BITS


class FrameByte(data.Struct):
    """What moves between bytes of the line and frames.

    Members
    -------
    data : 8
        A byte of the frame, unless ``end``.
    end : 1
        The frame has ended; an item of its own.
    sound : 1
        Of an end: its COBS was whole.
    """

    data: 8
    end: 1
    sound: 1


class ReplyByte(data.Struct):
    """What the device answers to a command: its bytes, then an end.

    Members
    -------
    data : 8
    end : 1
        An item of its own.
    code : Code
        Of an end. `Code.OK`, or why the command was refused, and then no bytes came before.
    """

    data: 8
    end: 1
    code: COMMAND_BITS


class LinkCounters(data.Struct):
    """What the device has seen of the line since it was reset; counters wrap at
    ``2**LINK_COUNTER_BITS``.

    Members
    -------
    damaged : 32
        Frames dropped because COBS, length or CRC was wrong.
    crowded : 32
        Frames dropped because the receive buffer had no room for them.
    repeated : 32
        Requests that were not the next in sequence.
    """

    damaged: 32
    crowded: 32
    repeated: 32


class DeviceStatus(data.Struct):
    """Answer to STATUS.

    Members
    -------
    epochs : 16
        Epochs that the job has begun.
    waiting : 16
        Epochs in the queue.
    link : LinkCounters
        What the link has seen.
    engine : `hdl.contract.protocol.Status`
        Of the last job.
    busy : 6
        Not zero while a job is under way and ``engine`` has not settled; fills the last byte.
    """

    epochs: EPOCH_COUNT_BITS
    waiting: EPOCH_COUNT_BITS
    link: LinkCounters
    engine: Status
    busy: -Status.as_shape().size % 8


def identity_layout() -> data.StructLayout:
    """Answer to IDENTIFY; the same for every engine.

    Members
    -------
    magic : 32
        `MAGIC`, ``ZSGL`` in ASCII.
    protocol : 16
        `PROTOCOL`.
    digest : 64
        Of the design (`hdl.lib.source_digest.design_digest`).
    clock_hz : 32
        Clock of the engine.
    buffer_bytes : 32
        Receive buffer: most bytes of headers, payloads and CRCs that may be unanswered.
    memory_bytes : 40
        Size of the sample memory.
    word_bytes : 16
        Its word: samples begin, and are written, at multiples of it.
    ... : 32 each
        Every parameter of `EngineConfig`, by its name, as `EngineConfig.numbers` has it.
    """
    return data.StructLayout(
        {
            "magic": 32,
            "protocol": 16,
            "digest": DIGEST_BITS,
            "clock_hz": 32,
            "buffer_bytes": 32,
            "memory_bytes": ADDRESS_BITS,
            "word_bytes": LENGTH_BITS,
            **{field.name: CONFIG_BITS for field in fields(EngineConfig)},
        }
    )


def byte_count(layout: Any) -> int:
    """Bytes of a layout.

    Raises
    ------
    ValueError
        If it is not a whole number of them.
    """
    size: int = data.Layout.cast(layout).size
    if size % 8:
        raise ValueError(f"a layout of {size} bits is not a whole number of bytes")
    return size // 8


REQUEST_BYTES, REPLY_BYTES = byte_count(Request), byte_count(Reply)
MAX_REQUEST = REQUEST_BYTES + MAX_PAYLOAD + CRC_BYTES
"""Bytes of the longest request without COBS."""


def to_bytes(layout: Any, values: Mapping[str, Any]) -> bytes:
    """A layout's bytes; what is not named is zero."""
    shape = data.Layout.cast(layout)
    packed: bytes = shape.const(values).as_bits().to_bytes(byte_count(shape), "little")
    return packed


def from_bytes(layout: Any, raw: bytes) -> Any:
    """The inverse: a constant of the layout."""
    shape = data.Layout.cast(layout)
    return shape.from_bits(int.from_bytes(raw[: byte_count(shape)], "little"))
