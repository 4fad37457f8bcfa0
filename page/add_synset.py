"""Put a synset, and random pairs beside it, on the page: two JSON files and an entry of ``synsets/index.json``.

``python page/add_synset.py NAME --distilled SYNSET.npz RETURNS.csv --random SYNSET.npz RETURNS.csv``

The returns are what ``obd evaluate`` wrote for each synset: the page trains policies by the settings that they were
made with, and shows the library's returns beside its own.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

from obdistill import read_synset
from obdistill.core.artifacts import read_sidecar
from obdistill.core.atomic import replacing
from obdistill.exports.forms import plain
from obdistill.policies.settings import BcSettings

FOLDER = Path(__file__).resolve().parent / "synsets"


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
        write(folder / entry[kind], plain(read_synset(pairs), BcSettings(**read_sidecar(returns)["settings"]["bc"])))
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
