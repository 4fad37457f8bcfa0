"""Collect D4RL-style datasets: train SAC on an environment and record what it does, as Minari datasets.

D4RL's protocol (https://arxiv.org/abs/2004.07219, section 5):

========================  ==============================================================================
level                     what is recorded
========================  ==============================================================================
``random``                rollouts of a randomly initialized policy
``medium``                rollouts of a policy whose training was stopped early
``medium_replay``         the replay buffer: every training episode up to the medium policy
``expert``                rollouts of the fully trained policy
``medium_expert``         ``medium`` and ``expert``, one after the other
========================  ==============================================================================

Rollouts sample from the stochastic policy, as in D4RL.
"""

import json
import logging
import re
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import h5py
import minari
import numpy as np
import torch

from obdistill.core import artifacts, atomic, environments, logs, provenance, sources
from obdistill.core.checkpoints import Checkpoint
from obdistill.core.errors import UserError
from obdistill.core.seeding import child_seed
from obdistill.datasets.files import DATA_FOLDER, HDF5_FILE, METADATA_FILE
from obdistill.datasets.minari import new_dataset
from obdistill.datasets.recorder import Episode, make_recorder
from obdistill.datasets.sac import train
from obdistill.datasets.settings import CollectSettings
from obdistill.datasets.source import COLLECTION_FILE

log = logging.getLogger(__name__)


def collect(settings: CollectSettings, out: Path, seed: int, checkpoint_minutes: float = 3.0) -> dict[str, Any]:
    """Train, record and write the wanted levels; a training that was killed goes on from its last checkpoint.

    Parameters
    ----------
    settings : CollectSettings
        What to train on and what to record.
    out : Path
        Minari root to write into: datasets ``obd/<environment>/<level>-v0`` and ``collection.json``. A dataset that is
        there already is replaced.
    seed : int
        Root seed, >= 0. Networks, training environment and each level's rollouts have seeds of their own.
    checkpoint_minutes : float
        Minutes between two checkpoints of the training, at the end of an episode.

    Returns
    -------
    dict
        What ``collection.json`` holds: settings, seed, versions, and counts and returns per level.

    Raises
    ------
    UserError
        Before training, if the environment does not exist or does not fit, a whole episode does not fit into
        `max_replay_transitions`, or `out` cannot be written.
    """
    clock = artifacts.Clock()
    environments.make(settings.env_id).close()
    longest = gymnasium.spec(settings.env_id).max_episode_steps or 0
    if settings.max_replay_transitions is not None and settings.max_replay_transitions < longest:
        raise UserError(
            f"max_replay_transitions: {settings.max_replay_transitions}: "
            f"below the {longest} steps of one episode of {settings.env_id}"
        )
    atomic.write_json(out / COLLECTION_FILE, {"kind": "unfinished collection"})  # fails now rather than after training
    identity = {"settings": settings.model_dump(mode="json"), "seed": seed, "threads": torch.get_num_threads()}
    identity |= {"versions": artifacts.versions(), "sources": sources.digest("collect")}
    checkpoint = Checkpoint(out / COLLECTION_FILE, identity, checkpoint_minutes)
    policies, replay = train(settings, seed, checkpoint)
    sets: dict[str, list[Episode]] = {}
    for level, policy in policies.items():
        if level in settings.levels or ("medium_expert" in settings.levels and level != "random"):
            sets[level] = _rollouts(settings, policy, child_seed(seed, level), level)
    sets["medium_replay"] = spread(replay, settings.max_replay_transitions)
    sets["medium_expert"] = sets.get("medium", []) + sets.get("expert", [])
    facts = {level: _write(settings, out, level, sets[level], seed) for level in settings.levels}
    collection = {
        "kind": "collection",
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "command": command_line(settings, seed),
        "levels": facts,
        "training": {"episodes": len(replay), "transitions": sum(map(len, replay)), "returns": _returns(replay)},
        "seconds": clock.seconds(),
        "versions": artifacts.versions(),
        **provenance.facts(),
    }
    atomic.write_json(out / COLLECTION_FILE, collection)
    checkpoint.remove()
    return collection


def dataset_id(env_id: str, level: str) -> str:
    """Return the Minari id of a level, e.g. ``obd/halfcheetah/medium_replay-v0``."""
    name = env_id.rpartition("/")[2].rpartition("-v")[0] or env_id
    return f"obd/{''.join(letter if letter.isalnum() else '_' for letter in name.lower())}/{level}-v0"


