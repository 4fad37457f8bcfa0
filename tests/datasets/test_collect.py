"""Collecting, in a tiny form: what is recorded is what happened, the same seed gives the same bytes."""

import itertools
import shlex
from pathlib import Path

import gymnasium
import minari
import numpy as np
import pytest

from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.parsing import assignments, parse
from obdistill.datasets import sac
from obdistill.datasets.collect import collect, command_line, dataset_id, spread
from obdistill.datasets.recorder import Episode, Recorder
from obdistill.datasets.settings import LEVELS, CollectSettings

TINY = {
    "env_id": "InvertedPendulum-v5",
    "medium_steps": 120,
    "expert_steps": 160,
    "transitions": 70,
    "hidden_widths": [8],
    "batch_size": 4,
    "random_steps": 20,
    "reference_returns": [5.0, 1000.0],
}


def settings(**changes: object) -> CollectSettings:
    return parse(CollectSettings, TINY | changes, "test")


def episodes(root: Path, level: str, env: str = "invertedpendulum") -> list[minari.EpisodeData]:
    return list(minari.MinariDataset(root / f"obd/{env}/{level}-v0/data").iterate_episodes())


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): artifacts.sha256(path) for path in root.rglob("*") if path.parent.name == "data"
    }


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("collected")
    collect(settings(), root, seed=1)
    return root


@pytest.mark.parametrize("level", LEVELS)
def test_recorded_episodes_are_those_of_the_environment(collected, level):
    """Replay every episode from its seed with its actions: states, rewards and ends must come out."""
    env = gymnasium.make("InvertedPendulum-v5")
    dataset = minari.MinariDataset(collected / f"obd/invertedpendulum/{level}-v0/data")
    seeds = [facts["seed"] for facts in dataset.storage.get_episode_metadata(dataset.episode_indices)]
    assert len(set(seeds)) == len(seeds) > 2
    for seed, episode in zip(seeds, dataset.iterate_episodes(), strict=True):
        observation, _ = env.reset(seed=seed)
        np.testing.assert_array_equal(episode.observations[0], observation.astype(np.float32))
        for step, action in enumerate(episode.actions):
            observation, reward, terminated, _, _ = env.step(action)
            np.testing.assert_array_equal(episode.observations[step + 1], observation.astype(np.float32))
            assert episode.rewards[step] == np.float32(reward)
            assert episode.terminations[step] == terminated
        assert bool(episode.truncations[-1]) == (not terminated)
        assert not episode.truncations[:-1].any()
    env.close()


def test_numbers_of_transitions(collected):
    lengths = {level: sum(len(episode.rewards) for episode in episodes(collected, level)) for level in LEVELS}
    assert lengths == {"random": 70, "medium": 70, "medium_replay": 120, "expert": 70, "medium_expert": 140}
    levels = artifacts.read_json(collected / "collection.json")["levels"]
    assert {level: facts["transitions"] for level, facts in levels.items()} == lengths


def test_medium_expert_is_medium_and_then_expert(collected):
    both = episodes(collected, "medium") + episodes(collected, "expert")
    for episode, wanted in zip(episodes(collected, "medium_expert"), both, strict=True):
        np.testing.assert_array_equal(episode.observations, wanted.observations)
        np.testing.assert_array_equal(episode.actions, wanted.actions)


def test_the_policies_differ(collected):
    first = {level: episodes(collected, level)[0].actions[:3].tolist() for level in ("random", "medium", "expert")}
    assert first["random"] != first["medium"] != first["expert"]
    # a policy samples: in one state it does not always do the same
    assert len({tuple(episode.actions[0]) for episode in episodes(collected, "expert")}) > 1


def test_metadata(collected):
    metadata = minari.MinariDataset(collected / "obd/invertedpendulum/expert-v0/data").storage.metadata
    assert (metadata["ref_min_score"], metadata["ref_max_score"]) == (5.0, 1000.0)
    assert metadata["dataset_id"] == "obd/invertedpendulum/expert-v0"
    assert "obd collect --out DIR --seed 1 --threads 1" in metadata["description"]
    collection = artifacts.read_json(collected / "collection.json")
    assert collection["seed"] == 1
    assert collection["settings"]["medium_steps"] == 120
    assert collection["training"]["transitions"] == 120
    for facts in collection["levels"].values():
        path = collected / facts["dataset_id"] / "data/main_data.hdf5"
        assert facts["sha256"] == artifacts.sha256(path)
    returns = [episode.rewards.sum() for episode in episodes(collected, "medium_replay")]
    assert collection["training"]["returns"] == pytest.approx(returns, abs=1e-2)


def test_same_seed_same_bytes_and_each_level_alone(collected, tmp_path):
    collect(settings(levels=["expert", "medium_replay"]), tmp_path, seed=1)
    data = {name: sha256 for name, sha256 in digests(tmp_path).items() if name.endswith(".hdf5")}
    assert len(data) == 2
    assert data.items() <= digests(collected).items()


def test_other_seed_other_data(collected, tmp_path):
    collect(settings(levels=["random"]), tmp_path, seed=2)
    name = "obd/invertedpendulum/random-v0/data/main_data.hdf5"
    assert digests(tmp_path)[name] != digests(collected)[name]


def test_medium_replay_needs_no_expert_and_is_spread_over_training(tmp_path):
    # nothing is learned (random_steps), so that this is fast
    chosen = {"env_id": "Pendulum-v1", "levels": ["medium_replay"], "medium_steps": 1800, "random_steps": 1800}
    facts = collect(settings(**chosen, expert_steps=1), tmp_path / "all", seed=1)
    collect(settings(**chosen, max_replay_transitions=650), tmp_path / "some", seed=1)
    whole = [one.actions.tobytes() for one in episodes(tmp_path / "all", "medium_replay", "pendulum")]
    kept = [whole.index(one.actions.tobytes()) for one in episodes(tmp_path / "some", "medium_replay", "pendulum")]
    assert len(whole) == facts["training"]["episodes"] == 9
    assert kept == [2, 5, 8]


