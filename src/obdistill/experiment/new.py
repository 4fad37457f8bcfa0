"""``obd new``: look at a dataset, and propose an experiment with it.

Every choice is a short rule; the written file says which was taken and why, and each is a number to change there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from obdistill.core import artifacts, environments
from obdistill.core.errors import UserError
from obdistill.core.parsing import parse
from obdistill.core.seeding import numpy_generator
from obdistill.datasets import files
from obdistill.datasets.d4rl_facts import BUILT_IN, reference_returns
from obdistill.datasets.settings import MINARI_ID, MINARI_PLACE, DatasetSettings
from obdistill.datasets.stage import Found, read_source
from obdistill.datasets.transitions import Transitions
from obdistill.evaluations.train import evaluate

SPARSE = 0.05  # share of rewards that differ from the commonest, up to which rewards are called sparse
BEST = 0.1  # share of the episodes whose mean return stands for a good policy's


class Scale(NamedTuple):
    """How much to compute for how much data."""

    transitions: float  # up to this many
    near_expert_steps: int
    size: int
    steps: int


SCALES = (
    Scale(20_000, 3_000, 64, 400),
    Scale(200_000, 20_000, 256, 1_000),
    Scale(float("inf"), 200_000, 256, 1_000),
)


@dataclass(frozen=True)
class Proposal:
    """What to put into a configuration.

    Attributes
    ----------
    task : str
        Name of the task.
    dataset : mapping
        Settings of the dataset, without the reference returns.
    transitions, episodes : int
        Numbers in the data.
    mean_return, best_return : float
        Of all whole episodes, and of the best tenth of them.
    random_return : float
        Mean return of a policy that draws uniformly random actions.
    reference_returns : tuple of float
        What is to score 0 and 100.
    meaning : str
        What these are, in words.
    algorithm : str
        Of the near-expert.
    reason : str
        Why that one.
    weighting : str
        Form of Av-PBC's weights.
    scale : Scale
        Steps and sizes.
    warnings : tuple of str
        What looks wrong in the data.
    """

    task: str
    dataset: Mapping[str, Any]
    transitions: int
    episodes: int
    mean_return: float
    best_return: float
    random_return: float
    reference_returns: tuple[float, float]
    meaning: str
    algorithm: str
    reason: str
    weighting: str
    scale: Scale
    warnings: tuple[str, ...]


def propose(
    data: str,
    env_id: str | None = None,
    task: str | None = None,
    reference: tuple[float, float] | None = None,
    clip_actions: bool = False,
    episodes: int = 20,
    seed: int = 0,
) -> Proposal:
    """Look at a dataset and its environment, and propose an experiment.

    Parameters
    ----------
    data : str
        Minari id or folder, D4RL's name of a set or HDF5 file, ``.npz`` or ``.parquet`` file, or LeRobot folder.
    env_id : str, optional
        Gymnasium id of the environment; default: the one that the data name.
    task : str, optional
        Name of the task; default: made of `data`.
    reference : tuple of float, optional
        Returns that score 0 and 100; default: D4RL's or the data's own, else a random policy's and the best tenth's.
    clip_actions : bool
        Whether actions are cut to the environment's bounds.
    episodes : int
        Episodes of the random policy.
    seed : int
        Of its actions and of the environment.

    Raises
    ------
    UserError
        If the data cannot be read or are not those of the environment, or are no better than random actions.
    """
    dataset = dict(source_of(data))
    dataset |= {"env_id": env_id} if env_id else {}
    dataset |= {"clip_actions": True} if clip_actions else {}
    name = task or task_name(data)
    found = read_source(name, parse(DatasetSettings, dataset, "data"))
    dataset.setdefault("env_id", found.env_id)
    whole = whole_returns(found.transitions, environments.max_episode_steps(found.env_id))
    best = float(np.sort(whole)[-max(1, round(BEST * len(whole))) :].mean())
    random = float(random_returns(found.env_id, episodes, seed).mean())
    returns, meaning = _references(found, reference, random, best)
    algorithm, reason = near_expert_for(found.transitions.rewards)
    return Proposal(
        task=name,
        dataset=dataset,
        transitions=len(found.transitions),
        episodes=len(found.transitions.episode_returns()),
        mean_return=float(whole.mean()),
        best_return=best,
        random_return=random,
        reference_returns=returns,
        meaning=meaning,
        algorithm=algorithm,
        reason=reason,
        weighting="shifted" if found.transitions.rewards.mean() < 0 else "mean_one",
        scale=next(scale for scale in SCALES if len(found.transitions) <= scale.transitions),
        warnings=tuple(found.warnings),
    )


def source_of(data: str) -> dict[str, Any]:
    """Return the settings of the source that a name, a file or a folder stands for.

    Raises
    ------
    UserError
        If it is none that is known.
    """
    path = files.expand(data)
    if path.is_dir():
        if (path / files.LEROBOT_INFO).is_file():
            return {"source": "lerobot", "folder": data}
        return _minari_folder(path)
    if path.is_file():
        if path.suffix == ".npz" and {"qpos", "terminals"} <= (held := artifacts.load_arrays(path)).keys():
            return {"source": "arrays" if "rewards" in held else "ogbench", "file": data}
        if path.suffix in (".npz", ".parquet"):
            return {"source": "arrays", "file": data}
        return {"source": "d4rl", "file": data}
    if data in BUILT_IN or files.is_url(data):
        return {"source": "d4rl", "file": data}
    if re.match(MINARI_PLACE, data):
        return {"source": "minari", "id": data}
    raise UserError(
        f"{data}: neither a file nor a folder, nor a Minari id, nor one of D4RL's sets; those are {', '.join(BUILT_IN)}"
    )


def _minari_folder(path: Path) -> dict[str, Any]:
    """Return id and root of the Minari dataset in a folder."""
    metadata = path / files.DATA_FOLDER / files.METADATA_FILE
    if not metadata.is_file():
        raise UserError(
            f"{path}: is no dataset: neither {files.DATA_FOLDER}/{files.METADATA_FILE} of Minari nor "
            f"{files.LEROBOT_INFO} of LeRobot is in it"
        )
    said = str(artifacts.read_json(metadata).get("dataset_id"))
    parts = said.split("/") if re.match(MINARI_ID, said) else [path.name]
    if list(path.parts[-len(parts) :]) != parts:
        parts = [path.name]
    if not re.match(MINARI_ID, "/".join(parts)):
        raise UserError(f"{path}: is a Minari dataset, but its folder is not named by an id such as my_robot-v0")
    root = Path(*path.parts[: -len(parts)])
    return {"source": "minari", "id": "/".join(parts), "root": str(root), "download": False}


def task_name(data: str) -> str:
    """Make a task's name of what the data are called: lower-case words joined by ``_``."""
    stem = re.sub(r"(-v\d+)?(\.\w+)?$", "", data.rstrip("/").rpartition("/")[2])
    name = re.sub("[^a-z0-9]+", "_", stem.lower()).strip("_")
    return name if name[:1].isalpha() else f"task_{name}".rstrip("_")


