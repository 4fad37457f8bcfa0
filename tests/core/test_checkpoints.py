"""A near-expert's training that was killed goes on from its checkpoint and ends with the same bytes."""

import pytest
import torch

from helpers.small import write_small_inputs
from obdistill.core import artifacts
from obdistill.core.checkpoints import flatten, restore
from obdistill.core.settings import parse
from obdistill.near_experts import stage
from obdistill.near_experts.stage import LEARNERS, NearExpertSettings, make_near_expert

CASES = {
    "cal_ql": {"sampled_actions": 2, "target_gap": 1.0},
    "iql": {"reward_scale": None},  # and the actor's cosine schedule, which is its default
    "td3_bc": {},
}


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_small_inputs(tmp_path_factory.mktemp("inputs"))[0]


def settings(algorithm, **changes):
    small = {
        "algorithm": algorithm,
        "steps": 12,
        "batch_size": 8,
        "actor_hidden_widths": [8],
        "critic_hidden_widths": [8],
    }
    return parse(NearExpertSettings, {**small, **CASES[algorithm], **changes}, "test")


def run_until(monkeypatch, algorithm, killed_at, *arguments):
    """Make a near-expert with a checkpoint at every step; returns the steps taken."""
    taken = []

    class Watched(LEARNERS[algorithm]):
        def update(self, batch):
            if self.step == killed_at:
                raise Killed
            taken.append(self.step + 1)
            return super().update(batch)

    with monkeypatch.context() as patch:
        patch.setitem(stage.LEARNERS, algorithm, Watched)
        try:
            make_near_expert(*arguments, checkpoint_minutes=0)
        except Killed:
            assert killed_at is not None
    return taken


@pytest.mark.parametrize("algorithm", LEARNERS)
def test_resume_equals_a_straight_run_bit_for_bit(algorithm, dataset, tmp_path, monkeypatch):
    straight, killed = tmp_path / "straight/near_expert.safetensors", tmp_path / "killed/near_expert.safetensors"
    make_near_expert(dataset, settings(algorithm), straight)
    assert run_until(monkeypatch, algorithm, 4, dataset, settings(algorithm), killed) == [1, 2, 3, 4]
    assert run_until(monkeypatch, algorithm, 11, dataset, settings(algorithm), killed) == [5, 6, 7, 8, 9, 10, 11]
    assert not killed.exists()
    assert run_until(monkeypatch, algorithm, None, dataset, settings(algorithm), killed) == [12]
    assert killed.read_bytes() == straight.read_bytes()
    of_both = [artifacts.read_json(artifacts.sidecar(path)) for path in (straight, killed)]
    assert of_both[0]["training"]["last_step"] == of_both[1]["training"]["last_step"]
    assert sorted(path.name for path in killed.parent.iterdir()) == ["near_expert.json", "near_expert.safetensors"]


@pytest.mark.parametrize("change", [{"seed": 1}, {"steps": 13}, {"discount": 0.5}])
def test_a_checkpoint_of_other_settings_is_not_used(change, dataset, tmp_path, monkeypatch):
    out = tmp_path / "near_expert.safetensors"
    run_until(monkeypatch, "td3_bc", 4, dataset, settings("td3_bc"), out)
    assert run_until(monkeypatch, "td3_bc", 1, dataset, settings("td3_bc", **change), out) == [1]


@pytest.mark.parametrize(
    "damage", [lambda data: b"", lambda data: data[:-9], lambda data: data[:60] + b"?" + data[61:]]
)
def test_a_damaged_checkpoint_is_not_used(damage, dataset, tmp_path, monkeypatch):
    out, checkpoint = tmp_path / "near_expert.safetensors", tmp_path / "near_expert.checkpoint.safetensors"
    run_until(monkeypatch, "td3_bc", 4, dataset, settings("td3_bc"), out)
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    assert run_until(monkeypatch, "td3_bc", 1, dataset, settings("td3_bc"), out) == [1]


def test_every_attribute_that_a_step_changes_is_kept():
    """What is forgotten in `parts` would only show as other numbers after a resume."""
    for algorithm, learner in LEARNERS.items():
        known = set(learner(settings(algorithm).root, 3, 1).parts())
        found = learner(settings(algorithm).root, 3, 1)
        assert {name for name in vars(found) if name not in known} <= {"device", "step", "settings"}, algorithm


def test_parts_of_every_kind_come_back():
    def parts():
        network = torch.nn.Linear(2, 1)
        return {
            "network": network,
            "optimizer": torch.optim.Adam(network.parameters(), fused=True),
            "generator": torch.Generator().manual_seed(int(torch.randint(100, ()))),
            "number": torch.rand(()),
        }

    first, second = parts(), parts()
    first["network"](torch.ones(1, 2)).sum().backward()
    first["optimizer"].step()
    state = {name: tensor.clone() for name, tensor in flatten(first).items()}
    assert len(state) == 2 + 2 * 3 + 1 + 1
    restore(second, state)
    again = flatten(second)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], state[name]) for name in state)
