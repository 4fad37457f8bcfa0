"""HDF5 files of unknown origin: opened only if whole, and if all their data are inside."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from obdistill.core.errors import UserError


@contextmanager
def open_self_contained(path: Path, name: str | None = None) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; `name` is what messages call it (default: its path).

    Raises
    ------
    UserError
        If the file is missing, is no HDF5, is cut short, or refers to other files (external links, external storage,
        virtual datasets): reading those would put any readable file of this machine into a dataset.
    """
    name = name or str(path)
    if not path.is_file():
        raise UserError(f"{name}: no such file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(f"{name}: is no HDF5 file, or only a part of one ({_one_line(error)})") from None
    with file:
        try:
            # a visit ends with the first value that is not None
            outside = file.visititems_links(lambda key, link: key if isinstance(link, h5py.ExternalLink) else None)
            outside = outside or file.visititems(lambda key, item: key if _has_data_elsewhere(item) else None)
            if outside:
                raise UserError(f"{name}: {outside!r} refers to another file; only data inside the file are read")
            yield file
        except (OSError, RuntimeError, KeyError) as error:
            raise UserError(f"{name}: damaged HDF5 file ({_one_line(error)})") from None


def read_array(file: h5py.File, key: str) -> np.ndarray:
    """Read one numeric array.

    Raises
    ------
    UserError
        If there is no such array, or it does not hold numbers.
    """
    item = file.get(key)
    if not isinstance(item, h5py.Dataset):
        raise UserError(f"{file.filename}: lacks the array {key!r}; it has: {', '.join(file) or 'nothing'}")
    if item.dtype.kind not in "fiub":
        raise UserError(f"{file.filename}: {key} holds {item.dtype}; numbers are needed")
    if item.nbytes > max(2**30, 100 * item.id.get_storage_size()):
        raise UserError(
            f"{file.filename}: {key}: refused: would unpack to {item.nbytes / 2**30:.1f} GiB; at most 1 GiB is allowed"
        )
    return np.asarray(item[()])


def _has_data_elsewhere(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and (bool(item.external) or item.is_virtual)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
