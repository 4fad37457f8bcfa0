"""Environment steps per second of an evaluation, against a plain loop: one environment, one policy, one thread.

Both run the same policies from the same seeds in turns in one process, and must give the same returns. Beside them
stands the share of the plain loop and of the evaluation that MuJoCo itself takes: the rate of `mj_step` alone.

The policies are fresh ones. In Hopper they fall within some 30 steps, so that starting an evaluation counts for much;
`HopperToTheEnd` is the same robot without an end at a fall: episodes as long as those of policies that stand.
"""

import os
import time
from statistics import median

import click
import gymnasium
import mujoco
import numpy as np
import torch

from obdistill.core import environments
from obdistill.core.seeding import torch_generator
from obdistill.core.units import Normalizer
from obdistill.evaluations.rollout import Episodes, rollout
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import orthogonal_policies
from obdistill.policies.trained import TrainedPolicies

# at import, so that the processes of the evaluation know it as well
gymnasium.register(
    "HopperToTheEnd-v5",
    entry_point="gymnasium.envs.mujoco.hopper_v5:HopperEnv",
    max_episode_steps=1000,
    kwargs={"terminate_when_unhealthy": False},
)


def make_policies(env_id: str, count: int) -> TrainedPolicies:
    """Draw fresh policies for an environment."""
    env = environments.make(env_id)
    low, high = environments.action_bounds(env)
    state_dim = env.observation_space.shape[0]  # type: ignore[index]
    normalizer = Normalizer(np.zeros(state_dim, np.float32), np.ones(state_dim, np.float32), low, high)
    return TrainedPolicies(
        orthogonal_policies(ARCHITECTURES["mlp_4"], state_dim, len(low), count, torch_generator(0)), "mlp_4", normalizer
    )


def plain_loop(policies: TrainedPolicies, env_id: str, seeds: np.ndarray) -> Episodes:
    """Run one episode after the other, one forward pass per step."""
    env = environments.make(env_id)
    low, high = environments.action_bounds(env)
    returns, lengths = np.zeros(seeds.shape), np.zeros(seeds.shape, np.int64)
    for (row, column), seed in np.ndenumerate(seeds):
        policy = policies[row : row + 1]
        observation, _ = env.reset(seed=int(seed))
        over = False
        while not over:
            action = np.clip(policy(observation[None, None])[0, 0], low, high)
            observation, reward, terminated, truncated, _ = env.step(action)
            returns[row, column] += float(reward)
            lengths[row, column] += 1
            over = terminated or truncated
    return Episodes(returns, lengths)


def mujoco_rate(env_id: str, seconds: float = 1.0) -> float:
    """Return environment steps per second of `mj_step` alone, on one thread, with random controls."""
    env = environments.make(env_id).unwrapped
    model, data, frames = env.model, env.data, env.frame_skip  # type: ignore[attr-defined]
    env.reset(seed=0)
    controls = np.random.default_rng(0).uniform(*environments.action_bounds(env), (1000, model.nu))
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for control in controls:
            data.ctrl[:] = control
            mujoco.mj_step(model, data, frames)
        steps += len(controls)
    return steps / (time.perf_counter() - start)


@click.command()
@click.option("--env", "env_ids", multiple=True, default=["HalfCheetah-v5", "Hopper-v5", "HopperToTheEnd-v5"])
@click.option("--policies", default=10, show_default=True)
@click.option("--episodes", default=10, show_default=True, help="Per policy.")
@click.option("--rounds", default=3, show_default=True, help="Medians are over these.")
@click.option("--workers", default=os.cpu_count() or 1, show_default=True, help="Processes of the evaluation.")
def main(env_ids: tuple[str, ...], policies: int, episodes: int, rounds: int, workers: int) -> None:
    """Print steps per second and their ratio."""
    torch.set_num_threads(1)
    for env_id in env_ids:
        trained = make_policies(env_id, policies)
        seeds = np.arange(policies * episodes).reshape(policies, episodes)
        rollout(trained, env_id, seeds, workers)  # starts the processes, which an evaluation does once
        rates: dict[str, list[float]] = {"plain": [], "evaluation": []}
        for _ in range(rounds):
            start = time.perf_counter()
            expected = plain_loop(trained, env_id, seeds)
            between = time.perf_counter()
            found = rollout(trained, env_id, seeds, workers)
            rates["plain"].append(expected.lengths.sum() / (between - start))
            rates["evaluation"].append(found.lengths.sum() / (time.perf_counter() - between))
            assert (found.returns == expected.returns).all(), "the returns differ"
        plain, ours, physics = median(rates["plain"]), median(rates["evaluation"]), mujoco_rate(env_id)
        click.echo(
            f"{env_id}: {policies} policies x {episodes} episodes, steps/s: plain loop {plain:,.0f}, evaluation "
            f"{ours:,.0f} with {workers} processes, ratio {ours / plain:.2f}; the same returns. "
            f"MuJoCo alone {physics:,.0f} on one thread: {plain / physics:.0%} of the plain loop's time, "
            f"{ours / physics / workers:.0%} of the evaluation's"
        )


if __name__ == "__main__":
    main()
