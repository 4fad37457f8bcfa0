"""Environments whose states are vectors with names, one Dict within another as in Kitchen; importable by workers."""

from collections import OrderedDict

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete


def _box(size):
    return Box(-np.inf, np.inf, (size,), np.float64)


class NamedStates(gymnasium.Env):
    """A point that is pushed; `goal_last` changes the order of the names, `discrete` adds what is no vector."""

    action_space = Box(-1, 1, (2,), np.float32)

    def __init__(self, goal_last=False, discrete=False):
        parts = [("observation", _box(4)), ("goal", Dict({"near": _box(1), "far": _box(2)}))]
        parts += [("mode", Discrete(3))] if discrete else []
        self.observation_space = Dict(OrderedDict(parts if goal_last else parts[::-1]))
        self.point, self.speed = np.zeros(2), np.zeros(2)

    def _state(self):
        goal = {"near": self.point[:1] * 2, "far": self.point + 1}
        return {"observation": np.concatenate([self.point, self.speed]), "goal": goal}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.point, self.speed = self.np_random.normal(size=2), np.zeros(2)
        return self._state(), {}

    def step(self, action):
        self.speed = self.speed + 0.1 * np.asarray(action, np.float64)
        self.point = self.point + self.speed
        return self._state(), -float(np.square(self.point).sum()), False, False, {}


PLACE = "helpers.named_states:NamedStates"
gymnasium.register("NamedStates-v0", PLACE, max_episode_steps=6)
gymnasium.register("GoalLast-v0", PLACE, max_episode_steps=6, kwargs={"goal_last": True})
gymnasium.register("NamedAndDiscrete-v0", PLACE, max_episode_steps=6, kwargs={"discrete": True})
