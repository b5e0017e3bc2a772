"""A device whose results depend on everything it was told, in order: a request that is lost,
doubled, changed or out of place shows in its model."""

from __future__ import annotations

import hashlib
from typing import Any

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.lib.source_digest import design_digest
from zipsgd.hdl.link.frames import Code, Command, DeviceStatus, to_bytes
from zipsgd.hdl.link.identity import Identity
from zipsgd.sim.link import LinkModel

MEMORY_BYTES, MODEL_BYTES, MARGIN_BYTES = 1 << 14, 1500, 1100
JOB_BYTES = 20
POLLS = 3
"""A job takes as long as it is asked so many times."""

CONFIG = EngineConfig()


class HashDevice:
    """Memory, model, queue of epochs and jobs behind a `LinkModel`: an endpoint of a line."""

    def __init__(self, digest: int | None = None, buffer_bytes: int = 4096) -> None:
        identity = Identity(
            config=CONFIG,
            digest=design_digest(CONFIG) if digest is None else digest,
            clock_hz=48_000_000,
            buffer_bytes=buffer_bytes,
            memory_bytes=MEMORY_BYTES,
            word_bytes=1,
        )
        self.link = LinkModel(identity.to_bytes(), self._execute)
        self.receive = self.link.receive
        self.executed = 0
        self._clear()

    def reset(self) -> None:
        self.link.reset()
        self._clear()

    def _clear(self) -> None:
        # Power that comes leaves anything in the memories.
        self.memory = bytearray(b"\xa5" * MEMORY_BYTES)
        self.model = bytearray(b"\x5a" * MODEL_BYTES)
        self.margins = b""
        self.epochs = b""
        self.busy = self.jobs = 0

    def _execute(self, header: Any, payload: bytes) -> tuple[int, bytes]:
        self.executed += 1
        space = {
            Command.WRITE_MEMORY: self.memory,
            Command.READ_MEMORY: self.memory,
            Command.WRITE_MODEL: self.model,
            Command.READ_MODEL: self.model,
            Command.READ_MARGINS: self.margins,
        }.get(header.command)
        begin = header.address
        if space is not None:
            end = begin + (header.count or len(payload))
            if end > len(space):
                return Code.RANGE, b""
            if header.count:
                return Code.OK, bytes(space[begin:end])
            space[begin:end] = payload  # type: ignore[index]
        elif header.command == Command.STATUS:
            self.busy = max(self.busy - 1, 0)
            status = {"busy": self.busy, "epochs": self.jobs}
            return Code.OK, to_bytes(DeviceStatus, status)
        elif header.command == Command.RESET:
            self.epochs, self.busy = b"", 0
        elif header.command == Command.WRITE_EPOCHS:
            self.epochs += payload
        elif header.command == Command.RUN:
            return self._run(payload), b""
        else:
            return Code.UNKNOWN, b""
        return Code.OK, b""

    def _run(self, job: bytes) -> int:
        if self.busy or len(job) != JOB_BYTES:
            return Code.BUSY if self.busy else Code.RANGE
        told = hashlib.sha256(bytes(self.memory) + bytes(self.model) + self.epochs + job).digest()
        stretched = hashlib.shake_128(told).digest(MODEL_BYTES + MARGIN_BYTES)
        self.model[:], self.margins = stretched[:MODEL_BYTES], stretched[MODEL_BYTES:]
        self.epochs = b""
        self.jobs += 1
        self.busy = POLLS
        return Code.OK
