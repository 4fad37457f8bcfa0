"""The near-expert stage: every algorithm finds the better action, the same seed gives the same bytes."""

import json

import numpy as np
import pytest

from obdistill import cli
from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.parsing import parse
from obdistill.core.units import Task
from obdistill.datasets.transitions import Dataset, Transitions, make_dataset, read_dataset, write_dataset
from obdistill.near_experts.near_expert import read_near_expert
from obdistill.near_experts.stage import LEARNERS, NearExpertSettings, make_near_expert

SMALL = {"actor_hidden_widths": [32, 32], "critic_hidden_widths": [32, 32], "batch_size": 64, "discount": 0.9}
QUICK = {"actor_learning_rate": 3e-3, "critic_learning_rate": 3e-3, "target_rate": 0.05}
OF_ALGORITHM = {
    "cal_ql": {"steps": 500, "conservative_weight": 0.5, "sampled_actions": 4},
    "iql": {"steps": 600, "expectile": 0.8},
    "td3_bc": {"steps": 500, "alpha": 10.0},
    "rebrac": {"steps": 500, "actor_penalty": 0.05, "critic_penalty": 0.01},
}


def two_step_dataset(episodes: int = 400) -> Dataset:
    """Two steps: the first action becomes the next state without reward, the second step pays that state.

    Behavior is uniform in [-1, 1] (in raw units [0, 4]); the best first action is +1, and only the value of the next
    state tells. In the second state the best action is 0: it costs its square.
    """
    rng = np.random.default_rng(0)
    first, second = rng.uniform(-1, 1, (2, episodes))
    start = np.stack([np.zeros(episodes), rng.normal(0, 0.1, episodes)], 1)
    middle = np.stack([np.ones(episodes), first], 1)
    states = np.stack([start, middle], 1).reshape(-1, 2)
    next_states = np.stack([middle, np.zeros_like(middle)], 1).reshape(-1, 2)
    rewards = np.stack([np.zeros(episodes), 5 * first - 5 * second**2], 1).reshape(-1)
    actions = 2 + 2 * np.stack([first, second], 1).reshape(-1, 1)
    last = np.tile([False, True], episodes)
    columns = [array.astype(np.float32) for array in (states, actions, rewards, next_states)]
    episode = np.repeat(np.arange(episodes), 2).astype(np.int32)
    transitions = Transitions(*columns, last, np.zeros_like(last), episode)
    return make_dataset(Task("made", "Made-v0", (0.0, 1.0)), transitions, np.zeros(1), np.full(1, 4.0))


@pytest.fixture(scope="module")
def dataset_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset") / "dataset.npz"
    write_dataset(path, two_step_dataset(), {})
    return path


def settings(algorithm: str, **changes) -> NearExpertSettings:
    data = {"algorithm": algorithm, **SMALL, **QUICK, **OF_ALGORITHM[algorithm], **changes}
    return parse(NearExpertSettings, data, "test")


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_a_policy_better_than_the_data_and_its_values(algorithm, dataset_path, tmp_path):
    out = tmp_path / "near_expert.safetensors"
    make_near_expert(dataset_path, settings(algorithm), out)
    near_expert = read_near_expert(out)
    start, middle = np.array([[0.0, 0.0]]), np.array([[1.0, 0.8]])
    assert near_expert.actions(start).item() > 0.6  # behavior's mean is 0
    assert abs(near_expert.actions(middle).item()) < 0.25
    # values are in the reward's own units: 5 * 0.8 in the second state; in the first, 0.9 * 5 * action
    values = near_expert.q(middle, near_expert.actions(middle))
    assert np.allclose(values, 4, atol=1)
    good = near_expert.q(start, 0 * near_expert.actions(start) + 0.6).min()
    bad = near_expert.q(start, 0 * near_expert.actions(start) - 0.6).max()
    assert good > bad + 1.5

    metadata = artifacts.read_metadata(out, "near_expert")
    assert metadata["algorithm"] == metadata["settings"]["algorithm"] == algorithm
    assert metadata["task"] == "made"
    assert metadata["transitions"] == 800
    assert metadata["inputs"] == artifacts.inputs(dataset=dataset_path)
    assert metadata["training"]["seconds"] > 0
    assert (metadata["device"], metadata["threads"]) == ("cpu", 1)


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_the_same_seed_gives_the_same_bytes(algorithm, dataset_path, tmp_path):
    hashes = []
    for run, seed in enumerate([0, 0, 1]):
        out = tmp_path / f"{run}.safetensors"
        make_near_expert(dataset_path, settings(algorithm, steps=30, seed=seed), out)
        hashes.append(artifacts.sha256(out))
    assert hashes[0] == hashes[1] != hashes[2]


