"""Who the device is: what host and bitstream must agree on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from ..contract.config import EngineConfig
from .frames import MAGIC, PROTOCOL, byte_count, from_bytes, identity_layout, to_bytes

PARAMETERS = tuple(field.name for field in fields(EngineConfig))


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a device answers to IDENTIFY; see `hdl.link.frames.identity_layout`.

    Parameters
    ----------
    config : EngineConfig
    digest : int
        `hdl.lib.source_digest.design_digest`, of a board with `boards.digest`.
    clock_hz, buffer_bytes, memory_bytes, word_bytes : int
    magic, protocol : int
    """

    config: EngineConfig
    digest: int
    clock_hz: int
    buffer_bytes: int
    memory_bytes: int
    word_bytes: int
    magic: int = MAGIC
    protocol: int = PROTOCOL

    def to_bytes(self) -> bytes:
        values: dict[str, Any] = {**vars(self), **self.config.numbers()}
        del values["config"]
        return to_bytes(identity_layout(), values)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """The inverse.

        Raises
        ------
        ValueError
            If it is not the identity of a device with this protocol: the sentence says whose.
        """
        layout = identity_layout()
        known = from_bytes(layout, raw.ljust(byte_count(layout), b"\0"))
        if known.magic != MAGIC:
            raise ValueError("is no zipsgd device; is this the right port?")
        if known.protocol != PROTOCOL or len(raw) != byte_count(layout):
            raise ValueError(
                f"has version {known.protocol} of the link and this host has version {PROTOCOL}; "
                "build its bitstream anew, with this version of zipsgd"
            )
        values = {name: known[name] for name, _ in layout}
        config = EngineConfig.from_numbers({name: values.pop(name) for name in PARAMETERS})
        return cls(config=config, **values)

    def describe(self) -> str:
        """The design in a few words: digest and geometry."""
        config = self.config
        return (
            f"design {self.digest:016x} ({config.lanes} x {config.banks}, {config.max_bits} bits, "
            f"{config.max_chunks} chunks)"
        )
