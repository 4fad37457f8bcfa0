"""What behavior cloning costs, ``obd cost``: the whole dataset against a synset, timed one after the other."""

import functools
import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.evaluations.settings import CostSettings
from obdistill.policies import bc
from obdistill.synsets.synset import read_pairs

KIND = "cost"
log = logging.getLogger(__name__)


def measure(dataset_path: Path, synset_path: Path, settings: CostSettings, out: Path) -> None:
    """Train one policy on a dataset, then one after the other on its synset's last snapshot; write what each costs.

    Times are those of the training alone, without reading files, and differ from run to run: they stand in this file
    and in the table made from it, and nowhere else.

    Parameters
    ----------
    dataset_path, synset_path : Path
        Artifacts of the same task.
    settings : CostSettings
        The trainings, and how often the one on the synset is timed.
    out : Path
        Table to write, one row for each of ``whole_data`` and ``synset``: size; steps; batch_size; seconds (median
        of the repeats); megabytes (1e6 bytes) of the states and actions as float32.

    Raises
    ------
    UserError
        If the artifacts are of different tasks, or a training diverges.
    """
    rows: list[dict[str, Any]] = []
    times, read = {}, {}
    parts = (
        ("whole_data", dataset_path, settings.whole_data, 1),
        ("synset", synset_path, settings.synset, settings.repeats),
    )
    for name, path, training, repeats in parts:
        pairs = read_pairs(path)
        read["synset" if rows else "dataset"] = pairs.artifact
        if rows and pairs.task.name != rows[0]["task"]:
            raise UserError(f"{path}: is of task {pairs.task.name!r}; {dataset_path} is of {rows[0]['task']!r}")
        raw = pairs.observations[-1], pairs.actions[-1]
        states, actions = pairs.normalizer.states(raw[0]), pairs.normalizer.actions(raw[1])
        train = functools.partial(bc.train, states, actions, training, policies=1, seed=0)
        times[name] = [_seconds(train) for _ in range(repeats)]
        rows.append(
            {
                "task": pairs.task.name,
                "data": name,
                "size": len(states),
                "steps": 0 if training.optimizer == "ridge" else training.steps,
                "batch_size": min(training.batch_size or len(states), len(states)),
                "seconds": statistics.median(times[name]),
                "megabytes": sum(np.asarray(array, np.float32).nbytes for array in raw) / 1e6,
            }
        )
        log.info("%s: %d steps on %d pairs: %.3f s", name, training.steps, len(states), rows[-1]["seconds"])
    metadata = {
        "kind": KIND,
        **pairs.task.metadata(),
        "settings": settings.model_dump(),
        "seconds_of_each_training": times,
        "inputs": artifacts.inputs(**read),
        "threads": torch.get_num_threads(),
    }
    artifacts.write_artifact(out, pd.DataFrame(rows), metadata)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
