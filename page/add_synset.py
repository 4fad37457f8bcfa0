"""Put a synset, and random pairs beside it, on the page: two JSON files and an entry of ``synsets/index.json``.

``python page/add_synset.py NAME --distilled SYNSET.npz RETURNS.csv --random SYNSET.npz RETURNS.csv``

The returns are what ``obd evaluate`` wrote for each synset: the page trains policies by the settings that they were
made with, and shows the library's returns beside its own.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from obdistill import Synset, read_synset
from obdistill.core.artifacts import read_sidecar
from obdistill.core.atomic import replacing
from obdistill.core.units import STD_FLOOR

FOLDER = Path(__file__).resolve().parent / "synsets"


def page_synset(synset: Synset, bc: dict[str, Any]) -> dict[str, Any]:
    """Return the last snapshot of a synset as the page reads it.

    Parameters
    ----------
    synset : Synset
        What to show.
    bc : dict
        All keys of `BcSettings`: how policies are trained on it.

    Returns
    -------
    dict
        ``task``, ``env_id``, ``method``, ``variant``, ``seed``, ``step``; ``observations`` (N, S) and ``actions`` (N,
        A) in the environment's units; ``normalizer``: the arrays of `Normalizer`, and ``std_floor``, which is to be
        added to ``state_std``; ``bc``.
    """
    return {
        **synset.task.metadata(),
        **{"method": synset.method, "variant": synset.variant, "seed": synset.seed, "size": synset.size},
        "step": int(synset.steps[-1]),
        "observations": short(synset.observations[-1]),
        "actions": short(synset.actions[-1]),
        "normalizer": {name: short(array) for name, array in synset.normalizer.arrays().items()}
        | {"std_floor": STD_FLOOR},
        "bc": bc,
    }


def short(array: np.ndarray) -> Any:
    """Return a float32 array as lists, whose numbers JSON writes with as many digits as float32 has."""
    return [short(row) for row in array] if array.ndim > 1 else [float(str(value)) for value in array]


def library_returns(table: pd.DataFrame) -> dict[str, Any]:
    """Return what the page shows of the returns of a synset's last evaluated snapshot."""
    last = table[table["step"] == table["step"].max()]
    returns = last["return"]
    return {
        "mean": round(float(returns.mean()), 1),
        "low": round(float(returns.min()), 1),
        "high": round(float(returns.max()), 1),
        "policies": int(last["policy"].nunique()),
        "episodes": len(returns),
    }


def add(name: str, distilled: list[Path], random: list[Path], folder: Path = FOLDER) -> None:
    """Write both synsets, and put them into the list; an entry of the same name is replaced.

    Parameters
    ----------
    name : str
        As the page shows it, e.g. ``HalfCheetah medium``.
    distilled, random : list of Path
        Synset and its returns.
    folder : Path
        Where to write.
    """
    index = folder / "index.json"
    entry: dict[str, Any] = {"name": name, "returns": {}}
    for kind, (pairs, returns) in (("distilled", distilled), ("random", random)):
        entry[kind] = f"{name.lower().replace(' ', '_')}_{kind}.json"
        entry["returns"][kind] = library_returns(pd.read_csv(returns))
        write(folder / entry[kind], page_synset(read_synset(pairs), read_sidecar(returns)["settings"]["bc"]))
    others = json.loads(index.read_text()) if index.exists() else []
    write(index, [*(other for other in others if other["name"] != name), entry])


def write(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    with replacing(path) as to:
        to.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="as the page shows it, e.g. 'HalfCheetah medium'")
    for kind in ("distilled", "random"):
        parser.add_argument(f"--{kind}", nargs=2, type=Path, required=True, metavar=("SYNSET", "RETURNS"))
    given = parser.parse_args()
    add(given.name, given.distilled, given.random)
