"""How numbers are written into files and read from them: a change of digits or types here changes every result."""

from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import safetensors.numpy

Arrays = dict[str, np.ndarray]
FLOATS = "%.6g"  # of a csv


def write(path: Path, data: Arrays | pd.DataFrame) -> None:
    """Write arrays (``.npz``, ``.safetensors``) or a table (``.csv``) into a file, in place.

    Parameters
    ----------
    path : Path
        Its suffix tells the format.
    data : dict of ndarray, or DataFrame
        What to write. Floats of a table are written with 6 significant digits.
    """
    if isinstance(data, pd.DataFrame):
        data.to_csv(path, index=False, float_format=FLOATS, lineterminator="\n")
    elif path.suffix == ".safetensors":
        # save_file would rename a file of its own into place
        path.write_bytes(safetensors.numpy.save({name: np.asarray(a, order="C") for name, a in data.items()}))
    else:
        np.savez(path, **data)


def read_arrays(file: IO[bytes], suffix: str) -> Arrays:
    """Read arrays from an open file, without unpickling anything; errors are those of the libraries."""
    if suffix == ".safetensors":
        return dict(safetensors.numpy.load(file.read()))
    with np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def read_table(file: IO[bytes]) -> pd.DataFrame:
    """Read a table from an open file, likewise."""
    return pd.read_csv(file)
