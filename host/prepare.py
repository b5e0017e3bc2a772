"""From what the user names to a task: a packed set, a file that is packed in the cache, or data."""

from __future__ import annotations

from pathlib import Path

from .data_cache import cached_set, worth_keeping
from .dataset import Dataset
from .errors import InputError
from .options import Options
from .packed import PackOptions, open_packed
from .readers import read_dataset
from .training import Task, prepare, prepare_packed


def prepare_source(
    data: str,
    target: str | None,
    drop_constant: bool,
    options: Options,
    one_hot: tuple[str, ...] = (),
    impute: bool = False,
) -> Task:
    """A task on a packed set (.zsgd), or on whatever `host.readers.read_dataset` reads.

    Raises
    ------
    InputError
        If the data cannot be read or the engine cannot run this training.
    """
    if Path(data).suffix == ".zsgd":
        if target is not None or drop_constant or one_hot or impute:
            raise InputError(f"{data} is packed; leave out the options on how to read data")
        return prepare_packed(open_packed(Path(data)), options)

    def read() -> Dataset:
        return read_dataset(data, target, drop_constant, one_hot, impute)

    fits = not (options.unsigned or options.class_weight or options.sample_weight)
    if not fits or not worth_keeping(data):  # packed sets have neither unsigned codes nor weights
        return prepare(read(), options)
    packing = PackOptions(
        bits=options.bits,
        rounding=options.rounding,
        copies=min(options.copies, options.epochs),
        scale=options.scale,
        seed=options.seed,
        holdout=options.holdout,
        config=options.config,
    )
    reading = {
        "target": target,
        "drop_constant": drop_constant,
        "one_hot": one_hot,
        "impute": impute,
    }
    return prepare_packed(cached_set(data, reading, packing, read), options)
