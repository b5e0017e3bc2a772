"""The command ``zipsgd plan``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Context, Option

from ..errors import InputError
from ..json_lines import json_line
from ..options.engine_choice import DEFAULT, EngineName, MaxBits, engine_config
from ..options.options import OF_ENGINE, LossOf, Options, WeighClasses, WeighSamples
from .common import written
from .data import DropConstant, Impute, OneHot, Target, column_names

if TYPE_CHECKING:
    from ..codes.packed import PackedSet
    from ..training.planner import Candidate, Plan

READING = ("target", "drop_constant", "one_hot", "impute")
"""Options that say how to read DATA."""

OF_DATA = (*READING, "holdout")
"""Options that are of no use without DATA."""


def plan_command(
    context: Context,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="As for train, or a packed set.")
    ] = None,
    *,
    beat_width: Annotated[int, Option(help="Bits of a beat: the memory port of the engine.")],
    features: Annotated[
        int | None, Option(help="Features, weights not counted, instead of DATA.")
    ] = None,
    samples: Annotated[int | None, Option(help="Training samples, instead of DATA.")] = None,
    bits: Annotated[int, Option(help="Bits of a code.")] = Options.bits,
    batch: Annotated[
        int | None, Option(help="Samples of a mini-batch.", show_default="one group")
    ] = None,
    sync: Annotated[bool, Option("--sync", help="Exact mini-batches.")] = False,
    loss: LossOf = Options.loss,
    class_weight: WeighClasses = None,
    sample_weight: WeighSamples = None,
    engine: EngineName = DEFAULT,
    max_bits: MaxBits = None,
    memory: Annotated[
        int | None, Option(metavar="KBIT", help="Most memory for replay buffer and model.")
    ] = None,
    target: Target = None,
    drop_constant: DropConstant = False,
    one_hot: OneHot = "",
    impute: Impute = False,
    holdout: Annotated[float, Option(help="Share that train holds out.")] = Options.holdout,
    as_json: Annotated[bool, Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Choose lanes, banks and delay for a beat width, and predict an epoch's cycles."""
    from ..training.planner import plan

    # A mini-batch need only be a multiple of the banks that are chosen: one of one bank always is.
    # Delay 1 is one that every engine takes.
    options = Options(
        bits=bits,
        batch=batch,
        sync=sync,
        loss=loss,
        class_weight=class_weight,
        sample_weight=sample_weight,
        engine=engine,
        max_bits=OF_ENGINE if max_bits is None else max_bits,
        lanes=8,
        banks=1,
        delay=1,
        holdout=holdout,
    )
    packed = None
    if data is None and features is not None and samples is not None:
        _check_no_data(written(context, OF_DATA))
    elif data is None or (features, samples) != (None, None):
        raise InputError("name DATA, or give both --features and --samples instead")
    elif Path(data).suffix == ".zsgd":
        packed = _packed(data, options, written(context, ("bits", *OF_DATA)))
        options = replace(options, **packed.decided)
        samples, features = len(packed.labels), len(packed.feature_names)
    else:
        samples, features = _shape(
            data, target, drop_constant, column_names(one_hot), impute, options
        )
    memory_bits = None if memory is None else memory * 1024
    found = plan(options, beat_width, samples, features, memory_bits)
    misfit = packed and packed.misfit(found.chosen.config)
    if misfit:
        found = replace(found, why=(*found.why, f"{misfit}."))
    if as_json:
        typer.echo(json_line(_record(found, beat_width, samples, features)))
    else:
        _show(found, beat_width, samples, features)


def _check_no_data(given: frozenset[str]) -> None:
    """Raises `InputError` if an option that the user named is of no use without DATA."""
    for name in OF_DATA:
        if name in given:
            raise InputError(
                f"--{name.replace('_', '-')} is about DATA, and --features and --samples stand in "
                "its place; leave the option out"
            )


def _packed(data: str, options: Options, given: frozenset[str]) -> PackedSet:
    """The packed set, if it can be trained on with ``options`` and what the user named."""
    from ..training.prepare import open_agreeing
    from ..training.task import check_labels, check_packable

    packed = open_agreeing(data, not given.isdisjoint(READING), options, given)
    check_packable(packed.name, options)
    check_labels(packed.name, packed.label_scaling, options)
    return packed


def _shape(
    data: str,
    target: str | None,
    drop_constant: bool,
    one_hot: tuple[str, ...],
    impute: bool,
    options: Options,
) -> tuple[int, int]:
    """Training samples and features of a data set that ``options`` can train on."""
    from ..codes.sample_weights import take_weights
    from ..codes.scaling import LabelScaling
    from ..data.file_format import read_dataset
    from ..training.task import check_labels

    weights = options.sample_weight
    dataset = read_dataset(data, target, drop_constant, one_hot, impute, weights)
    if weights is not None:
        _, dataset = take_weights(dataset, weights)
    rows, _ = dataset.parts(options.holdout, options.seed)
    label_scaling = LabelScaling.fit(dataset.labels[rows], dataset.classification)
    check_labels(dataset.name, label_scaling, options)
    return len(rows), dataset.features.shape[1]


def _candidate(one: Candidate) -> dict[str, Any]:
    return {
        "lanes": one.options.lanes,
        "banks": one.options.banks,
        "delay": one.job.delay,
        "chunks": one.job.chunks,
        "group_beats": one.group_beats,
        "cycles": one.cycles,
        "cycles_a_sample": one.cycles_a_sample,
        "beats": one.beats,
        "utilisation": one.utilisation,
        "in_flight": one.in_flight,
        "stream_bytes": one.beats * one.config.beat_bytes,
        "replay_beats": one.replay_beats,
        "replay_bits": one.replay_bits,
        "model_bits": one.model_bits,
    }


def _record(found: Plan, width: int, samples: int, features: int) -> dict[str, Any]:
    options = found.chosen.options
    return {
        "beat_width": width,
        "samples": samples,
        "features": features,
        "bits": options.bits,
        "batch": options.batch,
        "sync": options.sync,
        "loss": options.loss,
        "weighted": options.weighted,
        "engine": options.engine,
        "max_bits": options.max_bits,
        "chosen": _candidate(found.chosen),
        "why": list(found.why),
        "candidates": [_candidate(one) for one in found.candidates],
        "refused": [vars(one) for one in found.refused],
    }


def _show(found: Plan, width: int, samples: int, features: int) -> None:
    options = found.chosen.options
    weighted = " and a weight" if options.weighted else ""
    typer.echo(
        f"{samples:,} training samples of {features} features{weighted}, q = {options.bits}, "
        f"{width}-bit beats; an epoch:"
    )
    typer.echo("     engine delay        cycles  a sample utilised in flight  replay  model kbit")
    for one in found.candidates:
        typer.echo(
            f"{'>' if one is found.chosen else ' '} {one.name:>9} {one.job.delay:5} "
            f"{one.cycles:13,} {one.cycles_a_sample:9.3f} {one.utilisation:8.4f} "
            f"{one.in_flight:9} {one.replay_bits / 1024:7.1f} {one.model_bits / 1024:6.1f}"
        )
    for refused in found.refused:
        typer.echo(f"  {refused.lanes} x {refused.banks}: {refused.reason}")
    named = engine_config(options.engine)
    engine = f"--engine {options.engine} " if options.engine != DEFAULT else ""
    wider = f" --max-bits {options.max_bits}" if options.max_bits != named.max_bits else ""
    geometry = f"--lanes {options.lanes} --banks {options.banks} --delay {options.delay}"
    typer.echo(f"{engine}{geometry}{wider}")
    for sentence in found.why:
        typer.echo(f"- {sentence}")
