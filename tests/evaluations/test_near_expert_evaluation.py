"""Evaluation of near-experts: returns in the common form, critics against returns that nothing cut short."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from helpers.small import write_small_inputs
from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.parsing import parse
from obdistill.core.units import Normalizer, Task
from obdistill.datasets.transitions import Transitions, make_dataset, write_dataset
from obdistill.evaluations.near_expert import NearExpertEvaluationSettings, compare_critics, evaluate_near_expert
from obdistill.evaluations.returns import COLUMNS
from obdistill.evaluations.rollout import Trajectory
from obdistill.near_experts.near_expert import NearExpert, write_near_expert
from obdistill.near_experts.networks import Critics, linear_layers, mlp, orthogonal_
from obdistill.near_experts.stage import NearExpertSettings, make_near_expert

DATA = Path(__file__).parents[3] / "shared/data"


class Counting(gymnasium.Env):
    """Pays the action at every step and ends, in a terminal state, after 20; the state counts the steps."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))
    action_space = gymnasium.spaces.Box(-2.0, 6.0, (1,), np.float32)
    max_episode_steps = 20

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1), {}

    def step(self, action):
        self.steps += 1
        return np.full(1, self.steps), float(action[0]), self.steps == 20, False, {}


@pytest.fixture
def counting():
    for name, limit in (("Counting-v0", None), ("CountingCut-v0", 12)):
        gymnasium.register(name, lambda: Counting(), max_episode_steps=limit)
    yield
    for name in ("Counting-v0", "CountingCut-v0"):
        del gymnasium.registry[name]


def constant(env_id: str, q: tuple[float, ...] = (10.0, 30.0)) -> NearExpert:
    """A policy that always gives tanh(0.5) and critics that always give a constant."""
    networks = []
    for units, value in (((1, 4, 1), 0.5), *(((2, 4, 1), value) for value in q)):
        network = orthogonal_(mlp(units), torch.Generator().manual_seed(0))
        last = linear_layers(network)[-1]
        last.weight.data.zero_()
        last.bias.data.fill_(value)
        networks.append(network)
    one = np.ones(1, np.float32)
    return NearExpert(
        Task("counting", env_id, (0.0, 100.0)),
        Normalizer(one, one, -2 * one, 6 * one),
        networks[0],
        Critics(networks[1:]),
    )


def write(folder: Path, near_expert: NearExpert) -> Path:
    path = folder / "near_expert.safetensors"
    write_near_expert(path, near_expert, {"algorithm": "td3_bc", "settings": {"seed": 4}, "transitions": 77})
    return path


def test_the_evaluation_of_a_known_policy(tmp_path, counting):
    path, out = write(tmp_path, constant("Counting-v0")), tmp_path / "returns.csv"
    evaluate_near_expert(path, 3, NearExpertEvaluationSettings(episodes=10, discount=0.9), out)
    table, metadata = artifacts.read_table(out, "returns")
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 10
    reward = 2 + 4 * np.tanh(0.5)
    assert np.allclose(table["return"], 20 * reward, rtol=1e-5)
    assert np.allclose(table["score"], 20 * reward, rtol=1e-5)
    assert (table["length"] == 20).all()
    assert table["episode"].tolist() == list(range(10))
    assert table["env_seed"].nunique() == 10
    fixed = {"task": "counting", "method": "near_expert", "protocol": "near_expert", "size": 77, "seed": 3}
    for column, value in (fixed | {"step": 0, "policy": 0, "policy_seed": 4}).items():
        assert (table[column] == value).all(), column
    assert metadata["near_expert"]["settings"] == {"seed": 4}
    assert (metadata["precision"], metadata["device"], metadata["threads"]) == ("float32", "cpu", 1)
    assert metadata["score"]["mean"] == pytest.approx(20 * reward, rel=1e-5)
    assert metadata["score"]["sd"] == pytest.approx(0, abs=1e-6)
    # every state of an episode that terminates counts: reward * mean of (1 - 0.9^left) / 0.1
    mean_return = reward * np.mean([(1 - 0.9**left) / 0.1 for left in range(1, 21)])
    for name, q in (("critic_0", 10), ("critic_1", 30)):
        found = metadata["critics"][name]
        assert found["states"] == 200
        assert found["mean_return"] == pytest.approx(mean_return, rel=1e-5)
        assert found["bias"] == pytest.approx(q - mean_return, rel=1e-5)
        assert found["correlation"] is None