@pytest.mark.parametrize(("score", "episodes_needed"), [(-100.0, 10), (50.0, None)])
def test_medium_score_takes_the_policy_earlier(tmp_path, score, episodes_needed):
    facts = collect(settings(levels=["medium_replay"], medium_score=score, random_steps=120), tmp_path, seed=1)
    if episodes_needed is None:
        assert facts["training"]["transitions"] == 120
    else:
        assert facts["training"]["episodes"] == episodes_needed


def test_a_limit_below_one_episode_fails_before_training(tmp_path):
    with pytest.raises(
        UserError, match="max_replay_transitions: 199: below the 200 steps of one episode of Pendulum-v1"
    ):
        collect(settings(env_id="Pendulum-v1", max_replay_transitions=199), tmp_path, seed=0)


def test_time_limit_is_a_truncation(tmp_path):
    collect(settings(env_id="Pendulum-v1", levels=["random"], transitions=450), tmp_path, seed=0)
    found = episodes(tmp_path, "random", "pendulum")
    assert [len(episode.rewards) for episode in found] == [200, 200, 50]
    assert [np.flatnonzero(episode.truncations).tolist() for episode in found] == [[199], [199], [49]]
    assert not any(episode.terminations.any() for episode in found)
    assert all((abs(episode.actions) <= 2).all() for episode in found)


def episode(length: int) -> Episode:
    return Episode(0, np.zeros((length + 1, 1)), np.zeros((length, 1)), np.zeros(length), False)


@pytest.mark.parametrize(
    ("lengths", "limit", "kept"),
    [
        ([1000] * 9, 3000, [2, 5, 8]),
        ([1000] * 9, None, list(range(9))),
        ([1000] * 9, 9000, list(range(9))),
        ([1000] * 9, 999, []),
        ([10, 500, 10, 500, 10, 500], 765, [2, 3]),
    ],
)
def test_spread(lengths, limit, kept):
    recorded = [episode(length) for length in lengths]
    index = {id(one): number for number, one in enumerate(recorded)}
    assert [index[id(one)] for one in spread(recorded, limit)] == kept


def test_spread_is_even_for_episodes_of_any_length():
    generator = np.random.default_rng(0)
    recorded = [episode(length) for length in generator.integers(1, 300, 400)]
    total = sum(map(len, recorded))
    kept = {id(one) for one in spread(recorded, total // 4)}
    seen = held = 0
    for one in recorded:
        seen += len(one)
        held += len(one) * (id(one) in kept)
        assert seen / 4 - 600 < held <= seen / 4


def test_recorder_ignores_a_reset_without_a_step():
    recorder = Recorder(gymnasium.make("Pendulum-v1"), seed=0, steps=5)
    first, _ = recorder.reset()
    again, _ = recorder.reset(seed=17)
    np.testing.assert_array_equal(first, again)
    for _ in range(3):
        recorder.step(np.zeros(1, np.float32))
    recorder.reset()
    assert [len(one) for one in recorder.episodes()] == [3]
    recorder.step(np.ones(1, np.float32))
    assert [len(one) for one in recorder.episodes()] == [3, 1]
    assert [len(one.observations) for one in recorder.episodes()] == [4, 2]
    assert recorder.episodes()[1].actions.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("env_id", "name"),
    [
        ("HalfCheetah-v5", "obd/halfcheetah/medium_replay-v0"),
        ("my_package/Two-Legs-v12", "obd/two_legs/medium_replay-v0"),
        ("Plain", "obd/plain/medium_replay-v0"),
    ],
)
def test_dataset_id(env_id, name):
    assert dataset_id(env_id, "medium_replay") == name


def test_command_line_names_what_was_given():
    chosen = parse(CollectSettings, {"levels": ["medium_replay"], "medium_steps": 7, "env_id": "A-v1"}, "test")
    options = "--set env_id=A-v1 --set 'levels=[\"medium_replay\"]' --set medium_steps=7"
    assert command_line(chosen, 3) == f"obd collect --out DIR --seed 3 --threads 1 {options}"


@pytest.mark.parametrize("rate", [1e-5, 1.5e-7, 3e-4, 0.1, 12.0])
def test_command_line_gives_the_same_settings_again(rate):
    chosen = settings(learning_rate=rate, reference_returns=[-1e-6, 1e16], max_replay_transitions=None)
    words = shlex.split(command_line(chosen, 3))
    given = [value for option, value in itertools.pairwise(words) if option == "--set"]
    assert parse(CollectSettings, assignments(given), "test") == chosen


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": []}, "levels: "),
        ({"levels": ["random", "random"]}, "names a level twice"),
        ({"levels": ["good"]}, "levels"),
        ({"expert_steps": 3}, r"expert_steps \(3\) must be at least medium_steps \(120\)"),
        ({"medium_score": 30.0, "reference_returns": None}, "medium_score needs reference_returns"),
        ({"discount": 1.0}, "discount"),
        ({"steps": 3}, "unknown key"),
    ],
)
def test_settings_are_checked(changes, message):
    with pytest.raises(UserError, match=message):
        settings(**changes)


def test_bad_environment_or_folder_fails_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(sac.SAC, "learn", lambda *_, **__: pytest.fail("training began"))
    with pytest.raises(UserError, match="env_id: 'Unheard-v0'"):
        collect(settings(env_id="Unheard-v0"), tmp_path, seed=0)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        collect(settings(), tmp_path / "file", seed=0)
