"""Import of CORL checkpoints: the right numbers, the right statistics, nothing executed, misfits told in one line."""

import json
import pathlib
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.small import make_small_dataset
from helpers.weights import load_near_expert, make_weights, npz, state_dicts, unit_dataset
from obdistill.core.errors import UserError
from obdistill.near_experts.corl import read_weights
from obdistill.near_experts.settings import StatisticsSettings

DATA = Path(__file__).parents[3] / "shared/data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the shared test data")


class Scalar(torch.nn.Module):
    """As CORL pickles it: a module of ``__main__``."""

    def __init__(self):
        super().__init__()
        self.constant = torch.nn.Parameter(torch.tensor(0.5))


def save_as_corl(path: Path, monkeypatch, **extra) -> None:
    monkeypatch.setattr(Scalar, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Scalar", Scalar, raising=False)
    torch.save({**state_dicts(), "sac_log_alpha": Scalar(), "total_it": 7, **extra}, path)
    monkeypatch.delattr(sys.modules["__main__"], "Scalar")


def test_a_checkpoint_as_corl_saves_it_equals_plain_arrays(tmp_path, monkeypatch):
    save_as_corl(tmp_path / "checkpoint.pt", monkeypatch)
    found = read_weights(tmp_path / "checkpoint.pt")
    expected = make_weights()
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_the_policy_is_corls(tmp_path):
    dataset, weights = unit_dataset(), make_weights()
    near_expert = load_near_expert(dataset, npz(tmp_path))
    raw = np.random.default_rng(1).normal(size=(6, 3))
    states = (raw - dataset.normalizer.state_mean) / (dataset.normalizer.state_std + 1e-3)

    def forward(prefix: str, x: np.ndarray) -> np.ndarray:
        count = sum(name.startswith(prefix) and name.endswith("weight") for name in weights)
        for layer in range(count):
            x = x @ weights[f"{prefix}.{2 * layer}.weight"].T + weights[f"{prefix}.{2 * layer}.bias"]
            x = np.maximum(x, 0) if layer < count - 1 else x
        return x

    output = forward("actor.base_network", states)
    assert np.allclose(near_expert.actions(raw), np.tanh(output[:, :1]), atol=1e-5)
    with torch.no_grad():
        mine = near_expert.actor(near_expert.normalizer.states(raw)).numpy()
    assert np.allclose(mine[:, 1:], 0.7 * output[:, 1:] - 0.9, atol=1e-5)  # scale and offset are inside the layer
    actions = near_expert.actions(raw)
    for number, values in enumerate(near_expert.q(raw, actions), 1):
        joined = np.hstack([states, actions])
        assert np.allclose(values, forward(f"critic{number}.network", joined)[:, 0], atol=1e-4)


def test_statistics_given_come_before_those_of_the_file_and_those_before_the_datasets(tmp_path):
    dataset = unit_dataset()
    inside = {"state_mean": np.full(3, 7.0, np.float32), "state_std": np.full(3, 8.0, np.float32)}
    entry = {"state_mean": [1, 2, 3], "state_std": [4, 5, 6]}
    (tmp_path / "many.json").write_text(json.dumps({"made-v2": entry}))
    (tmp_path / "one.json").write_text(json.dumps(entry))
    np.savez(tmp_path / "one.npz", **{name: np.array(values) for name, values in entry.items()})
    assert np.array_equal(load_near_expert(dataset, npz(tmp_path)).normalizer.state_mean, dataset.normalizer.state_mean)
    checkpoint = npz(tmp_path, **inside)
    assert load_near_expert(dataset, checkpoint).normalizer.state_std.tolist() == [8, 8, 8]
    for file, key in (("many.json", "made-v2"), ("one.json", None), ("one.npz", None)):
        given = StatisticsSettings(file=str(tmp_path / file), key=key)
        found = load_near_expert(dataset, checkpoint, statistics=given).normalizer
        assert found.state_mean.tolist() == [1, 2, 3]
        assert found.state_std.tolist() == [4, 5, 6]


@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        ({"a": {}}, "b", "has no entry 'b'; it has a"),
        ({"a": {"state_mean": [1, 2, 3]}}, "a", "lacks 'state_std'"),
        ({"state_mean": [1, 2], "state_std": [1, 2, 3]}, None, r"state_mean has the shape \(2,\); 3 finite numbers"),
        ({"state_mean": [1, 2, 3], "state_std": [1, 2, -3]}, None, r"state_std has a negative number"),
        ({"state_mean": "x", "state_std": [1, 2, 3]}, None, "state_mean is no list of numbers"),
    ],
)
def test_bad_statistics_are_told(tmp_path, content, key, message):
    path = tmp_path / "statistics.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as caught:
        load_near_expert(unit_dataset(), npz(tmp_path), statistics=StatisticsSettings(file=str(path), key=key))
    assert str(path) in str(caught.value)


