"""The pairs of a synset in the forms of other programs."""

import importlib.metadata
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from obdistill.core.atomic import replacing, write_text
from obdistill.core.units import STD_FLOOR
from obdistill.exports.facts import Facts
from obdistill.exports.settings import SynsetForm
from obdistill.policies.settings import BcSettings
from obdistill.synsets.synset import Synset

DIGITS = 9  # significant: a float32 comes back whole
ONE_STEP = (
    "Every pair is an episode of one step: its second observation repeats the first, its reward is 0 and it is "
    "truncated, for a synset has no next states and no rewards."
)


def write_pairs(form: SynsetForm, facts: Facts, folder: Path) -> dict[str, str]:
    """Write the pairs in a form, beside ``synset.npz``, which every export has.

    Returns
    -------
    dict
        Path in the folder of each file, and what it is.

    Raises
    ------
    ModuleNotFoundError
        If the package of the form is not installed.
    """
    return WRITERS[form](facts, folder)


def _write_parquet(facts: Facts, folder: Path) -> dict[str, str]:
    import pyarrow  # here, for it is an optional package
    import pyarrow.parquet

    synset = facts.synset
    columns = {
        name: pyarrow.FixedSizeListArray.from_arrays(rows[-1].ravel(), rows.shape[-1])
        for name, rows in (("observation", synset.observations), ("action", synset.actions))
    }
    with replacing(folder / "pairs.parquet") as to:
        pyarrow.parquet.write_table(pyarrow.table(columns), to)
    return {"pairs.parquet": "the pairs, one row each: columns `observation` and `action`, lists of float32"}


def plain(synset: Synset, training: BcSettings) -> dict[str, Any]:
    """Return the pairs of the last snapshot as plain data.

    Parameters
    ----------
    synset : Synset
        What to write.
    training : BcSettings
        How policies are trained on it.

    Returns
    -------
    dict
        Facts about the synset; ``observations`` (N, S) and ``actions`` (N, A) in the environment's units;
        ``normalizer``: the arrays of `Normalizer`, and ``std_floor``, which is to be added to ``state_std``; ``bc``.
    """
    return {
        **synset.task.metadata(),
        **{"method": synset.method, "variant": synset.variant, "seed": synset.seed, "size": synset.size},
        "step": int(synset.steps[-1]),
        "observations": _numbers(synset.observations[-1]),
        "actions": _numbers(synset.actions[-1]),
        "normalizer": {name: _numbers(array) for name, array in synset.normalizer.arrays().items()}
        | {"std_floor": STD_FLOOR},
        "bc": training.model_dump(),
    }


def _write_json(facts: Facts, folder: Path) -> dict[str, str]:
    data = plain(facts.synset, facts.training)
    write_text(folder / "pairs.json", json.dumps(data) + "\n")
    return {"pairs.json": "the pairs, the normalizer and the settings of the training (`bc`) as plain JSON"}


def _numbers(array: np.ndarray) -> list[Any]:
    """Return float32 numbers with no more digits than they have."""
    rounded = np.array([float(f"{value:.{DIGITS}g}") for value in array.ravel()])
    numbers: list[Any] = rounded.reshape(array.shape).tolist()
    return numbers


def _write_minari(facts: Facts, folder: Path) -> dict[str, str]:
    import minari  # here, for it is an optional package
    from minari.data_collector import EpisodeBuffer

    from obdistill.datasets.minari import new_dataset

    synset = facts.synset
    states, actions = synset.observations[-1], synset.actions[-1]
    low = np.minimum(synset.normalizer.action_low, actions.min(0))  # targets may lie outside the bounds
    high = np.maximum(synset.normalizer.action_high, actions.max(0))
    name = f"obd/{synset.task.name}/{synset.method}-v0"
    episodes = [
        EpisodeBuffer(
            id=index,
            observations=np.stack([state, state]),
            actions=action[None],
            rewards=np.zeros(1),
            terminations=np.zeros(1, bool),
            truncations=np.ones(1, bool),
        )
        for index, (state, action) in enumerate(zip(states, actions, strict=True))
    ]
    with new_dataset(folder, name), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no e-mail address and no permanent link are given
        minari.create_dataset_from_buffers(
            name,
            episodes,
            env=synset.task.env_id or None,
            observation_space=gymnasium.spaces.Box(-np.inf, np.inf, states.shape[1:], np.float32),
            action_space=gymnasium.spaces.Box(low, high, dtype=np.float32),
            algorithm_name=f"{synset.method} (obdistill {importlib.metadata.version('obdistill')})",
            author="obdistill",
            description=f"{synset.size} distilled pairs. {ONE_STEP}",
        )
    return {f"{name}/data/main_data.hdf5": f"Minari dataset `{name}`, this folder being Minari's root. {ONE_STEP}"}


WRITERS: dict[SynsetForm, Callable[[Facts, Path], dict[str, str]]] = {
    "npz": lambda facts, folder: {},
    "parquet": _write_parquet,
    "json": _write_json,
    "minari": _write_minari,
}
