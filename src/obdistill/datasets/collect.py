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

import copy
import json
import logging
import re
import shlex
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import h5py
import minari
import numpy as np
import torch
from minari.data_collector import EpisodeBuffer
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback

from obdistill.core import artifacts, atomic, environments, logs, provenance
from obdistill.core.errors import UserError
from obdistill.core.seeding import child_seed
from obdistill.datasets.files import DATA_FOLDER, HDF5_FILE, METADATA_FILE
from obdistill.datasets.minari import new_dataset
from obdistill.datasets.settings import CollectSettings
from obdistill.datasets.source import COLLECTION_FILE

RECENT_EPISODES = 10
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Episode:
    """One recorded episode of T steps.

    Attributes
    ----------
    seed : int
        Seed of the environment's reset.
    observations : ndarray of shape (T + 1, state_dim), float32
    actions : ndarray of shape (T, action_dim), float32
    rewards : ndarray of shape (T,), float64
    terminated : bool
        Whether it ended in a terminal state.
    """

    seed: int
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool

    def __len__(self) -> int:
        return len(self.rewards)

    def buffer(self, index: int) -> EpisodeBuffer:
        """Return the episode in Minari's form; an end that is no terminal state is a truncation."""
        last = np.arange(1, len(self) + 1) == len(self)
        return EpisodeBuffer(
            id=index,
            seed=self.seed,
            observations=self.observations,
            actions=self.actions,
            rewards=self.rewards.astype(np.float32),
            terminations=last & self.terminated,
            truncations=last & (not self.terminated),
        )