class Payload:
    """Touches a file when it is unpickled by a careless reader."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return pathlib.Path.touch, (self.marker,)


@pytest.mark.parametrize("form", ["pt", "bare pickle", "npz"])
def test_a_hostile_file_is_refused_and_does_nothing(tmp_path, monkeypatch, form):
    marker, path = tmp_path / "touched", tmp_path / "checkpoint.pt"
    if form == "pt":
        save_as_corl(path, monkeypatch, cql_log_alpha=Payload(marker))
    elif form == "bare pickle":
        path.write_bytes(pickle.dumps({"actor": Payload(marker)}, protocol=2))
    else:
        path = tmp_path / "checkpoint.npz"
        np.savez(path, **make_weights(), extra=np.array([Payload(marker)], object))
    with pytest.raises(UserError) as caught:
        load_near_expert(unit_dataset(), str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_the_payload_would_have_done_something(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "touched")))
    assert (tmp_path / "touched").exists()


def without(weights: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {key: array for key, array in weights.items() if key != name}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (make_weights(4), "actor takes 4 and gives 2 numbers; Pendulum-v1 has 3 state dimensions and 1 action"),
        (make_weights(3, 2), "actor takes 3 and gives 4 numbers"),
        (make_weights() | {"critic2.network.0.weight": np.zeros((5, 9))}, "critic 1 takes 9 and gives 1 numbers"),
        (without(make_weights(), "critic1.network.0.weight"), "lacks 'critic1.network.0.weight'"),
        (without(make_weights(), "actor.base_network.2.bias"), "lacks 'actor.base_network.2.bias'"),
        ({"weights": np.zeros(3)}, "holds no actor of CORL's CQL, .*; it has: weights"),
    ],
)  # fmt: skip
def test_a_misfit_is_told_in_one_line(tmp_path, weights, message):
    path = tmp_path / "checkpoint.npz"
    np.savez(path, **weights)
    with pytest.raises(UserError, match=message) as caught:
        load_near_expert(unit_dataset(), str(path))
    assert str(caught.value).startswith(str(path))


def test_other_action_bounds_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"CORL's actions lie in \[-1, 1\]; those of Pendulum-v1"):
        load_near_expert(make_small_dataset(), npz(tmp_path))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"not a checkpoint"), "refused|no readable"),
        (lambda path: path.write_bytes(b""), "no readable"),
        (lambda path: torch.save([1, 2], path), "holds no actor of CORL's CQL, .*; it has: nothing"),
        (
            lambda path: torch.save({"actor": {}, "critic1": torch.zeros(2)}, path),
            "holds no actor of CORL's CQL, .*; it has: critic1",
        ),
    ],
)
def test_what_is_no_checkpoint_is_told(tmp_path, write, message):
    path = tmp_path / "checkpoint.pt"
    write(path)
    with pytest.raises(UserError, match=message) as caught:
        load_near_expert(unit_dataset(), str(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@needs_data
def test_the_released_checkpoint_equals_its_plain_arrays():
    name = DATA / "near_expert/halfcheetah-medium-replay-v2"
    released, plain = read_weights(name.with_suffix(".pt")), read_weights(name.with_suffix(".npz"))
    assert released.keys() == plain.keys() - {"state_mean", "state_std"}
    assert all(np.array_equal(released[name], plain[name]) for name in released)
