"""The zoo made from finished results: all seeds of some synsets, the best one named, with cards and an index."""

import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from obdistill.core.artifacts import metadata_of, sha256
from obdistill.core.atomic import write_json
from obdistill.core.errors import UserError
from obdistill.core.settings import NAME
from obdistill.evaluations.returns import read_returns
from obdistill.exports.facts import gather_facts
from obdistill.exports.stage import write_card, write_last_snapshot
from obdistill.paper.statistics.intervals import last_snapshots
from obdistill.synsets import zoo
from obdistill.synsets.synset import read_synset

TABLE = "names.csv"
COLUMNS = ("name", "task", "method", "variant", "size", "protocol", "license", "attribution")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Finished:
    """The results that a row of the table names: by seed, a synset and its returns."""

    row: Mapping[str, str]
    synsets: dict[int, Path]
    returns: dict[int, Path]


def make_zoo(results: Path, folder: Path = zoo.FOLDER) -> None:
    """Copy synsets of finished results into the zoo, and write cards and the index.

    Parameters
    ----------
    results : Path
        Folder ``results`` of a finished run.
    folder : Path
        The zoo, with ``names.csv``: which synsets it holds, by which names, from which cells of the grid, and the
        license of their data. A name whose results are not there stays as it is.

    Raises
    ------
    UserError
        If the table is malformed, no name has results, or a synset has no returns of the protocol.
    """
    found = [one for row in _rows(folder / TABLE) if (one := _finished(row, results)).synsets]
    if not found:
        raise UserError(f"{folder / TABLE}: no synset that it names is in {results}")
    index = zoo.entries(folder)
    for one in found:
        index[one.row["name"]] = _put(one, results, folder)
        log.info("%s: seeds %s", one.row["name"], ", ".join(map(str, one.synsets)))
    write_json(folder / zoo.INDEX, index)


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{table}: cannot be read ({' '.join(str(error).split())})") from None
    if tuple(frame.columns) != COLUMNS:
        raise UserError(f"{table}: has the columns {','.join(frame.columns)}; needed: {','.join(COLUMNS)}")
    rows: list[dict[str, str]] = frame.to_dict("records")
    for row in rows:
        if not re.fullmatch(NAME, row["name"]):
            raise UserError(f"{table}: name: {row['name']!r}: use lower-case words joined by _")
    return rows


def _finished(row: Mapping[str, str], results: Path) -> _Finished:
    cell = f"{row['task']}/{row['method']}/{row['variant']}/size{row['size']}"
    paths = (results / "synsets" / cell).glob("seed*/synset.npz")
    synsets = dict(sorted((int(path.parent.name.removeprefix("seed")), path) for path in paths))
    returns = {seed: results / "evaluations" / cell / f"seed{seed}/{row['protocol']}.csv" for seed in synsets}
    missing = [path for path in returns.values() if not path.is_file()]
    if missing:
        raise UserError(f"{missing[0]}: no such file; the zoo needs the returns of every seed")
    return _Finished(row, synsets, returns)


def _put(one: _Finished, results: Path, folder: Path) -> dict[str, Any]:
    """Write a synset's folder in the zoo, and return its entry in the index."""
    name = one.row["name"]
    scores = {
        seed: float(last_snapshots(read_returns(path)[0], 1)["score"].mean()) for seed, path in one.returns.items()
    }
    best = max(scores, key=lambda seed: scores[seed])
    synset = read_synset(one.synsets[best])
    files_of = {
        "dataset": results / "datasets" / one.row["task"] / "dataset.npz",
        "near_expert": results / "near_experts" / one.row["task"] / "near_expert.safetensors",
    }
    inputs = metadata_of(synset.artifact).get("inputs", {})  # a selection may have no near-expert
    facts = gather_facts(
        synset,
        **{role: path for role, path in files_of.items() if role in inputs and path.is_file()},
        returns=list(one.returns.values()),
        license_name=one.row["license"] or None,
        attribution=one.row["attribution"],
    )
    shutil.rmtree(folder / name, ignore_errors=True)
    files, seeds = {}, {}
    for seed, path in one.synsets.items():
        file = f"seed{seed}/synset.npz"
        write_last_snapshot(read_synset(path), folder / name / file)
        files[file] = f"mean score {scores[seed]:.1f}{' (the best)' if seed == best else ''}"
        seeds[str(seed)] = {
            "file": f"{name}/{file}",
            "sha256": sha256(folder / name / file),
            "score": round(scores[seed], 2),
        }
    write_card(facts, folder / name, files, f'obdistill.load("{name}")')
    return {"best": best, "seeds": seeds, **facts.synset.task.metadata(), "size": facts.synset.size}
