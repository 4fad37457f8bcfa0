"""The zoo: synsets that come with the package, by name."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from obdistill.core.errors import UserError

if TYPE_CHECKING:
    from obdistill.synsets.synset import Synset

FOLDER = Path(__file__).parents[1] / "zoo"
INDEX = "index.json"
PREFIX = "zoo:"  # of a name where a path is expected


def entries(folder: Path | None = None) -> dict[str, Any]:
    """Return the index: by name, the seed ``best`` and, for each of ``seeds``, ``file``, ``sha256`` and ``score``."""
    index = (folder or FOLDER) / INDEX
    found: dict[str, Any] = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else {}
    return found


def find(name: str, seed: int | None = None) -> Path:
    """Return the file of a synset.

    Parameters
    ----------
    name : str
        One of the index, or ``NAME/seedN``.
    seed : int, optional
        Of the distillation; the one with the best mean score if left out.

    Raises
    ------
    UserError
        If there is no such synset; the message lists those there are.
    """
    known = entries()
    base, _, of_name = name.partition("/")
    if base not in known:
        raise UserError(f"zoo: {base!r} is not in it; there are: {', '.join(sorted(known)) or 'none'}")
    seeds = known[base]["seeds"]
    if of_name and not re.fullmatch(r"seed\d+", of_name):
        raise UserError(f"zoo: {name!r}: {base} or {base}/seed{known[base]['best']} is needed")
    wanted = of_name.removeprefix("seed") or str(known[base]["best"] if seed is None else seed)
    if wanted not in seeds:
        raise UserError(f"zoo: {base} has no seed {wanted}; there are: {', '.join(sorted(seeds, key=int))}")
    return FOLDER.joinpath(seeds[wanted]["file"])


def load(name: str, seed: int | None = None) -> "Synset":
    """Load a synset of the zoo.

    Parameters
    ----------
    name : str
        E.g. ``halfcheetah_medium``.
    seed : int, optional
        Of the distillation. Left out: the one whose policies had the best mean score, which is chosen by the
        environment and too high by chance; the mean over all seeds is on the synset's card.

    Returns
    -------
    synset : Synset
        For `obdistill.train`.

    Raises
    ------
    UserError
        If there is no such synset; the message lists those there are.
    """
    from obdistill.synsets.synset import read_synset  # here, for commands find files without torch

    return read_synset(find(name, seed))
