"""HDF5 files of unknown origin: opened only if whole, and if all their data are inside."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from obdistill.core.errors import UserError
from obdistill.datasets.checks import Unpacking
from obdistill.datasets.files import refuse_pointer

# registered numbers (https://github.com/HDFGroup/hdf5_plugins) of those that are met most
FILTERS = {
    307: "bzip2",
    32000: "LZF",
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32017: "SZ",
    32026: "Blosc2",
}


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
    refuse_pointer(path)
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
        except (OSError, RuntimeError, KeyError, ValueError, SystemError) as error:  # h5py passes on what HDF5 meets
            raise UserError(f"{name}: damaged HDF5 file ({_one_line(error)})") from None


def read_array(group: h5py.Group, key: str, unpacking: Unpacking) -> np.ndarray:
    """Read one numeric array.

    Parameters
    ----------
    group : Group
        Where the array is.
    key : str
        Its name.
    unpacking : Unpacking
        Counts the bytes of all arrays that are read from the file.

    Raises
    ------
    UserError
        If there is no such array, it does not hold numbers, was never written, cannot be unpacked here or would fill
        the memory.
    """
    name = f"{group.file.filename}: {group.name.strip('/')}/{key}".replace(": /", ": ")
    item = group.get(key)
    if not isinstance(item, h5py.Dataset):
        raise UserError(f"{group.file.filename}: lacks the array {key!r} in {group.name}; it has: {_listed(group)}")
    if item.dtype.kind not in "fiub":
        raise UserError(f"{name}: holds {item.dtype}; numbers are needed")
    if item.shape is None:
        raise UserError(f"{name}: is empty; numbers are needed")
    for code in _filters(item):
        if not h5py.h5z.filter_avail(code):
            raise UserError(
                f"{name}: is packed with the filter {code} ({FILTERS.get(code, 'not known here')}), which is not "
                "installed; repack the file with gzip (h5repack -f GZIP=4), or make it available by HDF5_PLUGIN_PATH"
            )
    unpacking.take(item.nbytes)
    if missing := _unwritten(item):
        raise UserError(f"{name}: {missing} of its pieces were never written; the file is not whole")
    return np.asarray(item[()])


def _filters(item: h5py.Dataset) -> list[int]:
    plan = item.id.get_create_plist()
    return [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]


def _unwritten(item: h5py.Dataset) -> str:
    """Say how many pieces of an array have no place in the file: HDF5 would fill in zeros without a word."""
    if item.chunks is None:
        return "all" if item.nbytes and not item.id.get_storage_size() else ""
    needed = math.prod(-(-size // chunk) for size, chunk in zip(item.shape, item.chunks, strict=True))
    missing = needed - item.id.get_num_chunks()
    return f"{missing} of {needed}" if missing > 0 else ""


def _listed(group: h5py.Group) -> str:
    names = ", ".join(group) or "nothing"
    return names if len(names) <= 200 else names[:197] + "..."


def _has_data_elsewhere(item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and (bool(item.external) or item.is_virtual)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
