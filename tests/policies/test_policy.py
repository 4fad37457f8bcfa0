"""A policy in hand: one state or many, and one file."""

import json
import re

import numpy as np
import pytest
import safetensors.numpy

from obdistill.core.errors import UserError
from obdistill.core.seeding import torch_generator
from obdistill.core.units import Normalizer, Task
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import orthogonal_policies
from obdistill.policies.policy import Policy
from obdistill.policies.trained import TrainedPolicies

STATES = np.random.default_rng(0).normal(size=(7, 3)) * 3


def made_policy(members: int = 2, architecture: str = "mlp_2", task: Task = Task("own")) -> Policy:  # noqa: B008
    parameters = orthogonal_policies(ARCHITECTURES[architecture], 3, 2, members, torch_generator(5))
    statistics, high = (np.ones(3, np.float32), np.full(3, 2, np.float32)), np.array([2, 0.5], np.float32)
    normalizer = Normalizer(*statistics, np.array([-2, 0], np.float32), high)
    return Policy(TrainedPolicies(parameters, architecture, normalizer, ensemble=True), task, {"seed": 5})


def test_one_state_or_many_give_the_same_actions_within_the_bounds():
    policy = made_policy()
    actions = policy(STATES)
    assert actions.shape == (7, 2)
    assert actions.dtype == np.float32
    for state, action in zip(STATES.tolist(), actions, strict=True):
        assert np.array_equal(policy(state), action)
    far = policy(STATES * 1e6)
    assert (far >= [-2, 0]).all()
    assert (far <= [2, 0.5]).all()


@pytest.mark.parametrize("architecture", ["mlp_4", "residual"])
@pytest.mark.parametrize("task", [Task("own"), Task("hopper", "Hopper-v5", (0.0, 3.5))])
def test_a_file_brings_the_same_policy_back(tmp_path, architecture, task):
    policy = made_policy(3, architecture, task)
    policy.save(str(tmp_path / "policy.safetensors"))
    policy.save(tmp_path / "again.safetensors")
    found = Policy.load(tmp_path / "policy.safetensors")
    assert np.array_equal(found(STATES), policy(STATES))
    assert (found.task, found.made) == (task, {"seed": 5})
    assert (tmp_path / "policy.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()


@pytest.mark.parametrize("shape", [(4,), (7, 4), (2, 7, 3), ()])
def test_states_of_another_shape_are_refused(shape):
    line = f"observations of shape {shape}; (3,) or (n, 3) is needed"
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        made_policy()(np.zeros(shape))


def changed(path, header=None, **arrays):
    """Write the file anew with other arrays (None: without it) or another header."""
    content = safetensors.numpy.load_file(path) | arrays
    with safetensors.safe_open(path, "numpy") as file:
        header = file.metadata() if header is None else header
    path.write_bytes(safetensors.numpy.save({k: v for k, v in content.items() if v is not None}, header))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda path: path.unlink(), "cannot be read (No such file or directory)"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is no readable .safetensors file"),
        (lambda path: changed(path, {}), "is no policy; obd train writes one"),
        (lambda path: changed(path, {"policy": "["}), "is no policy; obd train writes one"),
        (lambda path: changed(path, {"policy": json.dumps({"architecture": "mlp_9"})}), "is no policy; obd train"),
        (lambda path: changed(path, **{"1.bias": None}), "array '1.bias' is missing or damaged: (2, 1, 2) finite"),
        (lambda path: changed(path, **{"0.weight": np.zeros((2, 3, 9), np.float32)}), "array '0.weight' is missing"),
        (lambda path: changed(path, **{"0.bias": np.full((2, 1, 256), np.inf, np.float32)}), "array '0.bias' is"),
        (lambda path: changed(path, state_std=None), "lacks the array 'state_std'"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, change, line):
    path = tmp_path / "policy.safetensors"
    made_policy().save(path)
    change(path)
    with pytest.raises(UserError, match=f"^{re.escape(f'{path}: {line}')}[^\n]*$"):
        Policy.load(path)


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"policy.npz: ends in '.npz'; .safetensors is needed$"):
        made_policy().save(tmp_path / "policy.npz")
    (tmp_path / "policy.npz").write_text("")
    with pytest.raises(UserError, match=r"policy.npz: is no policy; obd train writes one$"):
        Policy.load(tmp_path / "policy.npz")
