"""A killed collection goes on from its checkpoint and ends with the bytes of one that was never interrupted."""

import contextlib
import os
import signal
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from obdistill.core import artifacts
from obdistill.core.parsing import parse
from obdistill.core.termination import Terminated
from obdistill.datasets.collect import collect
from obdistill.datasets.recorder import Recorder
from obdistill.datasets.settings import CollectSettings

CHECKPOINT = "collection.checkpoint.safetensors"
SMALL = {"transitions": 70, "hidden_widths": [8], "batch_size": 4}
PENDULUM = {
    **SMALL,
    **{"env_id": "Pendulum-v1", "medium_steps": 650, "expert_steps": 1000, "random_steps": 300},
    "levels": ["random", "medium", "medium_replay", "expert"],
}
# episodes that end in terminal states; the medium policy is taken by its score
FALLING = {
    **SMALL,
    **{"env_id": "InvertedPendulum-v5", "medium_steps": 150, "random_steps": 20, "levels": ["medium_replay", "medium"]},
    **{"medium_score": 0.5, "reference_returns": [5.0, 1000.0]},
}


class Killed(Exception):
    """Stands for SIGKILL: nothing is saved on the way out."""


def settings(facts: dict[str, object]) -> CollectSettings:
    return parse(CollectSettings, facts, "test")


def collected(root: Path) -> dict[str, object]:
    """Every file's hash, and what collection.json says, without the time it took."""
    facts = artifacts.read_json(root / "collection.json")
    assert facts.pop("seconds") > 0
    assert not (root / CHECKPOINT).exists()
    return facts | {str(path.relative_to(root)): artifacts.sha256(path) for path in root.rglob("data/*")}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    found = {}
    for name, facts in (("pendulum", PENDULUM), ("falling", FALLING)):
        root = tmp_path_factory.mktemp(name)
        collect(settings(facts), root, seed=1)
        found[name] = collected(root)
    return found


@contextlib.contextmanager
def at_step(number, action):
    """Do something before the `number`-th step that a recorder takes from now on."""
    step, left = Recorder.step, iter(range(number, 0, -1))

    def counted(self, *arguments):
        if next(left, 0) == 1:
            action()
        return step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "step", counted)
        yield


def die():
    raise Killed


def spoil_generators():
    """A process that starts again finds the global generators anywhere."""
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002


@pytest.mark.parametrize(
    ("name", "facts", "kills"),
    [
        ("pendulum", PENDULUM, [250]),  # while actions are random
        ("pendulum", PENDULUM, [470, 300]),  # while SAC learns; again, after the medium policy was taken in an episode
        ("pendulum", PENDULUM, [1030]),  # while the random policy is recorded
        ("falling", FALLING, [7]),
        ("falling", FALLING, [31, 12]),
    ],
)
def test_a_killed_collection_goes_on(name, facts, kills, straight, tmp_path, monkeypatch):
    for number in kills:
        with at_step(number, die), pytest.raises(Killed):
            collect(settings(facts), tmp_path, seed=1, checkpoint_minutes=0)
        assert artifacts.read_json(tmp_path / "collection.json") == {"kind": "unfinished collection"}
        spoil_generators()
    taken = 0

    def count():
        nonlocal taken
        taken += 1

    step = Recorder.step
    monkeypatch.setattr(Recorder, "step", lambda self, action: (count(), step(self, action))[1])
    collect(settings(facts), tmp_path, seed=1, checkpoint_minutes=0)
    assert collected(tmp_path) == straight[name]
    recorded = 70 * sum(level != "medium_replay" for level in facts["levels"])
    trained = taken - recorded
    assert trained < straight[name]["training"]["transitions"] + (350 if name == "pendulum" else 0), "nothing was kept"


def test_a_signal_waits_for_the_end_of_the_episode(straight, tmp_path):
    with at_step(450, lambda: os.kill(os.getpid(), signal.SIGTERM)), pytest.raises(Terminated) as end:
        collect(settings(PENDULUM), tmp_path, seed=1)
    assert end.value.text == (f"ended by SIGTERM after step 600; the same command goes on from {tmp_path / CHECKPOINT}")
    spoil_generators()
    collect(settings(PENDULUM), tmp_path, seed=1)
    assert collected(tmp_path) == straight["pendulum"]


def test_a_checkpoint_of_another_collection_is_left_alone(straight, tmp_path, caplog):
    with at_step(500, die), pytest.raises(Killed):
        collect(settings(PENDULUM), tmp_path, seed=2, checkpoint_minutes=0)
    collect(settings(PENDULUM), tmp_path, seed=1)
    assert f"{CHECKPOINT}: is of another run: seed (2, now 1); starting from step 0" in caplog.text
    assert collected(tmp_path) == straight["pendulum"]


def test_episodes_until_a_step_are_those_that_had_been_recorded_then():
    env = gymnasium.make("InvertedPendulum-v5")
    recorder = Recorder(env, seed=0, steps=40)
    before = {}
    ended = True
    for step in range(1, 41):
        if ended:
            recorder.reset()
        *_, terminated, truncated, _ = recorder.step(np.full(1, 3, np.float32))
        ended = terminated or truncated
        before[step] = [(len(one), one.terminated, one.observations.tolist()) for one in recorder.episodes()]
    assert len(recorder.episodes()) > 3
    for step, episodes in before.items():
        found = [(len(one), one.terminated, one.observations.tolist()) for one in recorder.episodes(step)]
        assert found == episodes
