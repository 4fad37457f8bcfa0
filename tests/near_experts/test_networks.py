"""The near-expert and its file: arithmetic against numpy, what is written is read, malformed files are told."""

import numpy as np
import pytest
import torch

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.units import Normalizer, Task
from obdistill.near_experts import near_expert as artifact
from obdistill.near_experts.near_expert import NearExpert, read_near_expert
from obdistill.near_experts.near_expert import write_near_expert as write
from obdistill.near_experts.networks import Critics, from_layers, layer_norms, linear_layers, mlp, orthogonal_

S, A = 3, 2
STATES = np.random.default_rng(0).normal(5, 3, (7, S))


def make(outputs: int = A, layer_norm: bool = False) -> NearExpert:
    generator = torch.Generator().manual_seed(0)
    normalizer = Normalizer(
        np.array([5, 4, 3], np.float32),
        np.array([1, 2, 3], np.float32),
        np.array([-1, -3], np.float32),
        np.array([1, 5], np.float32),
    )
    critics = Critics([orthogonal_(mlp((S + A, 6, 1), layer_norm), generator) for _ in range(2)])
    actor = orthogonal_(mlp((S, 8, 5, outputs)), generator)
    for network in (actor, *critics):
        for layer in linear_layers(network):
            layer.bias.data.uniform_(-1, 1, generator=generator)
        for norm in layer_norms(network):
            for part in (norm.weight, norm.bias):
                part.data.uniform_(-1, 1, generator=generator)
    return NearExpert(Task("made", "Made-v0", (0.0, 10.0)), normalizer, actor, critics)


def by_hand(network, inputs: np.ndarray) -> np.ndarray:
    layers = [(layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()) for layer in network[::2]]
    for weight, bias in layers[:-1]:
        inputs = np.maximum(inputs @ weight.T + bias, 0)
    return inputs @ layers[-1][0].T + layers[-1][1]


@pytest.mark.parametrize("outputs", [A, 2 * A])
def test_actions_and_values_are_those_of_the_networks_in_the_policys_own_units(outputs):
    near_expert = make(outputs)
    normal = (STATES - [5, 4, 3]) / (np.array([1, 2, 3]) + 1e-3)
    actions = near_expert.actions(STATES)
    assert np.allclose(actions, np.tanh(by_hand(near_expert.actor, normal)[:, :A]), atol=1e-5)
    values = near_expert.q(STATES, actions)
    assert values.shape == (2, 7)
    for critic, row in zip(near_expert.critics, values, strict=True):
        assert np.allclose(row, by_hand(critic, np.hstack([normal, actions]))[:, 0], atol=1e-5)


def test_a_large_input_goes_through_in_pieces(monkeypatch):
    near_expert = make()
    actions = near_expert.actions(STATES)
    values = near_expert.q(STATES, actions)
    monkeypatch.setattr(artifact, "ROWS_AT_ONCE", 3)
    assert torch.allclose(near_expert.actions(STATES), actions, atol=1e-6)
    assert torch.allclose(near_expert.q(STATES, actions), values, atol=1e-6)


def test_critics_take_many_actions_per_state():
    critics, generator = make().critics, torch.Generator().manual_seed(1)
    states, actions = torch.randn(4, 5, S, generator=generator), torch.randn(4, 5, A, generator=generator)
    values = critics(states, actions)
    assert values.shape == (2, 4, 5)
    assert torch.allclose(values[:, 3, 2], critics(states[3, 2:3], actions[3, 2:3])[:, 0], atol=1e-6)


