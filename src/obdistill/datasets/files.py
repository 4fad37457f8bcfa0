"""Where the files of a dataset are; imports nothing heavy, as the workflow asks at every start."""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from obdistill.core.errors import UserError

ROOT_VARIABLE = "MINARI_DATASETS_PATH"  # where Minari looks for its root
DATA_FOLDER, METADATA_FILE, HDF5_FILE = "data", "metadata.json", "main_data.hdf5"  # Minari's own layout
LEROBOT_INFO = Path("meta/info.json")


def expand(path: str | Path) -> Path:
    """Return a path with a leading ``~`` replaced by the home folder.

    Raises
    ------
    UserError
        If there is no such user, or the user has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: the home folder is not known; write the whole path") from None


def is_url(text: str) -> bool:
    """Tell whether a text is a URL of HTTP."""
    return re.match("https?://", text, re.IGNORECASE) is not None


def default_cache() -> Path:
    """Return the folder of downloads: ``$OBD_CACHE``, else ``obd`` in the user's cache folder."""
    if own := os.environ.get("OBD_CACHE"):
        return expand(own)
    try:
        return expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "obd"
    except UserError:
        raise UserError("~/.cache: the home folder is not known; set OBD_CACHE to a folder for downloads") from None


def refuse_pointer(path: Path) -> None:
    """Refuse a text that stands for a file that has not been fetched.

    Raises
    ------
    UserError
        If it is a pointer of Git LFS or git-annex.
    """
    with path.open("rb") as file:
        start = file.read(64)
    for beginning, command in ((b"version https://git-lfs", "git lfs pull"), (b"/annex/objects/", "git annex get")):
        if start.startswith(beginning):
            raise UserError(f"{path}: only points to the file, which has not been fetched; run {command}")


def sha256_of(paths: Iterable[Path]) -> str:
    """Return one SHA-256 of the contents of files, in their order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def minari_root(root: Path | None) -> Path:
    """Return the folder of Minari datasets: the given one, else Minari's own default."""
    return expand(root or os.environ.get(ROOT_VARIABLE) or "~/.minari/datasets")


def data_files(root: Path | None, name: str) -> list[Path]:
    """List the files that a Minari dataset consists of, sorted; none if it is not there.

    Parameters
    ----------
    root : Path or None
        Folder of Minari datasets; None for Minari's default.
    name : str
        The dataset's id.

    Returns
    -------
    list of Path
        HDF5: the data and ``metadata.json``. Arrow and Parquet: every file of every episode, and ``metadata.json``.
    """
    return files_of(minari_root(root) / name)


def files_of(folder: Path) -> list[Path]:
    """List the files of the dataset in a folder; see `data_files`."""
    data = folder / DATA_FOLDER
    if (data / HDF5_FILE).is_file():
        return [path for path in (data / HDF5_FILE, data / METADATA_FILE) if path.is_file()]
    # pyarrow passes over names with a leading . or _
    return sorted(path for path in data.rglob("[!._]*") if path.is_file())


def lerobot_files(folder: Path) -> list[Path]:
    """List the files that are read of a LeRobot dataset, as far as they are there: frames, then their description."""
    found = [*sorted(folder.glob("data/chunk-*/file-*.parquet")), folder / LEROBOT_INFO]
    return [path for path in found if path.is_file()]
