"""The training behind a collection: SAC of Stable-Baselines3 on a recorder, with checkpoints at ends of episodes."""

import copy
import json
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from obdistill.core import logs
from obdistill.core.checkpoints import Checkpoint, Part
from obdistill.core.seeding import child_seed
from obdistill.datasets.recorder import Episode, Recorder, make_recorder
from obdistill.datasets.settings import CollectSettings

RECENT_EPISODES = 10
log = logging.getLogger(__name__)


def train(settings: CollectSettings, seed: int, checkpoint: Checkpoint) -> tuple[dict[str, Any], list[Episode]]:
    """Train SAC, from its last checkpoint if there is one.

    Parameters
    ----------
    settings : CollectSettings
        Environment, levels and SAC's settings.
    seed : int
        Root seed, >= 0.
    checkpoint : Checkpoint
        Where the state is kept. The caller removes it.

    Returns
    -------
    policies : dict
        Policies by level: random, medium, expert, as far as they are wanted.
    replay : list of Episode
        The training episodes up to the medium policy.
    """
    steps = settings.expert_steps if settings.needs_expert else settings.medium_steps
    recorder = make_recorder(settings, child_seed(seed, "training_environment"), steps)
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
    run = TrainingRun(model, recorder)
    checkpoint.restore(run)
    with checkpoint.guard():
        left = steps - run.step
        model.learn(left, callback=_Training(settings, run, checkpoint, left), reset_num_timesteps=False)
    policies["medium"] = run.medium
    if settings.needs_expert:
        policies["expert"] = model.policy
    recorder.close()
    return policies, recorder.episodes(run.medium_steps)


class TrainingRun:
    """The state of a training between two episodes; it can be saved and restored.

    The environment's state is not part of it: the recorder seeds every episode by its index.

    Attributes
    ----------
    medium : SACPolicy
        The medium policy, once it has been taken.
    medium_steps : int, optional
        Steps until then.
    returns : list of float
        Of the finished episodes.
    """

    def __init__(self, model: SAC, recorder: Recorder) -> None:
        self.model, self.recorder = model, recorder
        self.medium = copy.deepcopy(model.policy)
        self.medium_steps: int | None = None
        self.returns: list[float] = []

    @property
    def step(self) -> int:
        """Environment steps so far."""
        return self.model.num_timesteps

    @step.setter
    def step(self, step: int) -> None:
        self.model.num_timesteps = step

    def parts(self) -> dict[str, Part]:
        """Return everything that the next episode depends on."""
        model = self.model
        assert isinstance(model.replay_buffer, ReplayBuffer)
        assert model.log_ent_coef is not None
        assert model.ent_coef_optimizer is not None
        return {
            "policy": model.policy,
            "actor_optimizer": model.actor.optimizer,
            "critic_optimizer": model.critic.optimizer,
            "entropy_weight": model.log_ent_coef,
            "entropy_optimizer": model.ent_coef_optimizer,
            "medium": self.medium,
            "recorder": self.recorder,
            "replay": _Replay(model.replay_buffer),
            "torch": torch.default_generator,
            "rest": self,
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is no tensor, as the bytes of a JSON text: counters, returns, NumPy's generators."""
        rest = {
            "updates": self.model._n_updates,
            "episodes": self.model._episode_num,
            "medium_steps": self.medium_steps,
            "returns": self.returns,
            "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 -- the buffer draws batches from the global one
            "actions": self.model.action_space.np_random.bit_generator.state,
        }
        text = json.dumps(rest, default=np.ndarray.tolist)
        return {"json": torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take it back."""
        rest = json.loads(state["json"].numpy().tobytes())
        self.model._n_updates, self.model._episode_num = rest["updates"], rest["episodes"]
        self.medium_steps, self.returns = rest["medium_steps"], rest["returns"]
        np.random.set_state(rest["numpy"])  # noqa: NPY002
        self.model.action_space.np_random.bit_generator.state = rest["actions"]


class _Replay:
    """The filled part of a replay buffer."""

    ARRAYS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")

    def __init__(self, buffer: ReplayBuffer) -> None:
        self._buffer = buffer

    def state_dict(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(getattr(self._buffer, name)[: self._buffer.size()]) for name in self.ARRAYS}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        filled = len(state["rewards"])
        for name in self.ARRAYS:
            getattr(self._buffer, name)[:filled] = state[name].numpy()
        self._buffer.pos, self._buffer.full = filled % self._buffer.buffer_size, filled == self._buffer.buffer_size


class _Training(BaseCallback):
    """Shows progress, takes the medium policy and saves the state."""

    def __init__(self, settings: CollectSettings, run: TrainingRun, checkpoint: Checkpoint, steps: int) -> None:
        super().__init__()
        self._settings = settings
        self._run = run
        self._checkpoint = checkpoint
        self._meter = logs.progress(steps, "training SAC")

    def _on_rollout_start(self) -> None:
        # before every step, after the gradient step that follows the last one
        if self._run.recorder.starts_episode():
            self._checkpoint.save_if_due(self._run)

    def _on_step(self) -> bool:
        self._meter.update()
        returns = self._run.returns
        ended = self.locals["infos"][0].get("episode")  # Stable-Baselines3's statistics of a finished episode
        if ended is not None:
            returns.append(float(ended["r"]))
            if len(returns) % RECENT_EPISODES == 0:
                self._meter.set_postfix_str(f"mean return {self._recent_return():.0f}", refresh=False)
                log.info("episode %d: mean return of the last 10: %.1f", len(returns), self._recent_return())
        if self._run.medium_steps is None and self._is_medium():
            self._run.medium.load_state_dict(self.model.policy.state_dict())
            self._run.medium_steps = self.num_timesteps
            log.info("medium policy taken at step %d", self.num_timesteps)
        return self._run.medium_steps is None or self._settings.needs_expert

    def _on_training_end(self) -> None:
        self._meter.close()

    def _recent_return(self) -> float:
        return float(np.mean(self._run.returns[-RECENT_EPISODES:]))

    def _is_medium(self) -> bool:
        if self.num_timesteps >= self._settings.medium_steps:
            return True
        reference = self._settings.returns_for_scores
        if self._settings.medium_score is None or reference is None or len(self._run.returns) < RECENT_EPISODES:
            return False
        random, expert = reference
        return 100 * (self._recent_return() - random) / (expert - random) >= self._settings.medium_score
