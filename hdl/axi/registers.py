"""The register map: what a bus master sees of job, epochs and status.

This table is the only place that knows an address: the gateware (`hdl.axi.control`), the page
``docs/axi.md`` and the C header (`host.manual.c_header`) are made from it, and it is made from the
layouts of `hdl.contract.protocol`. Addresses are the same for every engine: those of fields that an
engine is built without are free.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from amaranth.hdl import Shape
from amaranth.lib import data

from ..contract.config import EngineConfig
from ..contract.formats import COARSE_BITS, EPOCH_DEPTH, NOISE_BITS, VARIANCE_FRAC, WEIGHT_FRAC
from ..contract.job import Loss, Mode
from ..contract.protocol import Error, Status, epoch_fields, epoch_layout, job_fields, job_layout

WORD_BITS = 32
"""Width of the bus's data, fixed by AXI4-Lite interconnects everywhere, not by our formats."""

WORD_BYTES = WORD_BITS // 8
ADDRESS_BITS = 12
"""Byte addresses: 4 KiB, the smallest window that interconnects hand out."""

MAGIC = int.from_bytes(b"ZSGD", "big")

DIGEST = "digest"

GROUPS = ("identity", "control", "job", "epoch", "status")
GROUP_BYTES = 0x100
"""Each group of registers has this much room, one after the other."""

Access = Literal["read", "write", "command", "clear"]
"""``read`` only; ``write``: reads back what was written; ``command``: writing 1 does something,
reads as 0; ``clear``: writing 1 clears the bit."""