def test_initialization_is_orthogonal_with_gain_sqrt_2_and_its_generators_alone():
    state = torch.random.get_rng_state()
    first, second, other = (orthogonal_(mlp((4, 9, 1)), torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.allclose(first[0].weight.T @ first[0].weight, 2 * torch.eye(4), atol=1e-5)
    assert torch.equal(first[0].weight, second[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert not first[0].bias.any()
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("outputs", [A, 2 * A])
def test_what_is_written_is_read(tmp_path, outputs):
    near_expert, path = make(outputs), tmp_path / "near_expert.safetensors"
    write(path, near_expert, {"algorithm": "made"})
    read = read_near_expert(path)
    assert read.task == near_expert.task
    assert torch.equal(read.actions(STATES), near_expert.actions(STATES))
    actions = near_expert.actions(STATES)
    assert torch.equal(read.q(STATES, actions), near_expert.q(STATES, actions))
    metadata = artifacts.read_metadata(path, "near_expert")
    assert metadata["architecture"] == {
        "actor": [S, 8, 5, outputs],
        "critic_0": [S + A, 6, 1],
        "critic_1": [S + A, 6, 1],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("actor.1.bias"), "lacks the array 'actor.1.bias'"),
        (lambda arrays: arrays.pop("actor.0.weight"), "actor: holds no layer"),
        (lambda arrays: arrays.update({"actor.0.weight": np.zeros((9, S), np.float32)}), "of layer 0 do not fit"),
        (lambda arrays: arrays.update({"actor.1.weight": np.zeros((5, 9), np.float32)}), "of layer 1 do not fit"),
        (lambda arrays: arrays.pop("actor.2.weight"), "actor takes 3 and gives 5 numbers"),
        (lambda arrays: arrays.pop("critic_0.1.weight"), "critic 0 takes 5 and gives 6 numbers"),
        (lambda arrays: [arrays.pop(key) for key in list(arrays) if "critic" in key], "holds no critic"),
        (lambda arrays: arrays.pop("state_std"), "lacks the array 'state_std'"),
        (lambda arrays: arrays["actor.0.bias"].fill(np.nan), "layer 0 holds numbers that are not finite"),
    ],
)
def test_a_malformed_file_is_told_in_one_line(tmp_path, change, message):
    refuse(tmp_path / "near_expert.safetensors", make(), change, message)


def refuse(path, near_expert: NearExpert, change, message: str) -> None:
    write(path, near_expert, {})
    arrays, metadata = artifacts.read_arrays(path, "near_expert")
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(arrays)
    artifacts.write_artifact(path, arrays, metadata)
    with pytest.raises(UserError, match=message) as caught:
        read_near_expert(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_layer_norms_are_written_and_read(tmp_path):
    near_expert, path = make(layer_norm=True), tmp_path / "near_expert.safetensors"
    write(path, near_expert, {})
    arrays, metadata = artifacts.read_arrays(path, "near_expert")
    added = {f"critic_{i}.0.norm.{part}" for i in range(2) for part in ("weight", "bias")}
    write(path, make(), {})
    assert arrays.keys() - artifacts.read_arrays(path, "near_expert")[0].keys() == added
    write(path, near_expert, {})
    actions = near_expert.actions(STATES)
    assert torch.equal(read_near_expert(path).q(STATES, actions), near_expert.q(STATES, actions))
    assert not torch.allclose(near_expert.q(STATES, actions), make().q(STATES, actions), atol=0.1)
    assert metadata["architecture"]["critic_0"] == [S + A, 6, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("critic_0.0.norm.bias"), "lacks the array 'critic_0.0.norm.bias'"),
        (
            lambda arrays: arrays.update({"critic_1.0.norm.weight": np.zeros(5, np.float32)}),
            r"critic_1: the layer norm 0 has the shapes \(5,\) and \(6,\); \(6,\) of finite numbers are needed",
        ),
        (lambda arrays: arrays["critic_0.0.norm.bias"].fill(np.inf), "critic_0: the layer norm 0 has the shapes"),
        (
            lambda arrays: arrays.update({"actor.1.norm.weight": np.zeros(5, np.float32)}),
            "lacks the array 'actor.0.norm.weight'",
        ),
    ],
)
def test_malformed_layer_norms_are_told_in_one_line(tmp_path, change, message):
    refuse(tmp_path / "near_expert.safetensors", make(layer_norm=True), change, message)


def test_layers_of_one_dimension_are_refused():
    with pytest.raises(UserError, match="of layer 0 do not fit"):
        from_layers([(np.zeros(3), np.zeros(3))], "made")


def test_states_of_another_task_are_refused():
    for use in (make().actions, lambda states: make().q(states, torch.zeros(7, A))):
        with pytest.raises(UserError, match=r"near-expert of made: takes 3 state dimensions; .* shape \(7, 4\)"):
            use(np.zeros((7, 4)))
