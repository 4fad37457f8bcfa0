"""Checkpoints as people save them: other precisions, wrappers, algorithms, statistics inside; or one line."""

import itertools
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from helpers.weights import load_near_expert, make_weights, npz, state_dicts, unit_dataset
from obdistill.core.errors import UserError
from obdistill.near_experts.corl import import_near_expert, input_files, read_weights
from obdistill.near_experts.settings import ImportSettings, StatisticsSettings


def each(change, rename=lambda name: name) -> dict[str, dict[str, torch.Tensor]]:
    return {
        part: {rename(name): change(name, tensor) for name, tensor in tensors.items()}
        for part, tensors in state_dicts().items()
    }


def renamed(rename) -> dict[str, dict[str, torch.Tensor]]:
    return each(lambda name, tensor: tensor, rename)


def matrices(change):
    return each(lambda name, tensor: change(tensor) if tensor.ndim == 2 else tensor)


def linear(count: int, step: int, outputs: int, inputs: int = 3) -> dict[str, torch.Tensor]:
    """Layers of a Sequential, numbered 0, step, 2 step, ..."""
    generator = torch.Generator().manual_seed(outputs)
    sizes = [inputs, *[5] * (count - 1), outputs]
    layers = {}
    for number, (before, after) in enumerate(itertools.pairwise(sizes)):
        layers[f"{step * number}.weight"] = torch.randn(after, before, generator=generator)
        layers[f"{step * number}.bias"] = torch.randn(after, generator=generator)
    return layers


def prefixed(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


FORMS = {
    "requires gradients": lambda: each(lambda name, tensor: torch.nn.Parameter(tensor)),
    "sparse": lambda: matrices(lambda tensor: tensor.to_sparse()),
    "compressed rows": lambda: matrices(lambda tensor: tensor.to_sparse_csr()),
    "transposed": lambda: matrices(lambda tensor: tensor.t().contiguous().t()),
    "double precision": lambda: each(lambda name, tensor: tensor.double()),
    "compiled": lambda: renamed(lambda name: f"_orig_mod.{name}"),
    "data parallel": lambda: renamed(lambda name: f"module.{name}"),
    "both": lambda: renamed(lambda name: f"module._orig_mod.{name}"),
    "compiled inside": lambda: renamed(lambda name: name.replace("network.", "network._orig_mod.")),
    "in a container": lambda: {"model": state_dicts(), "epoch": 3},
    "flat": lambda: {name: torch.from_numpy(array) for name, array in make_weights().items()},
    "scale of shape (1,)": lambda: each(lambda name, tensor: tensor[None] if tensor.ndim == 0 else tensor),
    "of 2022": lambda: renamed(lambda name: name.replace("network.", "network.network.")),
    "with other things": lambda: {**state_dicts(), "seed": 3, "name": "a", "config": {"lr": 1e-3}, 7: [1]},
}


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("form", FORMS)
def test_other_forms_of_the_same_weights_are_the_same_policy(tmp_path, form):
    torch.save(FORMS[form](), tmp_path / "checkpoint.pt")
    found, expected = (
        load_near_expert(unit_dataset(), str(tmp_path / "checkpoint.pt")),
        load_near_expert(unit_dataset(), npz(tmp_path)),
    )
    for mine, other in zip(found.actor.parameters(), expected.actor.parameters(), strict=True):
        assert torch.equal(mine, other)
    for mine, other in zip(found.critics.parameters(), expected.critics.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_safetensors_are_read(tmp_path):
    save_file(make_weights(), tmp_path / "checkpoint.safetensors")
    found = read_weights(tmp_path / "checkpoint.safetensors")
    assert all(np.array_equal(found[name], array) for name, array in make_weights().items())


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_low_precision_is_read(tmp_path, kind):
    torch.save(each(lambda name, tensor: tensor.to(kind)), tmp_path / "checkpoint.pt")
    found = read_weights(tmp_path / "checkpoint.pt")
    for name, array in make_weights().items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], array, rtol=2**-7, atol=1e-6)