def whole_returns(transitions: Transitions, max_steps: int) -> np.ndarray:
    """Return the returns of the episodes that ended by themselves or at the time limit: (n,), of all if none did.

    A recording that is cut in the middle of an episode has a return that says nothing.
    """
    last = np.flatnonzero(transitions.terminated | transitions.truncated)
    lengths = np.diff(last, prepend=-1)
    # the last row of a truncated episode may be left out, as its next state is not known
    whole = transitions.terminated[last] | (lengths >= max_steps - 1)
    returns = transitions.episode_returns()
    return returns[whole] if whole.any() else returns


def random_returns(env_id: str, episodes: int = 20, seed: int = 0) -> np.ndarray:
    """Return the returns of a policy of uniformly random actions: (episodes,), float64.

    Raises
    ------
    UserError
        As `evaluate` does.
    """
    env = environments.make(env_id)
    low, high = environments.action_bounds(env)
    env.close()
    rng = numpy_generator(seed, "random actions")
    return evaluate(lambda states: rng.uniform(low, high, (len(states), len(low))), env_id, episodes, seed)


def _references(
    found: Found, given: tuple[float, float] | None, random: float, best: float
) -> tuple[tuple[float, float], str]:
    """Choose what scores 0 and 100, and say what that is."""
    if given is not None:
        if not given[0] < given[1]:
            raise UserError(f"--reference-returns: {given[0]:g} {given[1]:g}: the first must be below the second")
        return given, "as given to obd new"
    if found.reference_returns is not None:
        of_d4rl = found.reference_returns == reference_returns(found.env_id)
        return found.reference_returns, "D4RL's own for this environment" if of_d4rl else "those that the data name"
    if not random < best:
        raise UserError(
            f"the best tenth of the episodes has a mean return of {best:.4g}, random actions in {found.env_id} have "
            f"{random:.4g}: is it the data's environment? If so, give --reference-returns RANDOM EXPERT"
        )
    return (random, best), "a policy of random actions, and the best tenth of the episodes in the data"


def near_expert_for(rewards: np.ndarray) -> tuple[str, str]:
    """Choose the near-expert's algorithm: IQL where rewards are sparse, else TD3+BC; returns it and the reason.

    IQL never asks its critics about actions that the data do not hold, which few rewards leave undecided. TD3+BC is the
    fastest where every step has a reward to learn from.
    """
    values, counts = np.unique(rewards, return_counts=True)
    other = len(rewards) - counts.max()
    if other <= SPARSE * len(rewards):
        return "iql", f"rewards are sparse: {100 * other / len(rewards):.1f} % differ from {values[counts.argmax()]:g}"
    return "td3_bc", "the fastest, and rewards are not sparse"