def command_line(settings: CollectSettings, seed: int) -> str:
    """Return the command that makes the same collection again (with the same package versions and threads)."""
    given = {key: value for key, value in settings.model_dump(mode="json").items() if key in settings.model_fields_set}
    words = ["obd", "collect", "--out", "DIR", "--seed", str(seed), "--threads", str(torch.get_num_threads())]
    for key, value in given.items():
        # YAML, which --set is, takes 1e-05 for text and 1.0e-05 for a number
        text = value if isinstance(value, str) else re.sub(r"(?<![\d.])(\d+)e", r"\1.0e", json.dumps(value))
        words += ["--set", f"{key}={text}"]
    return shlex.join(words)


def spread(episodes: Sequence[Episode], limit: int | None) -> list[Episode]:
    """Pick whole episodes, evenly over the transitions, that hold at most `limit` transitions together."""
    total = sum(map(len, episodes))
    if limit is None or total <= limit:
        return list(episodes)
    kept: list[Episode] = []
    seen = held = 0
    for episode in episodes:
        seen += len(episode)
        # the share kept so far never exceeds limit / total; in integers, so that no rounding decides
        if (held + len(episode)) * total <= limit * seen:
            kept.append(episode)
            held += len(episode)
    return kept


def _rollouts(settings: CollectSettings, policy: Any, seed: int, level: str) -> list[Episode]:
    """Roll the stochastic policy out for exactly the wanted number of transitions; the last episode may be cut."""
    recorder = make_recorder(settings, child_seed(seed, "environment"), settings.transitions)
    with (
        logs.progress(settings.transitions, f"recording {level}", "transition") as meter,
        torch.random.fork_rng(devices=[]),
    ):
        torch.manual_seed(child_seed(seed, "actions"))  # the policy samples from torch's global generator only
        done = True
        for _ in range(settings.transitions):
            if done:
                observation, _ = recorder.reset()
            action, _ = policy.predict(observation, deterministic=False)
            observation, _, terminated, truncated, _ = recorder.step(action)
            done = terminated or truncated
            meter.update()
    recorder.close()
    return recorder.episodes()


def _write(settings: CollectSettings, out: Path, level: str, episodes: list[Episode], seed: int) -> dict[str, Any]:
    """Write one Minari dataset, compressed, and return its facts."""
    name = dataset_id(settings.env_id, level)
    returns = _returns(episodes)
    reference = settings.returns_for_scores
    env = make_recorder(settings, 0, 0)
    with new_dataset(out, name) as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # no e-mail address and no permanent link are given
            dataset = minari.create_dataset_from_buffers(
                name,
                [episode.buffer(index) for index, episode in enumerate(episodes)],
                env=gymnasium.spec(settings.env_id),
                observation_space=env.observation_space,
                action_space=env.action_space,
                algorithm_name="SAC (Stable-Baselines3)",
                author="obd",
                ref_min_score=reference and reference[0],
                ref_max_score=reference and reference[1],
                description=f"{level} data of {settings.env_id} after D4RL's protocol: {command_line(settings, seed)}",
            )
        data_file = folder / DATA_FOLDER / HDF5_FILE
        _compress(data_file)
        dataset.storage.update_metadata({"dataset_size": dataset.storage.get_size()})
        facts = {
            "dataset_id": name,
            "transitions": sum(map(len, episodes)),
            "episodes": len(episodes),
            "episode_return": {"min": min(returns), "mean": float(np.mean(returns)), "max": max(returns)},
            "sha256": artifacts.sha256(data_file),
            "metadata_sha256": artifacts.sha256(folder / DATA_FOLDER / METADATA_FILE),
        }
    env.close()
    log.info("%s: %d transitions, mean return %.1f", out / name, facts["transitions"], np.mean(returns))
    return facts


def _compress(path: Path) -> None:
    """Rewrite a Minari HDF5 file with gzip: Minari itself stores arrays plain.

    HDF5's newest format spends far fewer bytes per array: half the file where episodes are short.
    """
    packed = path.with_suffix(".packed")
    with h5py.File(path, "r") as source, h5py.File(packed, "w", track_order=True, libver="latest") as target:
        for name, group in source.items():
            copy_of_group = target.create_group(name)
            copy_of_group.attrs.update(group.attrs)
            for key, array in group.items():
                copy_of_group.create_dataset(
                    key, data=array[()], chunks=array.shape, compression="gzip", compression_opts=9, shuffle=True
                )
    packed.replace(path)


def _returns(episodes: Sequence[Episode]) -> list[float]:
    return [round(sum(episode.rewards.tolist()), 3) for episode in episodes]