@pytest.mark.parametrize("step", [2, 3])
@pytest.mark.parametrize("algorithm", ["td3_bc", "iql"])
def test_td3_bc_and_iql_are_read(tmp_path, algorithm, step):
    actor, critics = linear(3, step, 1), [linear(3, 2, 1, 4), linear(2, 2, 1, 4)]
    if algorithm == "td3_bc":
        content = {"actor": prefixed("net", actor)}
        content |= {f"critic_{i + 1}": prefixed("net", critic) for i, critic in enumerate(critics)}
    else:
        both = prefixed("q1.net", critics[0]) | prefixed("q2.net", critics[1])
        content = {"actor": prefixed("net.net", actor) | {"log_std": torch.zeros(1)}, "qf": both, "vf": {}}
    torch.save({**content, "total_it": 5}, tmp_path / "checkpoint.pt")
    dataset = unit_dataset()
    near_expert = load_near_expert(dataset, str(tmp_path / "checkpoint.pt"))
    raw = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    states = torch.from_numpy((raw - dataset.normalizer.state_mean) / (dataset.normalizer.state_std + np.float32(1e-3)))

    def forward(layers: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        tensors = list(layers.values())
        for weight, bias in zip(tensors[:-2:2], tensors[1:-2:2], strict=True):
            x = (x @ weight.T + bias).relu()
        return x @ tensors[-2].T + tensors[-1]

    actions = forward(actor, states).tanh()
    torch.testing.assert_close(near_expert.actions(raw), actions)
    values = torch.stack([forward(critic, torch.cat([states, actions], 1))[:, 0] for critic in critics])
    torch.testing.assert_close(near_expert.q(raw, actions), values)


def changed(name: str, tensor: object) -> dict[str, dict[str, object]]:
    parts: dict[str, dict[str, object]] = {**state_dicts()}
    part, _, rest = name.partition(".")
    if tensor is None:
        del parts[part][rest]
    else:
        parts[part][rest] = tensor
    return parts


FIRST = "actor.base_network.0.weight"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(FIRST, torch.zeros(5, 3, dtype=torch.complex64)), f"{FIRST}: holds torch.complex64 numbers; floating"),
        (changed(FIRST, torch.zeros(5, 3, dtype=torch.int8)), f"{FIRST}: holds torch.int8 numbers; floating"),
        (changed(FIRST, torch.zeros(5, 3, device="meta")), f"{FIRST}: is no plain tensor"),
        (changed(FIRST, torch.full((5, 3), torch.nan)), "actor: layer 0 holds numbers that are not finite"),
        (changed("critic2.network.2.bias", torch.tensor([torch.inf])), "critic 1: layer 1 holds numbers that are not"),
        (changed("actor.log_std_offset.constant", torch.tensor(torch.nan)), "one finite number is needed"),
        (changed("actor.log_std_multiplier.constant", torch.ones(2)), r"has the shape \(2,\); one finite number"),
        (changed("actor.base_network.2.weight", None), "lacks 'actor.base_network.2.weight'; it has: actor"),
        ({"actor": state_dicts()["actor"]}, "lacks 'critic1.network.0.weight'; it has: actor"),
        ({"critic_1": {}, "critic_2": {}, "actor": {"net.0.weight": torch.zeros(8, 3)}}, "lacks 'actor.net.0.bias'"),
        ({"actor": {"_mlp.0.weight": torch.zeros(8, 3)}, "critic_1": {}}, "holds no actor of .*; it has: actor._mlp.0"),
        ({"policy": {"0.weight": torch.zeros(8, 3)}, "q": {}}, "holds no actor of .*; it has: policy, q"),
        ({"actor": {"base_network.0.weight": 3}}, "holds no actor of .*; it has: actor"),
        ({**state_dicts(), "actor.base_network.0.weight": torch.zeros(5, 3)}, f"holds {FIRST} twice"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_the_keys_found(tmp_path, content, message):
    path = tmp_path / "checkpoint.pt"
    torch.save(content, path)
    with pytest.raises(UserError, match=message) as caught:
        load_near_expert(unit_dataset(), str(path))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_layer_that_is_missing_between_layers_that_fit_is_noticed(tmp_path):
    actor = {name: tensor for name, tensor in linear(5, 2, 2).items() if not name.startswith("4.")}
    torch.save({**state_dicts(), "actor": prefixed("base_network", actor)}, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match=r"the linear layers of actor\.base_network are its modules 0, 2, 6, 8"):
        load_near_expert(unit_dataset(), str(tmp_path / "checkpoint.pt"))


@pytest.mark.parametrize(
    "kind", [torch.tensor, lambda values: np.array(values, np.float32), lambda values: np.array(values), list, tuple]
)
def test_statistics_inside_a_checkpoint_are_used_unless_others_are_given(tmp_path, kind, caplog):
    path = tmp_path / "checkpoint.pt"
    torch.save({**state_dicts(), "state_mean": kind([7.0, 8.0, 9.0]), "state_std": kind([3.0, 4.0, 5.0])}, path)
    settings = ImportSettings(algorithm="import", checkpoint=str(path))
    with caplog.at_level("INFO"):
        near_expert, source = import_near_expert(unit_dataset(), settings)
    assert near_expert.normalizer.state_mean.tolist() == [7, 8, 9]
    assert near_expert.normalizer.state_std.tolist() == [3, 4, 5]
    assert source == "checkpoint.pt"
    assert caplog.messages[-1] == f"{path}: weights of CQL, Cal-QL, state statistics of checkpoint.pt"
    (tmp_path / "given.json").write_text(json.dumps({"state_mean": [1, 2, 3], "state_std": [1, 1, 1]}))
    given = StatisticsSettings(file=str(tmp_path / "given.json"))
    near_expert, source = import_near_expert(unit_dataset(), settings.model_copy(update={"statistics": given}))
    assert near_expert.normalizer.state_mean.tolist() == [1, 2, 3]
    assert source == "given.json"


def test_one_statistic_alone_is_refused(tmp_path):
    torch.save({**state_dicts(), "state_mean": torch.zeros(3)}, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match=r"checkpoint\.pt: lacks 'state_std'"):
        load_near_expert(unit_dataset(), str(tmp_path / "checkpoint.pt"))


def test_the_home_folder_in_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(state_dicts(), tmp_path / "checkpoint.pt")
    np.savez(tmp_path / "statistics.npz", state_mean=np.ones(3), state_std=np.ones(3))
    given = StatisticsSettings(file="~/statistics.npz")
    assert load_near_expert(unit_dataset(), "~/checkpoint.pt", statistics=given).normalizer.state_mean.tolist() == [
        1,
        1,
        1,
    ]
    settings = ImportSettings(algorithm="import", checkpoint="~/checkpoint.pt", statistics=given)
    assert input_files(settings) == {
        "checkpoint": tmp_path / "checkpoint.pt",
        "statistics": tmp_path / "statistics.npz",
    }


def test_plain_arrays_of_other_numbers_are_refused(tmp_path):
    np.savez(tmp_path / "checkpoint.npz", **make_weights() | {FIRST: np.zeros((5, 3), complex)})
    with pytest.raises(UserError, match=f"{FIRST}: holds complex128; numbers are needed"):
        load_near_expert(unit_dataset(), str(tmp_path / "checkpoint.npz"))