class Recorder(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """Keeps every episode, and seeds each one explicitly from `seed` and its index.

    Parameters
    ----------
    env : Env
        With float32 states.
    seed : int
        Root of the episodes' seeds.
    steps : int
        Steps that will be taken at most.
    """

    def __init__(self, env: "gymnasium.Env[np.ndarray, np.ndarray]", seed: int, steps: int) -> None:
        super().__init__(env)
        state_dim, action_dim = (space.shape[0] for space in (env.observation_space, env.action_space))  # type: ignore[index]
        self._seed = seed
        # Room for every row at once (pages that are not used cost nothing): small arrays kept one by one, between the
        # large ones that training allocates and frees, would fragment the heap by 0.1 MB per step.
        self._observations = np.empty((2 * steps + 1, state_dim), np.float32)  # a step adds one row, a reset another
        self._actions = np.empty((steps, action_dim), np.float32)
        self._rewards = np.empty(steps, np.float64)
        self._steps = 0
        self._starts: list[int] = []  # step at which each episode begins; its states begin `index` rows later
        self._terminated: list[bool] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin the next episode; the caller's seed is ignored, so that seeds do not depend on the caller."""
        if not self._starts or self._starts[-1] < self._steps:  # else the last episode has no step: begin it again
            self._starts.append(self._steps)
            self._terminated.append(False)
        index = len(self._starts) - 1
        observation, info = self.env.reset(seed=child_seed(self._seed, index), options=options)
        self._observations[self._steps + index] = observation
        return observation, info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Step and record."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._actions[self._steps] = action
        self._rewards[self._steps] = reward
        self._steps += 1
        self._observations[self._steps + len(self._starts) - 1] = observation
        self._terminated[-1] = bool(terminated)
        return observation, float(reward), terminated, truncated, info

    def episodes(self) -> list[Episode]:
        """Return the episodes that have a step, the running one included as far as it has come."""
        ends = [*self._starts[1:], self._steps]
        return [
            Episode(
                child_seed(self._seed, index),
                self._observations[start + index : end + index + 1],
                self._actions[start:end],
                self._rewards[start:end],
                self._terminated[index],
            )
            for index, (start, end) in enumerate(zip(self._starts, ends, strict=True))
            if start < end
        ]


class _Training(BaseCallback):
    """Shows progress and says when the medium policy has been reached."""

    def __init__(self, settings: CollectSettings, recorder: Recorder, total: int) -> None:
        super().__init__()
        self.medium: Any = None
        self.medium_episodes: list[Episode] = []
        self._settings = settings
        self._recorder = recorder
        self._meter = logs.progress(total, "training SAC")
        self._returns: list[float] = []

    def _on_step(self) -> bool:
        self._meter.update()
        ended = self.locals["infos"][0].get("episode")  # Stable-Baselines3's statistics of a finished episode
        if ended is not None:
            self._returns.append(ended["r"])
            if len(self._returns) % RECENT_EPISODES == 0:
                self._meter.set_postfix_str(f"mean return {self._recent_return():.0f}", refresh=False)
                log.info("episode %d: mean return of the last 10: %.1f", len(self._returns), self._recent_return())
        if self.medium is None and self._is_medium():
            self.medium = copy.deepcopy(self.model.policy)
            self.medium_episodes = self._recorder.episodes()
            log.info("medium policy taken at step %d", self.num_timesteps)
        return self.medium is None or self._settings.needs_expert

    def _on_training_end(self) -> None:
        self._meter.close()

    def _recent_return(self) -> float:
        return float(np.mean(self._returns[-RECENT_EPISODES:]))

    def _is_medium(self) -> bool:
        if self.num_timesteps >= self._settings.medium_steps:
            return True
        reference = self._settings.returns_for_scores
        if self._settings.medium_score is None or reference is None or len(self._returns) < RECENT_EPISODES:
            return False
        random, expert = reference
        return 100 * (self._recent_return() - random) / (expert - random) >= self._settings.medium_score


def collect(settings: CollectSettings, out: Path, seed: int) -> dict[str, Any]:
    """Train, record and write the wanted levels.

    Parameters
    ----------
    settings : CollectSettings
        What to train on and what to record.
    out : Path
        Minari root to write into: datasets ``obd/<environment>/<level>-v0`` and ``collection.json``. A dataset that is
        there already is replaced.
    seed : int
        Root seed, >= 0. Networks, training environment and each level's rollouts have seeds of their own.

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
    policies, replay = _train(settings, seed)
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


def _recorder(settings: CollectSettings, seed: int, steps: int) -> Recorder:
    # float32 states: half the file, and what every policy here computes with
    return Recorder(gymnasium.wrappers.DtypeObservation(environments.make(settings.env_id), np.float32), seed, steps)


def _train(settings: CollectSettings, seed: int) -> tuple[dict[str, Any], list[Episode]]:
    """Return the policies by level, and the training episodes up to the medium policy."""
    steps = settings.expert_steps if settings.needs_expert else settings.medium_steps
    recorder = _recorder(settings, child_seed(seed, "training_environment"), steps)
    model = SAC(
        "MlpPolicy",
        recorder,
        learning_rate=settings.learning_rate,
        buffer_size=steps,
        learning_starts=settings.random_steps,
        batch_size=settings.batch_size,
        gamma=settings.discount,
        policy_kwargs={"net_arch": list(settings.hidden_widths)},
        # Stable-Baselines3 seeds the global generators; it takes 32 bits
        seed=child_seed(seed, "sac") % 2**32,
        device="cpu",
    )
    policies = {"random": copy.deepcopy(model.policy)}
    if set(settings.levels) == {"random"}:
        return policies, []
    training = _Training(settings, recorder, steps)
    model.learn(steps, callback=training)
    policies["medium"] = training.medium
    if settings.needs_expert:
        policies["expert"] = model.policy
    recorder.close()
    return policies, training.medium_episodes


def _rollouts(settings: CollectSettings, policy: Any, seed: int, level: str) -> list[Episode]:
    """Roll the stochastic policy out for exactly the wanted number of transitions; the last episode may be cut."""
    recorder = _recorder(settings, child_seed(seed, "environment"), settings.transitions)
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
    env = _recorder(settings, 0, 0)
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
