"""PyTorch checkpoints of unknown origin: read without running anything that they may hold, as plain arrays."""

import logging
import pickle
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from obdistill.core.errors import UserError
from obdistill.datasets.checks import Unpacking

WRAPPERS = {"_orig_mod", "module"}  # torch.compile and DataParallel put these into names
DEEPEST = 5  # levels of mappings that are looked through
MOST_VALUES = 100_000  # in all of them
log = logging.getLogger(__name__)


class _Scalar:
    """Stands in for a module that CORL pickles whole, the log of an entropy weight; its content is not used."""


def load(path: Path) -> Any:
    """Load a checkpoint: tensors, arrays and plain values.

    Raises
    ------
    UserError
        If the file is damaged, or holds anything else.
    """
    has_checksums = _check_archive(path)
    allowed: list[Any] = [(_Scalar, "__main__.Scalar"), *_numpy_globals()]
    try:
        with torch.serialization.safe_globals(allowed), torch.sparse.check_sparse_tensor_invariants():
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = " ".join(str(error).partition("WeightsUnpickler error:")[2].split())[:160]
        raise UserError(f"{path}: refused: holds more than tensors and plain values ({reason})") from None
    except Exception as error:  # damaged pickles end in errors of any type
        raise UserError(f"{path}: is no readable PyTorch checkpoint ({' '.join(str(error).split())[:160]})") from None
    if not has_checksums:
        log.warning("%s: is in PyTorch's old format, which has no checksums: damage may go unnoticed", path)
    return content


def named_values(content: Any, path: Path) -> Iterator[tuple[str, Any]]:
    """Go through nested mappings and give each value with its dotted name, wrappers' parts left out.

    Raises
    ------
    UserError
        If there are over 100,000: a mapping may hold another one, or itself, many times.
    """
    seen = 0
    waiting: deque[tuple[tuple[str, ...], Any]] = deque([((), content)])
    while waiting:
        prefix, mapping = waiting.popleft()
        for key, value in mapping.items() if isinstance(mapping, Mapping) else ():
            seen += 1
            if seen > MOST_VALUES:
                raise UserError(f"{path}: refused: holds more than {MOST_VALUES} values")
            parts = (*prefix, *(part for part in str(key).split(".") if part not in WRAPPERS))
            if isinstance(value, Mapping) and len(prefix) < DEEPEST:
                waiting.append((parts, value))
            else:
                yield ".".join(parts), value


def as_array(value: Any, name: str, unpacking: Unpacking) -> np.ndarray:
    """Return a tensor, array or list of real numbers as a plain array; low precision becomes float32.

    Raises
    ------
    UserError
        If it holds other numbers, is of a kind that has no plain form, or would fill the memory.
    """
    try:
        if isinstance(value, torch.Tensor):
            if not value.is_floating_point():
                raise UserError(f"{name}: holds {value.dtype} numbers; floating-point numbers are needed")
            unpacking.take(8 * value.numel())
            dense = value.detach() if value.layout == torch.strided else value.detach().to_dense()
            return (dense if dense.dtype == torch.float64 else dense.to(torch.float32)).numpy().copy()
        array = np.array(value, np.float64 if isinstance(value, list | tuple) else None)
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        raise UserError(f"{name}: is no plain tensor ({' '.join(str(error).split())[:120]})") from None
    if array.dtype.kind not in "fiu":
        raise UserError(f"{name}: holds {array.dtype!s:.40}; numbers are needed")
    return array


def _check_archive(path: Path) -> bool:
    """Compare checksums, as PyTorch does not, and refuse what would fill the memory; return whether there are any."""
    is_archive = zipfile.is_zipfile(path)
    if is_archive:
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
                Unpacking(str(path), path.stat().st_size).take(sum(entry.file_size for entry in entries))
                damaged = archive.testzip()
                pickles = [archive.read(entry) for entry in entries if entry.filename.endswith(".pkl")]
        except UserError:
            raise
        except Exception as error:  # zipfile raises what it meets: NotImplementedError, UnicodeError, zlib's errors
            damaged = " ".join(str(error).split())[:120] or type(error).__name__
        if damaged is not None:
            raise UserError(f"{path}: damaged: a checksum does not fit ({damaged})")
    else:
        pickles = [path.read_bytes()]
    # a bytearray of any size is made by a few bytes, and PyTorch allows it
    if any(b"bytearray" in text for text in pickles):
        raise UserError(f"{path}: refused: holds more than tensors and plain values (a bytearray)")
    return is_archive


def _numpy_globals() -> list[Any]:
    """List what a pickled array of numbers refers to; none of it runs code of the file."""
    kinds = (np.float16, np.float32, np.float64, np.int32, np.int64)
    values: list[Any] = [np.zeros(0), np.float64(0)]
    makers = [value.__reduce__()[0] for value in values]
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")  # before and since NumPy 2
    named = [(maker, f"{module}.{maker.__name__}") for maker in makers for module in modules]
    return [*named, np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in kinds)]
