"""The engine that a command is for: one by its name, with changes."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Annotated, Any

from typer import Option

from zipsgd.hdl.contract.config import EngineConfig
from zipsgd.hdl.contract.parameters import Loss
from zipsgd.hdl.contract.presets import ENGINES

from ..errors import InputError

EngineName = Annotated[
    str,
    Option(
        "--engine",
        metavar="NAME[,FIELD=VALUE...]",
        help=f"{' or '.join(ENGINES)}, or changed: small,max_chunks=64,losses=hinge+huber.",
    ),
]
"""Its fields are those of `hdl.contract.config.EngineConfig`."""

Lanes = Annotated[int | None, Option(help="Features in a beat.", show_default="the engine's")]
Banks = Annotated[
    int | None, Option(help="Samples in a beat: a group.", show_default="the engine's")
]
MaxBits = Annotated[
    int | None, Option(help="Most bits of the engine's codes.", show_default="the engine's")
]

DEFAULT = "default"
SWITCH = {"yes": True, "no": False}


def engine_config(
    engine: str = DEFAULT,
    lanes: int | None = None,
    banks: int | None = None,
    max_bits: int | None = None,
) -> EngineConfig:
    """The named engine with its changes, then with the geometry that is given.

    Wider codes take more beats, and the replay buffer grows so that it holds as many features.

    Raises
    ------
    InputError
        If there is no such engine.
    """
    name, *changes = engine.split(",")
    if name not in ENGINES:
        raise InputError(f"there is no engine {name!r}; take one of {', '.join(ENGINES)}")
    base = ENGINES[name]
    values: dict[str, Any] = dict(_change(base, change) for change in changes)
    given = {"lanes": lanes, "banks": banks, "max_bits": max_bits}
    values |= {field: value for field, value in given.items() if value is not None}
    if "replay_beats" not in values:
        times = math.ceil(values.get("max_bits", base.max_bits) / base.max_bits)
        values["replay_beats"] = base.replay_beats << max(times - 1, 0).bit_length()
    try:
        return replace(base, **values)
    except ValueError as fault:
        raise InputError(f"no such engine: {fault}") from fault


def _change(base: EngineConfig, change: str) -> tuple[str, Any]:
    """A field and its value, of the type that it has in ``base``."""
    name, _, text = change.partition("=")
    known = [field.name for field in fields(base)]
    if name not in known:
        raise InputError(
            f"--engine: {change!r} changes nothing that an engine has; write FIELD=VALUE with one "
            f"of {', '.join(known)}"
        )
    present = getattr(base, name)
    try:
        if isinstance(present, bool):
            return name, SWITCH[text]
        if isinstance(present, int):
            return name, int(text)
        return name, tuple(Loss[one.upper().replace("-", "_")] for one in text.split("+"))
    except (KeyError, ValueError) as fault:
        losses = "+".join(loss.name.lower().replace("_", "-") for loss in Loss)
        takes = {bool: "yes or no", int: "a whole number"}.get(type(present), f"some of {losses}")
        raise InputError(f"--engine: {name} takes {takes}, not {text!r}") from fault
