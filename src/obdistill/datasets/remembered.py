"""Files that carry no checksum: the one of the first reading is remembered, and demanded while their date stays.

A plain HDF5 file, a checkpoint in PyTorch's old format or a JSON file shows no damage to a single number. What is read
for the first time cannot be checked, but for the setting ``sha256``; from then on, other bytes under the same date and
size are damage. A file with another date is another file: a user may record data again.
"""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from obdistill.core import atomic
from obdistill.core.errors import UserError
from obdistill.datasets.files import default_cache


def check(paths: Sequence[Path], sha256: str) -> None:
    """Compare files with what they were when they were last read here, and remember what they are.

    Parameters
    ----------
    paths : sequence of Path
        Files of one source, all there; the first names it in messages.
    sha256 : str
        Checksum of their contents, one after another.

    Raises
    ------
    UserError
        If they have the dates and sizes of the last reading, but another checksum.
    """
    if not paths:
        return
    name = paths[0].absolute()
    try:
        note = default_cache() / "read" / f"{hashlib.sha256(str(name).encode()).hexdigest()}.json"
    except UserError:  # a user without a home folder
        return
    now = {"file": str(name), "dates": [[path.stat().st_mtime_ns, path.stat().st_size] for path in paths]}
    known: object = None
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(note.read_bytes())
    if known == {**now, "sha256": sha256}:
        return
    if isinstance(known, dict) and known.get("dates") == now["dates"] and known.get("file") == now["file"]:
        raise UserError(
            f"{paths[0]}: damaged: its sha256 is {sha256}, but was {known.get('sha256')!s:.64} when it was last read, "
            f"with the same date and size; fetch it anew (or delete {note} if it was changed on purpose)"
        )
    with contextlib.suppress(UserError):  # a folder that nobody may write to
        atomic.write_json(note, {**now, "sha256": sha256})
