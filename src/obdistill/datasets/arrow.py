"""Minari datasets in Arrow or Parquet format: one folder per episode, one row per state."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from obdistill.core.errors import UserError
from obdistill.datasets.checks import Unpacking

PADDED = ("actions", "rewards", "terminations", "truncations")  # with one row more than there are steps


def episodes(data: Path, data_format: str, count: int, unpacking: Unpacking) -> Iterator[dict[str, np.ndarray]]:
    """Read the columns of each episode: T + 1 observations, T of all others.

    Parameters
    ----------
    data : Path
        Folder with one folder per episode, named 0, 1, 2, ...
    data_format : str
        ``arrow`` or ``parquet``.
    count : int
        Number of episodes.
    unpacking : Unpacking
        Counts the bytes that are read.

    Raises
    ------
    UserError
        If an episode is missing or damaged, or does not hold numbers.
    """
    try:
        import pyarrow
        import pyarrow.dataset
    except ImportError:
        raise UserError(
            f"{data}: is in {data_format} format; reading it needs pyarrow: pip install 'obdistill[arrow]'"
        ) from None
    for index in range(count):
        folder = data / str(index)
        try:
            parts = pyarrow.dataset.dataset(folder, format=data_format, ignore_prefixes=["_", ".", "metadata.json"])
            missing = [key for key in ("observations", *PADDED) if key not in parts.schema.names]
            if missing:
                raise UserError(f"{folder}: lacks the column {missing[0]!r}")
            widths = [_bytes_per_row(parts.schema.field(key), folder) for key in ("observations", *PADDED)]
            unpacking.take(parts.count_rows() * sum(widths))
            table = parts.to_table(columns=["observations", *PADDED])
            table.validate(full=True)
            columns = {key: _numbers(table[key], f"{folder}: {key}") for key in table.column_names}
        except (OSError, ValueError, LookupError, pyarrow.ArrowException) as error:
            text = " ".join(str(error).split())[:200]
            raise UserError(f"{folder}: cannot be read as {data_format} ({text})") from None
        yield {key: column[:-1] if key in PADDED else column for key, column in columns.items()}


def episode_count(data: Path) -> int:
    """Count the folders of episodes."""
    return sum(path.name.isdecimal() and path.is_dir() for path in data.iterdir())


def _bytes_per_row(field: Any, folder: Path) -> int:
    """Return the size of a row of numbers, or of lists of numbers of one length."""
    from pyarrow import types

    kind = field.type
    length = kind.list_size if types.is_fixed_size_list(kind) else 1
    kind = kind.value_type if types.is_fixed_size_list(kind) else kind
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise UserError(f"{folder}: {field.name} holds {field.type}; numbers, or lists of one length, are needed")
    return int(length * max(1, kind.bit_width // 8))


def _numbers(column: Any, name: str) -> np.ndarray:
    """Return a column as (rows,) or, of lists, (rows, length)."""
    if column.null_count:
        raise UserError(f"{name}: {column.null_count} of {len(column)} rows have no value")
    if not hasattr(column.type, "list_size"):
        return np.asarray(column.to_numpy())
    values = column.combine_chunks().flatten()
    if values.null_count:
        raise UserError(f"{name}: {values.null_count} numbers have no value")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(column), column.type.list_size)
