"""A near-expert's training that was killed goes on from its checkpoint and ends with the same bytes."""

import contextlib
import errno
import os
import random
import re
import signal

import pytest
import safetensors
import torch

from helpers.small import write_small_inputs
from obdistill.core import artifacts, checkpoints
from obdistill.core.checkpoints import flatten, restore
from obdistill.core.parsing import parse
from obdistill.core.termination import Terminated
from obdistill.near_experts import stage
from obdistill.near_experts.stage import LEARNERS, NearExpertSettings, make_near_expert

CASES = {
    "cal_ql": {"sampled_actions": 2, "target_gap": 1.0},
    "iql": {"reward_scale": None},  # and the actor's cosine schedule, which is its default
    "td3_bc": {},
    "rebrac": {},
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


def test_a_checkpoint_that_does_not_fit_is_reported_with_what_differs(dataset, tmp_path, monkeypatch, caplog):
    out = tmp_path / "near_expert.safetensors"
    run_until(monkeypatch, "td3_bc", 4, dataset, settings("td3_bc"), out)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    run_until(monkeypatch, "td3_bc", 1, dataset, settings("td3_bc", seed=3), out)
    (line,) = [line for line in caplog.messages if "starting from step 0" in line]
    assert "settings.seed (0, now 3)" in line
    assert re.search(r"\bthreads \(\d+, now 77\)", line)


def test_a_checkpoint_of_other_sources_is_not_used(dataset, tmp_path, monkeypatch, caplog):
    out = tmp_path / "near_expert.safetensors"
    run_until(monkeypatch, "td3_bc", 4, dataset, settings("td3_bc"), out)
    monkeypatch.setattr(stage.sources, "digest", lambda *modules, chosen: f"other than of {chosen}")
    assert run_until(monkeypatch, "td3_bc", 1, dataset, settings("td3_bc"), out) == [1]
    assert re.search(r"is of another run: sources \(\w+, now other than of td3_bc\)", caplog.text)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_does_not_take_a_checkpoint_does_not_end_the_run(number, dataset, tmp_path, monkeypatch, caplog):
    straight, out = tmp_path / "straight/near_expert.safetensors", tmp_path / "near_expert.safetensors"
    make_near_expert(dataset, settings("td3_bc"), straight)
    writes = []

    def fail_at_first(*arguments):
        writes.append(arguments)
        if len(writes) < 5:
            raise OSError(number, os.strerror(number))
        return write(*arguments)

    write = checkpoints._write
    monkeypatch.setattr(checkpoints, "_write", fail_at_first)
    assert run_until(monkeypatch, "td3_bc", 8, dataset, settings("td3_bc"), out) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert caplog.text.count(f"cannot be written ({os.strerror(number)}); going on without this checkpoint") == 4
    assert run_until(monkeypatch, "td3_bc", None, dataset, settings("td3_bc"), out) == [9, 10, 11, 12]
    assert out.read_bytes() == straight.read_bytes()


@pytest.mark.parametrize("written", [True, False])
def test_a_signal_makes_a_checkpoint_after_the_step_and_ends(written, dataset, tmp_path, monkeypatch):
    out = tmp_path / "near_expert.safetensors"

    class Signaled(LEARNERS["td3_bc"]):
        def update(self, batch):
            if self.step == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().update(batch)

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setitem(stage.LEARNERS, "td3_bc", Signaled)
        if not written:
            patch.setattr(checkpoints, "_write", full)
        with pytest.raises(Terminated) as end:
            make_near_expert(dataset, settings("td3_bc"), out, checkpoint_minutes=1000)
    assert end.value.code == 143
    kept = f"the same command goes on from {checkpoints.Checkpoint(out, {}).path}"
    assert end.value.text == f"ended by SIGTERM after step 5; {kept if written else 'no checkpoint could be written'}"
    assert run_until(monkeypatch, "td3_bc", 7, dataset, settings("td3_bc"), out) == (
        [6, 7] if written else [*range(1, 8)]
    )
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_every_byte_of_a_checkpoint_counts(dataset, tmp_path, monkeypatch):
    """A byte that turned into another one never gives another state."""
    out = tmp_path / "near_expert.safetensors"
    run_until(monkeypatch, "td3_bc", 4, dataset, settings("td3_bc"), out)
    path = tmp_path / "near_expert.checkpoint.safetensors"
    whole = path.read_bytes()
    step, identity, tensors = checkpoints._read(path)
    passed = 0
    for at in random.Random(0).sample(range(len(whole)), 300):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, safetensors.SafetensorError):
            found = checkpoints._read(path)
            passed += 1
            assert found[:2] == (step, identity)
            assert all(torch.equal(found[2][name], tensor) for name, tensor in tensors.items())
    assert passed < 10, "white space only"


def test_two_outputs_in_one_folder_have_two_checkpoints(tmp_path):
    paths = {checkpoints.Checkpoint(tmp_path / name, {}).path for name in ("a.npz", "b.npz", "checkpoint.safetensors")}
    assert len(paths) == 3
    assert tmp_path / "checkpoint.safetensors" not in paths


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


def test_a_part_of_any_size_takes_its_state_back():
    class Grows:
        def __init__(self, *values):
            self.values = list(values)

        def state_dict(self):
            return {"values": torch.tensor(self.values)}

        def load_state_dict(self, state):
            self.values = state["values"].tolist()

    first, again = Grows(1.5, 2.5), Grows()
    tensor = torch.zeros(2)
    restore({"a": again, "b": tensor}, flatten({"a": first, "b": torch.ones(2)}))
    assert again.values == [1.5, 2.5]
    assert tensor.tolist() == [1, 1]
