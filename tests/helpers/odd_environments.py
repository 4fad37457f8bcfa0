"""Environments that give what they should not, and policies for them; importable by worker processes."""

import gymnasium
import numpy as np

LIMIT = 5


class Odd(gymnasium.Env):
    """Counts its steps by thirds in a state of two numbers; one thing about it is odd."""

    observation_space = gymnasium.spaces.Box(-9, 9, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, **odd):
        self.odd = odd
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        state = np.zeros(2, self.odd.get("dtype", np.float32))
        return self.odd.get("first", state), {}

    def step(self, action):
        self.steps += 1
        odd = self.odd if self.steps == self.odd.get("at", 1) or "at" not in self.odd else {}
        state = np.full(2, self.steps / 3, np.float32)
        ended = odd.get("terminated", False)
        answer = (odd.get("state", state), odd.get("reward", 1.0), ended, False, {})
        return answer[: self.odd.get("length", 5)]


class Ending(Odd):
    """Ends by itself, and says so."""

    max_episode_steps = 3

    def step(self, action):
        state, reward, _, _, info = super().step(action)
        return state, reward, False, self.steps == 3, info


class Watching:
    """A policy of zeros that remembers the states it was shown."""

    def __init__(self, count=1, action=0.0):
        self.count, self.action, self.seen = count, action, []

    def __call__(self, states):
        self.seen.append(states[0, 0].copy())
        return np.full((*states.shape[:2], 1), self.action, np.float32)

    def __getitem__(self, rows):
        return Watching(self.count, self.action)


gymnasium.register("Odd-v0", Odd, max_episode_steps=LIMIT)
gymnasium.register("Endless-v0", Odd)
gymnasium.register("Ending-v0", Ending)