def test_values_do_not_carry_the_scale_of_training(dataset_path, tmp_path):
    values = []
    for scale in (1.0, 0.01):
        out = tmp_path / "near_expert.safetensors"
        make_near_expert(dataset_path, settings("td3_bc", reward_scale=scale), out)
        near_expert = read_near_expert(out)
        state = np.array([[1.0, 0.8]])
        values.append(near_expert.q(state, near_expert.actions(state)).mean().item())
    assert np.allclose(values, 4, atol=1)


def test_the_policys_units_are_the_datasets(dataset_path, tmp_path):
    out = tmp_path / "near_expert.safetensors"
    make_near_expert(dataset_path, settings("td3_bc", steps=1), out)
    mine, theirs = read_near_expert(out).normalizer, read_dataset(dataset_path).normalizer
    assert all(np.array_equal(array, theirs.arrays()[name]) for name, array in mine.arrays().items())


def test_the_command_trains_and_reports(dataset_path, tmp_path, capsys):
    out, log = tmp_path / "near_expert.safetensors", tmp_path / "near_expert.log"
    given = json.dumps({"algorithm": "td3_bc", **SMALL})
    with pytest.raises(SystemExit) as ended:
        cli.main([
            *("near-expert", "--dataset", str(dataset_path), "--settings", given, "--set", "steps=40"),
            *("--out", str(out), "--log", str(log)),
        ])  # fmt: skip
    assert not ended.value.code
    assert artifacts.read_metadata(out, "near_expert")["settings"]["steps"] == 40
    assert "td3_bc: 40/40 steps (100 %)" in log.read_text()
    assert "critic_loss=" in log.read_text()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "algorithm: missing; allowed: cal_ql, iql, td3_bc, rebrac, import"),
        ({"algorithm": "sac"}, 'algorithm: "sac": not known; allowed: cal_ql, iql, td3_bc, rebrac, import'),
        ({"algorithm": "iql", "expectil": 0.5}, r"expectil: unknown key \(did you mean 'expectile'\?\)"),
        ({"algorithm": "td3_bc", "alpha": -1}, "alpha: -1: should be greater than or equal to 0"),
        ({"algorithm": "rebrac", "critic_penalty": -1}, "critic_penalty: -1: should be greater than or equal to 0"),
        ({"algorithm": "td3_bc", "seed": -1}, "seed: -1: should be greater than or equal to 0"),
        ({"algorithm": "td3_bc", "actor_hidden_widths": []}, "actor_hidden_widths"),
        ({"algorithm": "import"}, "checkpoint: missing; it has no default"),
        (
            {"algorithm": "import", "checkpoint": "a.pt", "steps": 3},
            "steps: unknown key; allowed: algorithm, checkpoint",
        ),
    ],
)
def test_bad_settings_are_told(given, message):
    with pytest.raises(UserError, match=message):
        parse(NearExpertSettings, given, "settings")


def test_equal_returns_give_no_scale(dataset_path, tmp_path):
    dataset = two_step_dataset(5)
    dataset.transitions.rewards[:] = 1
    write_dataset(tmp_path / "dataset.npz", dataset, {})
    with pytest.raises(UserError, match="reward_scale: null: all episodes have the same return"):
        make_near_expert(tmp_path / "dataset.npz", settings("iql", reward_scale=None), tmp_path / "out.safetensors")
