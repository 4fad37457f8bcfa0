"""Columns of numbers in Arrow's tables, and Parquet files of them; pyarrow is an optional package."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from obdistill.core.artifacts import Arrays
from obdistill.core.errors import UserError
from obdistill.datasets import checks
from obdistill.datasets.checks import Unpacking
from obdistill.datasets.files import refuse_pointer


def need_pyarrow(path: Path, form: str) -> None:
    """Check that pyarrow is installed.

    Raises
    ------
    UserError
        If it is not; the line says what to install.
    """
    try:
        import pyarrow.dataset
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UserError(
            f"{path}: is in {form} format; reading it needs pyarrow: pip install 'obdistill[arrow]'"
        ) from None


def column_names(path: Path) -> list[str]:
    """List the columns of a Parquet file; raises UserError if it is none."""
    return list(_open(path).schema_arrow.names)


def read_parquet(paths: Sequence[Path], names: Collection[str]) -> Arrays:
    """Read columns of numbers from Parquet files, one after another.

    Parameters
    ----------
    paths : sequence of Path
        Files with the same columns.
    names : collection of str
        The columns to read; nothing else is.

    Returns
    -------
    dict of ndarray
        By name: (rows,), or (rows, length) for a column of lists of one length.

    Raises
    ------
    UserError
        If a file is missing or damaged, lacks a column, would fill the memory, or a column holds anything but numbers.
    """
    unpacking = Unpacking(str(paths[0]), checks.total_size(list(paths)))
    parts = [_read(path, names, unpacking) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        for name in names:
            if part[name].shape[1:] != parts[0][name].shape[1:]:
                raise UserError(f"{path}: {name} has rows of shape {part[name].shape[1:]}; other files have others")
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def numbers(column: Any, name: str) -> np.ndarray:
    """Return a column as (rows,) or, of lists, (rows, length).

    Raises
    ------
    UserError
        If a value is missing, or lists differ in length.
    """
    import pyarrow.compute

    if column.null_count:
        raise UserError(f"{name}: {column.null_count} of {len(column)} rows have no value")
    if not _is_list(column.type):
        return np.asarray(column.to_numpy())
    rows = column.combine_chunks()
    lengths = np.unique(pyarrow.compute.list_value_length(rows).to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise UserError(f"{name}: its rows hold {lengths[0]} to {lengths[-1]} numbers; equally many are needed")
    values = rows.flatten()
    if values.null_count:
        raise UserError(f"{name}: {values.null_count} numbers have no value")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(column), -1 if len(column) else 0)


def _open(path: Path) -> Any:
    need_pyarrow(path, "parquet")
    import pyarrow.parquet

    if not path.is_file():
        raise UserError(f"{path}: no such file")
    refuse_pointer(path)
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: is no readable Parquet file ({_one_line(error)})") from None


def _read(path: Path, names: Collection[str], unpacking: Unpacking) -> Arrays:
    """Read the columns of one file; its metadata tell first how many numbers they hold."""
    import pyarrow

    file = _open(path)
    for name in names:
        if name not in file.schema_arrow.names:
            raise UserError(f"{path}: lacks the column {name!r}; it has: {', '.join(file.schema_arrow.names)!s:.200}")
        _check_type(file.schema_arrow.field(name).type, f"{path}: {name}")
    try:
        groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
        columns = [group.column(index) for group in groups for index in range(group.num_columns)]
        unpacking.take(sum(8 * column.num_values for column in columns if column.path_in_schema.split(".")[0] in names))
        table = file.read(columns=list(names), use_threads=False)
        table.validate(full=True)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: is no readable Parquet file ({_one_line(error)})") from None
    return {name: numbers(table[name], f"{path}: {name}") for name in names}


def _check_type(kind: Any, name: str) -> None:
    from pyarrow import types

    inner = kind.value_type if _is_list(kind) else kind
    if not (types.is_integer(inner) or types.is_floating(inner) or types.is_boolean(inner)):
        raise UserError(f"{name} holds {kind!s:.80}; numbers, or lists of numbers, are needed")


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
