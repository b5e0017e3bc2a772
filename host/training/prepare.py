"""From what the user names to a task: a packed set, a file that is packed in the cache, or data."""

from __future__ import annotations

from pathlib import Path

from ..codes.data_cache import cached_set, worth_keeping
from ..codes.packed import PackedSet, PackOptions, open_packed
from ..data.dataset import Dataset
from ..data.file_format import read_dataset
from ..errors import InputError
from ..options.options import Options
from .loop import Task, prepare, prepare_packed


def prepare_source(
    data: str,
    target: str | None,
    drop_constant: bool,
    options: Options,
    one_hot: tuple[str, ...] = (),
    impute: bool = False,
    given: frozenset[str] = frozenset(),
) -> Task:
    """A task on a packed set (.zsgd), or on whatever `host.data.file_format.read_dataset` reads.

    ``given`` are the fields of ``options`` that the user named: those that a packed set decides may
    not contradict it.

    Raises
    ------
    InputError
        If the data cannot be read or the engine cannot run this training.
    """
    if Path(data).suffix == ".zsgd":
        reads = target is not None or drop_constant or bool(one_hot) or impute
        return prepare_packed(open_agreeing(data, reads, options, given), options)

    def read() -> Dataset:
        return read_dataset(data, target, drop_constant, one_hot, impute, options.sample_weight)

    fits = not (options.unsigned or options.weighted)
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


def open_agreeing(data: str, reads: bool, options: Options, given: frozenset[str]) -> PackedSet:
    """The packed set ``data``, which contradicts nothing that the user named.

    Parameters
    ----------
    reads : bool
        Whether an option says how to read data.
    options : Options
    given : frozenset of str
        See `prepare_source`.

    Raises
    ------
    InputError
        If it cannot be opened, or contradicts an option.
    """
    if reads:
        raise InputError(f"{data} is packed; leave out the options on how to read data")
    packed = open_packed(Path(data))
    _check_agreement(data, packed, options, given)
    return packed


def _check_agreement(data: str, packed: PackedSet, options: Options, given: frozenset[str]) -> None:
    """Raises `InputError` if an option that the user named is not what ``packed`` was made with."""
    for name, value in packed.decided.items():
        asked = getattr(options, name)
        if name in given and asked != value:
            raise InputError(
                f"{data} is packed with --{name} {value} and the command line says --{name} "
                f"{asked}; leave the option out, or pack the data again with it"
            )