@dataclass(frozen=True, kw_only=True)
class Register:
    """One value at one address.

    Parameters
    ----------
    group, name : str
        One of `GROUPS`, and a name that is unique in it.
    address : int
        Byte address of the first word; further words of a wide value follow, low ones first.
    bits : int
        Width; bits above it read as zero, and a write that sets one is refused.
    access : Access
    text : str
        Meaning.
    value : int or None
        What a constant register always reads.
    """

    group: str
    name: str
    address: int
    bits: int
    access: Access
    text: str
    value: int | None = None

    @property
    def words(self) -> int:
        return -(-self.bits // WORD_BITS)

    @property
    def full_name(self) -> str:
        return f"{self.group}_{self.name}"


def register_map(config: EngineConfig) -> tuple[Register, ...]:
    """List the registers of an engine, in order of addresses.

    Fields of parts that it is built without have none; their addresses are not used again.

    Raises
    ------
    ValueError
        If a field of job or epoch is wider than a register, so that writing it would take two.
    """
    groups: dict[str, Iterator[_Entry]] = {
        "identity": _identity(config),
        "control": _control(),
        "job": _staged("job", job_fields(config), _job_texts(config)),
        "epoch": _staged("epoch", epoch_fields(config), _epoch_texts(config)),
        "status": _status(config),
    }
    registers = []
    for number, group in enumerate(GROUPS):
        address = number * GROUP_BYTES
        for entry in groups[group]:
            register = Register(group=group, address=address, **vars(entry))
            registers.append(register)
            address += register.words * WORD_BYTES
    digest = _digest(registers)
    absent = {
        f"{group}_{name}"
        for group, fields, layout in (
            ("job", job_fields(config), job_layout(config)),
            ("epoch", epoch_fields(config), epoch_layout(config)),
        )
        for name in fields.keys() - layout.members
    }
    here = (register for register in registers if register.full_name not in absent)
    return tuple(replace(r, value=digest) if r.name == DIGEST else r for r in here)


def _digest(registers: list[Register]) -> int:
    """CRC-32 of names, addresses and ways of access, those of absent parts included: another map
    has another digest, and every engine of one version the same."""
    lines = (f"{r.full_name} {r.address:#x} {r.access}\n" for r in registers)
    return zlib.crc32("".join(lines).encode())


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """A register that has no address yet."""

    name: str
    bits: int
    access: Access
    text: str
    value: int | None = None


def _identity(config: EngineConfig) -> Iterator[_Entry]:
    constants = {
        "magic": (MAGIC, "`ZSGD` in ASCII: this is the engine."),
        DIGEST: (0, "Of this register map; software made for another reads another."),
        "epoch_depth": (EPOCH_DEPTH, "Epochs that the queue holds."),
    }
    for name, number in config.numbers().items():
        text = ": bit n is for loss n." if name == "losses" else "."
        constants[name] = (number, f"Parameter of `EngineConfig`{text}")
    for name, (value, text) in constants.items():
        yield _Entry(name=name, bits=WORD_BITS, access="read", text=text, value=value)


def _control() -> Iterator[_Entry]:
    queue = EPOCH_DEPTH.bit_length()
    rows: tuple[tuple[str, int, Access, str], ...] = (
        (
            "start",
            1,
            "command",
            "Start the job that the job registers describe. SLVERR while busy.",
        ),
        (
            "push_epoch",
            1,
            "command",
            "Append what the epoch registers describe to the queue. SLVERR if it is full.",
        ),
        ("clear_epochs", 1, "command", "Forget the epochs in the queue. SLVERR while busy."),
        ("busy", 1, "read", "A job is under way; the status registers are not settled."),
        ("done", 1, "clear", "A job has ended, or was refused. Starting the next clears it too."),
        ("interrupt_enable", 1, "write", "Whether `done` drives `irq`."),
        ("epochs_waiting", queue, "read", "Epochs in the queue."),
    )
    for name, bits, access, text in rows:
        yield _Entry(name=name, bits=bits, access=access, text=text)


def _staged(group: str, fields: Mapping[str, Any], texts: Mapping[str, str]) -> Iterator[_Entry]:
    for name, shape in fields.items():
        width = Shape.cast(shape).width
        if width > WORD_BITS:
            raise ValueError(
                f"the {group}'s {name} has {width} bits and a register {WORD_BITS}; "
                "lower random_bits or coefficient_bits"
            )
        yield _Entry(name=name, bits=width, access="write", text=texts[name])


def _status(config: EngineConfig) -> Iterator[_Entry]:
    loss_frac = 2 * config.model_frac + 1 + WEIGHT_FRAC
    texts = {
        "cycles": "Clock cycles of the last pass.",
        "beats": "Beats taken by the last pass; beats / cycles is the utilisation.",
        "margin_saturations": "Margins that did not fit.",
        "error_saturations": "Samples whose scaled error, or its coefficient, did not fit.",
        "model_saturations": "Model words that did not fit.",
        "loss_sum": f"Sum of the losses of an EVALUATE job, {loss_frac} fractional bits.",
        "error": f"Why the last job was refused: {_names(Error)}.",
    }
    for name, field in data.Layout.cast(Status):
        yield _Entry(name=name, bits=field.width, access="read", text=texts[name])


def _job_texts(config: EngineConfig) -> dict[str, str]:
    return {
        "mode": f"{_names(Mode)}.",
        "loss": f"{_names(Loss)}.",
        "bits": f"Bits of a code q, 2 to {config.max_bits}.",
        "unsigned": "Codes are unsigned.",
        "chunks": f"Chunks of {config.lanes} features in a sample, 1 to {config.max_chunks}.",
        "groups": f"Groups of {config.banks} samples in an epoch, 1 or more.",
        "batch_groups": "Groups in a mini-batch, 1 or more.",
        "epochs": "Epochs of the job, 1 or more; the queue must be given as many.",
        "delay": f"Groups from a dot product to its update, 1 to {config.max_delay}.",
        "sync": "Empty slots end every mini-batch: the next one sees its updates.",
        "weighted": "A weight word follows each sample's label word.",
        "offset": "An offset word follows each sample's label (and weight) word.",
        "regularised": "Leading features on which l2 and l1 act.",
        "model_drop": f"Low bits of a model word that stay zero, 0 to {COARSE_BITS}.",
        "error_drop": f"Low bits of the scaled error rounded away, 0 to {NOISE_BITS}.",
        "seed": "Seed of every stochastic rounding of the job.",
    }


def _epoch_texts(config: EngineConfig) -> dict[str, str]:
    places = config.correction_unit_frac
    threshold = config.model_frac + config.random_bits
    return {
        "step_mantissa": "Step size of a sample: mantissa / 2^shift.",
        "step_drop": f"The step's shift less {config.min_step_shift}.",
        "correction": f"step / 4^(q-1), {places} fractional bits; 0: not corrected.",
        "decay": f"step * l2 * {config.banks}, {places} fractional bits.",
        "threshold": f"step * l1 * {config.banks}, {threshold} fractional bits.",
        "variance": f"Margin variance of the logistic loss, {VARIANCE_FRAC} fractional bits.",
    }


def _names(choices: Iterable[Any]) -> str:
    return ", ".join(f"{choice.value} {choice.name}" for choice in choices)
