"""A simulated device behind two streams of bytes: a transport whose time is the device's clock."""

from __future__ import annotations

import ctypes
import math
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from zipsgd.hdl.link.frames import DELIMITER
from zipsgd.hdl.memory.interface import MemorySignature

from .build import compile_library
from .errors import SimulationError
from .memory import MemorySettings, Waits, make_words, memory_settings

HARNESS = Path(__file__).with_name("byte_port.cpp")
OUT_BYTES = 4096
QUIET_CYCLES = 6_000
"""A device that has said nothing for so long has answered all that it will."""


class PortCall(ctypes.Structure):
    """What one call moves and how far it has come: ``PortCall`` of ``byte_port.cpp``."""

    _fields_ = (
        ("input", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("in_count", ctypes.c_uint64),
        ("out_room", ctypes.c_uint64),
        ("in_moved", ctypes.c_uint64),
        ("out_moved", ctypes.c_uint64),
        ("cycles", ctypes.c_uint64),
    )


class BytePort:
    """A `host.devices.link.transport.Transport`, its clock, and a `sim.line.Endpoint`, in one.

    Parameters
    ----------
    verilog : str
        What `hdl.lib.verilog.to_verilog` says, without a reset, of a component with the streams
        ``i`` and ``o`` of bytes. Its outputs depend on registers alone. It is compiled if the cache
        does not have it.
    clock_hz : float
        What a cycle counts in time.
    bytes_per_s : float
        Of a line that is part of the module, if there is one.

    Raises
    ------
    ToolNotFoundError, CompileError
        See `sim.build.compile_library`.
    """

    name = "simulated device"

    def __init__(self, verilog: str, *, clock_hz: float, bytes_per_s: float = math.inf) -> None:
        self.clock, self.bytes_per_s = self, bytes_per_s
        self._clock_hz = clock_hz
        self._library = _load(compile_library(verilog, HARNESS))
        self._handle = self._library.device_create()
        self._destroy = weakref.finalize(self, self._library.device_destroy, self._handle)
        self._sent, self._received = bytearray(), bytearray()
        self.cycles = 0
        self.memory = np.zeros(0, dtype=np.uint8)

    def attach_memory(self, port: MemorySignature, words: int, waits: Waits | None = None) -> None:
        """Put an empty memory behind the module's ``port`` and reset it. ``memory`` is what the
        memory holds, byte by byte."""
        stored = make_words(port, words)
        settings = memory_settings(port, stored, waits)
        self._library.device_set_memory(self._handle, ctypes.byref(settings))
        self.memory = stored.reshape(-1)

    def now(self) -> float:
        return self.cycles / self._clock_hz

    def sleep(self, seconds: float) -> None:
        until = self.cycles + math.ceil(seconds * self._clock_hz)
        while self.cycles < until:
            self._advance(until)

    def write(self, data: bytes) -> None:
        self._sent += data

    def read(self, most: int, timeout_s: float) -> bytes:
        if not self._received:
            self._advance(self.cycles + math.ceil(timeout_s * self._clock_hz))
        data = bytes(self._received[:most])
        del self._received[:most]
        return data

    def receive(self, data: bytes) -> bytes:
        """Send ``data`` and run until there are no more answers: for a line in front of it."""
        self.write(data)
        answers = b""
        while True:
            answer = self.read(OUT_BYTES, QUIET_CYCLES / self._clock_hz)
            answers += answer
            if not answer and not self._sent:
                return answers

    def reset(self) -> None:
        """As after power has come."""
        self._library.device_reset(self._handle)
        self._sent.clear()
        self._received.clear()

    def reopen(self) -> None:
        """There is no cable that could be pulled."""

    def close(self) -> None:
        self._destroy()

    def _advance(self, until: int) -> None:
        """Run until that cycle, or until a frame has come."""
        data = bytes(self._sent)
        source = ctypes.create_string_buffer(data, len(data) or 1)
        target = ctypes.create_string_buffer(OUT_BYTES)
        transfer = PortCall(
            input=ctypes.addressof(source),
            output=ctypes.addressof(target),
            in_count=len(data),
            out_room=OUT_BYTES,
            cycles=self.cycles,
        )
        if self._library.device_advance(self._handle, ctypes.byref(transfer), until, DELIMITER):
            raise SimulationError(
                "the simulated device asked its memory for words that are not there; report it "
                "with what it was told"
            )
        del self._sent[: transfer.in_moved]
        self._received += target.raw[: transfer.out_moved]
        self.cycles = transfer.cycles


def _load(path: Path) -> Any:
    """The library with the types of its functions."""
    library = ctypes.CDLL(str(path))
    handle, number = ctypes.c_void_p, ctypes.c_uint64
    signatures = {
        "device_create": (handle, []),
        "device_destroy": (None, [handle]),
        "device_reset": (None, [handle]),
        "device_set_memory": (None, [handle, ctypes.POINTER(MemorySettings)]),
        "device_advance": (ctypes.c_int, [handle, ctypes.POINTER(PortCall), number, ctypes.c_int]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
