"""Parquet and Arrow files, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import InputError
from .checks import LARGEST, one_line, value_fault
from .dataset import Dataset, Floats
from .gather import FREE_BYTES, MAX_EXPANSION
from .sources import DAMAGE, Source, damaged
from .tables import TableBuilder, TableOptions

PARQUET_MAGIC, ARROW_MAGIC = b"PAR1", b"ARROW1"
BATCH_ROWS = 1 << 14


def read_arrow(source: Source, options: TableOptions) -> Dataset:
    """Numbers and booleans as they are; text is for columns with categories.

    Raises
    ------
    InputError
        If the file is damaged, or holds what cannot be trained on.
    """
    import pyarrow as pa

    try:
        names, batches = _open(source)
        builder = TableBuilder(source.name, source.size, names, options)
        first = 0
        for batch in batches:
            columns = [_column(builder, j, batch.column(j), first) for j in range(len(names))]
            builder.append(np.column_stack(columns))
            first += batch.num_rows
    except InputError:
        raise
    except (pa.ArrowException, ValueError, TypeError, KeyError, NotImplementedError, *DAMAGE) as f:
        raise damaged(source.name, f, source.size) from f
    return builder.finish()


def _open(source: Source) -> tuple[list[str], Iterator[Any]]:
    """Names of the columns, and batches of rows."""
    import pyarrow as pa
    from pyarrow import parquet

    magic = source.peek(6)
    file = source.seekable()
    if magic.startswith(PARQUET_MAGIC):
        opened = parquet.ParquetFile(file)
        rows, schema = opened.metadata.num_rows, opened.schema_arrow
        most = max(MAX_EXPANSION * source.size, FREE_BYTES)
        if rows * len(schema.names) * 8 > most:
            raise InputError(
                f"{source.name} claims {rows} rows in {source.size} bytes, which would take more "
                f"than {most >> 30} GiB; select rows or columns"
            )
        return list(map(one_line, schema.names)), opened.iter_batches(BATCH_ROWS)
    reader = pa.ipc.open_file(file)
    return list(map(one_line, reader.schema.names)), _small(reader)


def _small(reader: Any) -> Iterator[Any]:
    """The batches of an Arrow file, cut to `BATCH_ROWS`."""
    for index in range(reader.num_record_batches):
        batch = reader.get_batch(index)
        batch.validate(full=True)
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)


def _column(builder: TableBuilder, column: int, array: Any, first: int) -> Floats:
    """The values of a column of a batch whose first row has this number."""
    import pyarrow as pa

    name, kind = builder.names[column], array.type
    if pa.types.is_dictionary(kind):
        array = array.cast(kind.value_type)
        kind = array.type
    values: Floats
    if column in builder.categories:
        texts = array.to_pylist()
        values = np.array(
            [np.nan if text is None else builder.code(column, str(text)) for text in texts],
            dtype=np.float64,
        )
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        values = array.cast(pa.int8() if pa.types.is_boolean(kind) else kind).to_numpy(False)
        values = values.astype(np.float64)
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
        values = array.cast(pa.float64()).to_numpy(False)
    else:
        hint = "encode it as a number"
        if column != builder.target and builder.options.encoding is None:
            hint = f"pass --one-hot {name}"
        raise InputError(f"{builder.source}: column {name} holds {kind}, not numbers; {hint}")
    missing = np.isnan(values)
    if missing.any() and (column == builder.target or not builder.impute):
        row = first + int(missing.argmax())
        remedy = "remove the row"
        if column != builder.target and builder.options.encoding is None:
            remedy = "pass --impute or remove the row"
        raise InputError(
            f"{builder.source}: row {row} (from 0) of column {name} is missing; {remedy}"
        )
    wrong = ~missing & ~(np.abs(values) <= LARGEST)
    if wrong.any():
        row = int(wrong.argmax())
        what = f"row {first + row} (from 0) of column {name}"
        raise InputError(f"{builder.source}: {value_fault(what, float(values[row]))}")
    return values
