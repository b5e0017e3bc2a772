"""What the testbenches of components share that take codes a bit plane at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.hdl.toolkit import Bench, Ints, pack_plane, random_bits, random_signed, unpack_plane
from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.formats import MIN_BITS
from zipsgd.hdl.contract.protocol import token_layout


class PlaneBench(Bench):
    """Sends chunks of random codes as tokens and beats; for a monitor it puts codes together from
    the planes on the design's inputs.

    Parameters
    ----------
    dut : handle
    carries : str
        Field of the token that says whether its beat is for the design.
    """

    def __init__(self, dut: Any, carries: str) -> None:
        super().__init__(dut)
        layout = token_layout(self.config)
        self._carries = carries
        self._flags = [name for name, field in layout if field.width == 1 and name != "label"]
        self.is_signed = self.port("is_signed")
        self.token = self.port("token", layout)
        self.beat = self.port("beat", self.config.beat_bits)
        self._planes: list[Ints] = []

    def seen_codes(self, token: dict[str, int]) -> Ints | None:
        """The codes (banks, lanes) of a chunk, in the cycle of its last plane."""
        if not token[self._carries] or token["label"]:
            return None
        if token["first"]:
            self._planes = []
        self._planes.append(unpack_plane(self.config, self.beat.get()))
        return codes_of(self._planes, bool(self.is_signed.get())) if token["last"] else None

    def random_shape(self) -> tuple[int, int]:
        """Bits of a code and chunks of a sample."""
        bits = int(self.rng.integers(MIN_BITS, self.config.max_bits + 1))
        return bits, int(self.rng.integers(1, self.config.max_chunks + 1))

    async def send_chunk(self, bits: int, chunk: int, gap: float) -> None:
        codes = random_signed(self.rng, bits, (self.config.banks, self.config.lanes))
        for index, plane in enumerate(planes(codes, bits)):
            await self.rest(gap)
            ends = {"first": index == 0, "last": index == bits - 1}
            place = {"chunk": chunk, "first_chunk": chunk == 0}
            self.drive({self._carries: 1, **place, **ends}, pack_plane(plane))
            await self.tick()

    async def rest(self, gap: float) -> None:
        """Cycles that must not matter: label beats, slots without a group, or nothing."""
        while self.chance(gap):
            noise = {name: self.chance(0.5) for name in self._flags}
            self.drive({**noise, "label": noise[self._carries]}, None)
            await self.tick()

    def drive(self, token: dict[str, Any], beat: int | None) -> None:
        """A token with its beat, or with anything."""
        self.token.set(token)
        if beat is None:
            self.beat.scramble(self.rng)
        else:
            self.beat.set(beat)


def random_errors(
    rng: np.random.Generator, config: EngineConfig, bits: int, drop: int = 0
) -> list[dict[str, int]]:
    """Of each sample of a group, as `hdl.contract.protocol.error_layout` has it: an error that is
    aligned for codes of ``bits`` bits, less its ``drop`` lowest ones, and a coefficient."""
    errors = random_signed(rng, config.error_bits, config.banks) << (config.max_bits - bits)
    return [
        {"error": int(error) >> drop, "coefficient": random_bits(rng, config.coefficient_bits)}
        for error in errors
    ]


def planes(codes: Ints, bits: int) -> Iterator[Ints]:
    """The bit planes of ``codes``, most significant first."""
    for weight in reversed(range(bits)):
        yield codes >> weight & 1


def codes_of(bit_planes: list[Ints], is_signed: bool) -> Ints:
    """The codes with these bit planes, most significant first; two's complement if signed."""
    codes = -bit_planes[0] if is_signed else bit_planes[0]
    for plane in bit_planes[1:]:
        codes = 2 * codes + plane
    return codes
