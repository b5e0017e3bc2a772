"""The commands of ``zipsgd data``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from ..errors import InputError
from ..json_lines import json_line
from ..options.choices import FeatureScale, Rounding
from ..options.engine_choice import DEFAULT, Banks, EngineName, Lanes, MaxBits, engine_config
from ..options.options import Options

app = typer.Typer(no_args_is_help=True, help="Pack data sets, and look into them.")

SHOWN_COLUMNS = 20

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="LIBSVM, CSV, Parquet, Arrow, .npz or .npy file, or sklearn:NAME."
    ),
]
Target = Annotated[str | None, Option(help="Label column of a table: its name or index.")]
DropConstant = Annotated[bool, Option("--drop-constant", help="Leave out constant features.")]
OneHot = Annotated[
    str, Option(help="Columns with categories, with commas: each category becomes a feature.")
]
Impute = Annotated[
    bool,
    Option("--impute", help="Missing numbers become the median, categories the most frequent."),
]


@app.command("pack")
def pack_command(
    data: Data,
    *,
    output: Annotated[Path, Option("-o", "--output", help="Packed data set (.zsgd).")],
    target: Target = None,
    drop_constant: DropConstant = False,
    one_hot: OneHot = "",
    impute: Impute = False,
    bits: Annotated[int, Option(help="Bits of a code.")] = Options.bits,
    rounding: Annotated[Rounding, Option(help="How features become codes.")] = Options.rounding,
    copies: Annotated[int, Option(help="Independent roundings.")] = 1,
    scale: Annotated[FeatureScale, Option(help="How features come to [-1, 1].")] = Options.scale,
    seed: Annotated[int, Option(help="Seed of the split and of the roundings.")] = Options.seed,
    holdout: Annotated[
        float, Option(help="Share to hold out, if there is no official test part.")
    ] = Options.holdout,
    engine: EngineName = DEFAULT,
    lanes: Lanes = None,
    banks: Banks = None,
    max_bits: MaxBits = None,
    unrounded: Annotated[
        bool, Option("--unrounded", help="Keep unrounded features for an exact training loss.")
    ] = False,
    as_json: Annotated[bool, Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Scale, shuffle, round and weave a data set once, for every training on it."""
    from ..codes.data_cache import source_digest
    from ..codes.inspection import inspect_packed
    from ..codes.packed import PackOptions, open_packed, pack
    from ..data.file_format import read_dataset
    from ..files import check_distinct, replacing

    check_distinct({"DATA": Path(data), "--output": output})
    options = PackOptions(
        bits=bits,
        rounding=rounding,
        copies=copies,
        scale=scale,
        seed=seed,
        holdout=holdout,
        unrounded=unrounded,
        config=engine_config(engine, lanes, banks, max_bits),
    )
    dataset = read_dataset(data, target, drop_constant, column_names(one_hot), impute)
    with replacing(output) as stream:
        pack(dataset, stream, options, source_digest(data))
    _report(inspect_packed(open_packed(output)), as_json)


@app.command("inspect")
def inspect_command(
    data: Annotated[str, typer.Argument(metavar="DATA", help="As for pack, or a packed set.")],
    *,
    target: Target = None,
    drop_constant: DropConstant = False,
    one_hot: OneHot = "",
    impute: Impute = False,
    as_json: Annotated[bool, Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Rows, features, density, ranges, labels, condition number, suggestions, sizes."""
    from ..codes.inspection import inspect_dataset, inspect_packed
    from ..codes.packed import open_packed
    from ..data.file_format import read_dataset

    if Path(data).suffix == ".zsgd":
        if target is not None or drop_constant or one_hot or impute:
            raise InputError(f"{data} is packed; leave out the options on how to read data")
        _report(inspect_packed(open_packed(Path(data))), as_json)
        return
    dataset = read_dataset(data, target, drop_constant, column_names(one_hot), impute)
    _report(inspect_dataset(dataset), as_json)


def column_names(text: str) -> tuple[str, ...]:
    """The columns of ``--one-hot``."""
    return tuple(name for name in text.split(",") if name)


def _report(facts: dict[str, Any], as_json: bool) -> None:
    """One JSON object, or a line a fact."""
    if as_json:
        typer.echo(json_line(facts))
        return
    for name, value in facts.items():
        if name == "columns":
            _report_columns(value)
        else:
            typer.echo(f"{name.replace('_', ' '):18} {_shown(value)}")


def _report_columns(columns: list[dict[str, Any]]) -> None:
    typer.echo(f"{'column':18} {'low':>12} {'high':>12} {'mean':>12} {'deviation':>12}")
    for column in columns[:SHOWN_COLUMNS]:
        numbers = (column[key] for key in ("low", "high", "mean", "deviation"))
        flag = "  two values" if column["two_valued"] else ""
        values = " ".join(f"{number:12.5g}" for number in numbers)
        typer.echo(f"  {column['name'][:16]:16} {values}{flag}")
    if len(columns) > SHOWN_COLUMNS:
        typer.echo(f"  and {len(columns) - SHOWN_COLUMNS} more (all of them with --json)")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
