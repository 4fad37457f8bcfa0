"""Minari datasets in Arrow or Parquet format: one folder per episode, one row per state."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from obdistill.core.errors import UserError
from obdistill.datasets import tables
from obdistill.datasets.checks import Unpacking


def episodes(
    data: Path, data_format: str, names: Iterable[str], count: int, unpacking: Unpacking
) -> Iterator[dict[str, np.ndarray]]:
    """Read the columns of each episode: T + 1 observations, T of all others.

    Parameters
    ----------
    data : Path
        Folder with one folder per episode, named 0, 1, 2, ...
    data_format : str
        ``arrow`` or ``parquet``.
    names : iterable of str
        Columns to read; ``observations/key`` is a field of the column ``observations``.
    count : int
        Number of episodes.
    unpacking : Unpacking
        Counts the bytes that are read.

    Raises
    ------
    UserError
        If an episode is missing or damaged, or does not hold numbers.
    """
    tables.need_pyarrow(data, data_format)
    import pyarrow.dataset

    names = list(names)
    for index in range(count):
        folder = data / str(index)
        try:
            parts = pyarrow.dataset.dataset(folder, format=data_format, ignore_prefixes=["_", ".", "metadata.json"])
            widths = [_bytes_per_row(_field(parts.schema, name, folder), folder) for name in names]
            unpacking.take(parts.count_rows() * sum(widths))
            table = parts.to_table(columns={name: pyarrow.dataset.field(*name.split("/")) for name in names})
            table.validate(full=True)
            columns = {name: tables.numbers(table[name], f"{folder}: {name}") for name in names}
        except (OSError, ValueError, LookupError, pyarrow.ArrowException) as error:
            text = " ".join(str(error).split())[:200]
            raise UserError(f"{folder}: cannot be read as {data_format} ({text})") from None
        # all but the states have one row more than there are steps
        yield {name: column if name.startswith("observations") else column[:-1] for name, column in columns.items()}


def episode_count(data: Path) -> int:
    """Count the folders of episodes."""
    return sum(path.name.isdecimal() and path.is_dir() for path in data.iterdir())


def _field(schema: Any, name: str, folder: Path) -> Any:
    """Return the field of a column, or that within a column of structs."""
    from pyarrow import types

    found, kind = None, schema
    for part in name.split("/"):
        if not (kind is schema or types.is_struct(kind)) or part not in kind.names:
            raise UserError(f"{folder}: lacks the column {name!r}")
        found = kind.field(part)
        kind = found.type
    return found


def _bytes_per_row(field: Any, folder: Path) -> int:
    """Return the size of a row of numbers, or of lists of numbers of one length."""
    from pyarrow import types

    kind = field.type
    length = kind.list_size if types.is_fixed_size_list(kind) else 1
    kind = kind.value_type if types.is_fixed_size_list(kind) else kind
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise UserError(f"{folder}: {field.name} holds {field.type}; numbers, or lists of one length, are needed")
    return int(length * max(1, kind.bit_width // 8))
