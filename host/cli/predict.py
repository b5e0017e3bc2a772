"""The commands ``zipsgd eval`` and ``zipsgd predict``."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from ..errors import InputError
from ..json_lines import json_line
from ..options.choices import Rounding
from ..options.engine_choice import DEFAULT, Banks, EngineName, Lanes, engine_config

if TYPE_CHECKING:
    from zipsgd.hdl.contract.config import EngineConfig

    from ..data.dataset import Dataset
    from ..training.engine_predict import EngineModel
    from ..training.model_file import Model

ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="Model file of train.")]
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA", help="LIBSVM, CSV, Parquet, Arrow, .npz or .npy file, or sklearn:NAME."
    ),
]
Target = Annotated[str | None, Option(help="Label column of a table: its name or index.")]
DeviceName = Annotated[
    str | None,
    Option(
        "--device",
        help="As for train: let an engine do it, on rounded samples.",
        show_default="the host, in float64",
    ),
]
Rounded = Annotated[Rounding, Option("--rounding", help="How samples become codes for --device.")]


def eval_command(
    model: ModelFile,
    data: Data,
    *,
    target: Target = None,
    holdout: Annotated[
        float | None,
        Option(
            help="Only the samples that train holds out with this value and --seed.",
            show_default="the official test part, or else all samples",
        ),
    ] = None,
    seed: Annotated[int, Option(help="Seed of the split, and of --rounding.")] = 0,
    device: DeviceName = None,
    rounding: Rounded = "nearest",
    engine: EngineName = DEFAULT,
    lanes: Lanes = None,
    banks: Banks = None,
    as_json: Annotated[bool, Option("--json", help="Write one JSON object.")] = False,
) -> None:
    """Measure a saved model on data with labels: loss, and accuracy or R2 among others.

    The model knows its columns with categories, and what stands for missing values.
    """
    from ..training.predict import metrics

    if seed < 0:
        raise InputError(f"--seed is {seed}; it must be 0 or more")
    build = partial(engine_config, engine, lanes, banks)
    if device is not None and not build().evaluate:
        raise InputError(
            f"the engine {engine} is built without evaluate, so it sums no losses; pass --engine "
            f"{engine},evaluate=yes, or leave out --device"
        )
    loaded, dataset = _read(model, data, target, labelled=True)
    if dataset.test is not None:
        part, used = "test part", dataset.test
    elif holdout is not None:
        part, used = "held out", dataset.split(holdout, seed)[1]
    else:
        part, used = "all samples", dataset
    with _on_engine(loaded, device, rounding, build, seed) as on_device:
        facts = {"data": dataset.name, "part": part, **metrics(loaded, used, on_device)}
    if as_json:
        typer.echo(json_line(facts))
        return
    for name, value in facts.items():
        shown = f"{value:.6g}" if isinstance(value, float) else "-" if value is None else value
        typer.echo(f"{name.replace('_', ' '):24} {shown}")


def predict_command(
    model: ModelFile,
    data: Data,
    *,
    output: Annotated[
        Path | None, Option("-o", "--output", help="CSV file.", show_default="stdout")
    ] = None,
    target: Target = None,
    unlabelled: Annotated[
        bool, Option("--unlabelled", help="Every column of the table is a feature.")
    ] = False,
    device: DeviceName = None,
    rounding: Rounded = "nearest",
    engine: EngineName = DEFAULT,
    lanes: Lanes = None,
    banks: Banks = None,
) -> None:
    """Predict the label of every sample (of the official test part, if there is one) as CSV.

    The model knows its columns with categories, and what stands for missing values. A category that
    it was not trained on sets none of its column's features.
    """
    from ..files import check_distinct, replacing
    from ..training.predict import margins, write_predictions

    check_distinct({"MODEL": model, "DATA": Path(data), "--output": output})
    loaded, dataset = _read(model, data, target, not unlabelled)
    features = (dataset.test or dataset).features
    build = partial(engine_config, engine, lanes, banks)
    with _on_engine(loaded, device, rounding, build) as on_device:
        z = margins(loaded, features) if on_device is None else on_device.margins(features)
        if output is None:
            write_predictions(loaded, z, typer.get_text_stream("stdout"))
            return
        with replacing(output) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
            write_predictions(loaded, z, text)
            text.detach()


@contextmanager
def _on_engine(
    model: Model,
    device: str | None,
    rounding: Rounding,
    build: Callable[..., EngineConfig],
    seed: int = 0,
) -> Iterator[EngineModel | None]:
    """The model on the device that was asked for, if any."""
    if device is None:
        yield None
        return
    from ..devices.progress import opened
    from ..training.engine_predict import EngineModel

    config = build(max_bits=max(model.bits, build().max_bits))
    with opened(device, config) as engine:
        yield EngineModel(model, engine, rounding, seed)


def _read(model: Path, data: str, target: str | None, labelled: bool) -> tuple[Model, Dataset]:
    """The model, and the data with the model's features."""
    from ..data.file_format import read_samples
    from ..data.tables import TableOptions
    from ..training.model_file import load_model
    from ..training.predict import aligned

    if Path(data).suffix == ".zsgd":
        raise InputError(f"{data} is packed, its samples are rounded; name the original data")
    if target is not None and not labelled:
        raise InputError("--target names the label column that --unlabelled denies; pass one")
    loaded = load_model(model)
    options = TableOptions(target=target, labelled=labelled, encoding=loaded.encoding)
    dataset = read_samples(data, options)
    if not len(dataset.labels):
        raise InputError(f"{data} has no samples; add some")
    return loaded, aligned(data, loaded, dataset)