@pytest.mark.parametrize(("discount", "states"), [(0.6, 3), (0.9, 0)])
def test_states_whose_returns_the_time_limit_cuts_are_left_out(tmp_path, counting, discount, states):
    """12 steps: 0.6^10 < 0.01 leaves the first three states; 0.9^12 is still 0.28."""
    path, out = write(tmp_path, constant("CountingCut-v0")), tmp_path / "returns.csv"
    evaluate_near_expert(path, 0, NearExpertEvaluationSettings(discount=discount), out)
    critic = artifacts.read_metadata(out, "returns")["critics"]["critic_0"]
    assert critic["states"] == 10 * states
    assert (critic["bias"] is None) == (states == 0)


def test_bias_and_correlation_by_hand():
    near_expert = constant("Counting-v0", (0.0,))
    with torch.no_grad():  # q = relu(state) + relu(-state) = |state| in normalized units
        first, last = linear_layers(near_expert.critics[0])
        first.weight.copy_(torch.tensor([[1.0, 0], [-1, 0], [0, 0], [0, 0]]))
        last.weight.copy_(torch.tensor([[1.0, 1, 0, 0]]))
    states = np.array([[1.0], [2], [4], [3]])
    trajectory = Trajectory(states, np.array([1.0, 5, 2, 3]), True)
    found = compare_critics(near_expert, [trajectory], 0.5)["critic_0"]
    truth, q = np.array([1 + 2.5 + 0.5 + 0.375, 5 + 1 + 0.75, 2 + 1.5, 3]), np.abs(states[:, 0] - 1) / 1.001
    assert found["bias"] == pytest.approx((q - truth).mean(), rel=1e-5)
    assert found["correlation"] == pytest.approx(np.corrcoef(truth, q)[0, 1], rel=1e-5)


def test_the_same_seed_gives_the_same_bytes_and_other_seeds_other_episodes(tmp_path):
    _, path = write_small_inputs(tmp_path)
    arrays, metadata = artifacts.read_arrays(path, "near_expert")
    artifacts.write_artifact(path, arrays, {**metadata, "settings": {}, "transitions": 0})
    hashes = []
    for run, seed in enumerate([5, 5, 6]):
        evaluate_near_expert(path, seed, NearExpertEvaluationSettings(), tmp_path / f"{run}.csv")
        hashes.append(artifacts.sha256(tmp_path / f"{run}.csv"))
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_near_expert_that_does_not_fit_its_environment_is_told(tmp_path):
    path = write(tmp_path, constant("Pendulum-v1"))
    with pytest.raises(UserError, match=r"near-expert of counting: takes 1 state dimensions; .* shape \(10, 3\)"):
        evaluate_near_expert(path, 0, NearExpertEvaluationSettings(), tmp_path / "returns.csv")


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared test data")
def test_the_released_near_expert_scores_what_was_measured(tmp_path):
    """45.9 over 30 episodes of HalfCheetah-v4 (the paper prints 45.8); critics pessimistic, as Cal-QL's should be."""
    n = 4
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=(n, 17)), rng.uniform(-1, 1, (n, 6)), np.zeros(n), rng.normal(size=(n, 17))]
    ends = np.arange(n) == n - 1
    transitions = Transitions(*(c.astype(np.float32) for c in columns), ~ends & False, ends, np.zeros(n, np.int32))
    task = Task("halfcheetah_medium_replay", "HalfCheetah-v4", (-280.178953, 12135.0))
    write_dataset(tmp_path / "dataset.npz", make_dataset(task, transitions, -np.ones(6), np.ones(6)), {})
    settings = {
        "algorithm": "import",
        "checkpoint": str(DATA / "near_expert/halfcheetah-medium-replay-v2.pt"),
        "statistics": {"file": str(DATA / "d4rl_v2_state_mean_std.json"), "key": "halfcheetah-medium-replay-v2"},
    }
    out = tmp_path / "near_expert.safetensors"
    make_near_expert(tmp_path / "dataset.npz", parse(NearExpertSettings, settings, "test"), out)
    evaluate_near_expert(out, 0, NearExpertEvaluationSettings(episodes=30), tmp_path / "returns.csv")
    metadata = artifacts.read_metadata(tmp_path / "returns.csv", "returns")
    assert metadata["near_expert"]["settings"]["algorithm"] == "import"
    assert (metadata["precision"], metadata["device"], metadata["threads"]) == ("float32", "cpu", 1)
    assert metadata["score"]["mean"] == pytest.approx(45.9, abs=3)
    for critic in metadata["critics"].values():
        assert -120 < critic["bias"] < 0  # of returns of about 550
        assert critic["correlation"] > 0.5
