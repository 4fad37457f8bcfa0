"""Exported policies act as the policies do."""

import numpy as np
import pytest

from helpers.synsets import made_synset
from obdistill.core.errors import UserError
from obdistill.evaluations.train import train
from obdistill.exports.stage import export

STEPS = 3
RIDGE = {"architecture": "mlp_2_16384", "optimizer": "ridge"}


def policy_in(folder, synset=None, **options):
    policy = train(synset or made_synset(), **{"steps": STEPS, "architecture": "mlp_2", **options})
    policy.save(folder / "policy.safetensors")
    return policy


def states_of(policy, n=50):
    normalizer = policy.members.normalizer
    noise = np.random.default_rng(1).standard_normal((n, len(normalizer.state_mean)))
    return (normalizer.state_mean + 3 * normalizer.state_std * noise).astype(np.float32)


@pytest.mark.parametrize("options", [{}, {"architecture": "residual"}, {"policies": 3}, RIDGE], ids=str)
def test_onnx_graphs_act_as_the_policy(tmp_path, options):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    policy = policy_in(tmp_path, made_synset("Pendulum-v1", "pendulum"), **options)
    export(tmp_path / "policy.safetensors", "onnx", tmp_path / "policy.onnx")
    session = runtime.InferenceSession(tmp_path / "policy.onnx", providers=["CPUExecutionProvider"])
    states = states_of(policy)
    (actions,) = session.run(["actions"], {"observations": states})
    assert np.abs(actions - policy(states)).max() < 1e-5
    assert actions.std() > 0.01
    (one,) = session.run(["actions"], {"observations": states[:1]})
    assert one.shape == (1, 1)


def test_a_graph_that_differs_is_not_written(tmp_path, monkeypatch):
    graph = pytest.importorskip("obdistill.exports.onnx_graph", exc_type=ImportError)
    policy = policy_in(tmp_path)
    monkeypatch.setattr(graph, "STD_FLOOR", 0.5)
    with pytest.raises(UserError, match=r"a\.onnx: actions of the graph differ by .*; at most 1e-05 is allowed$"):
        graph.write_onnx(policy, tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize("options", [{}, RIDGE], ids=str)
def test_stable_baselines3_acts_as_the_policy(tmp_path, options):
    policies = pytest.importorskip("stable_baselines3.td3.policies")
    policy = policy_in(tmp_path, made_synset("Pendulum-v1", "pendulum"), **options)
    export(tmp_path / "policy.safetensors", "sb3", tmp_path / "policy.zip")
    states = states_of(policy)
    actions, _ = policies.TD3Policy.load(tmp_path / "policy.zip").predict(states, deterministic=True)
    assert np.abs(actions - policy(states)).max() < 1e-5


@pytest.mark.parametrize("options", [{"architecture": "residual"}, {"policies": 2}], ids=str)
def test_stable_baselines3_takes_one_plain_network(tmp_path, options):
    pytest.importorskip("stable_baselines3")
    policy_in(tmp_path, **options)
    with pytest.raises(UserError, match=r"^--to sb3: .*; one plain network is needed$"):
        export(tmp_path / "policy.safetensors", "sb3", tmp_path / "policy.zip")
