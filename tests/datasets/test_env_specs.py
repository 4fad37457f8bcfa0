"""What a Minari dataset says of its environment is used, or refused, or dropped with a warning if the user says so."""

import json

import gymnasium
import pytest

from obdistill.core.errors import UserError
from obdistill.datasets.env_specs import environment_of


def wrapper(name: str) -> dict[str, object]:
    return {"name": name, "entry_point": f"gymnasium.wrappers:{name}", "kwargs": {}}


def spec(**changes: object) -> str:
    return json.dumps(json.loads(gymnasium.spec("Pendulum-v1").to_json()) | changes)


def choose(chosen: str | None = None, **metadata: object) -> tuple[str | None, list[str]]:
    warnings: list[str] = []
    return environment_of(metadata, "a/b-v0", chosen, warnings.append), warnings


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kwargs": {"render_mode": "rgb_array"}},
        {"kwargs": None, "additional_wrappers": None},
        {"additional_wrappers": [wrapper("RecordEpisodeStatistics"), wrapper("RecordVideo")]},
        {"reward_threshold": 1.0, "order_enforce": True, "autoreset": False},  # another Gymnasium's, nothing is lost
    ],
)
def test_a_plain_environment_is_used(changes):
    assert choose(env_spec=spec(**changes)) == ("Pendulum-v1", [])


def test_no_environment():
    assert choose() == (None, [])
    assert choose(env_spec=None) == (None, [])
    assert choose("Hopper-v5") == ("Hopper-v5", [])


LOST = [
    ({"additional_wrappers": [wrapper("RescaleAction")]}, "the wrapper RescaleAction"),
    (
        {"additional_wrappers": [wrapper("RescaleAction"), wrapper("TimeLimit")]},
        "the wrapper RescaleAction, the wrapper TimeLimit",
    ),
    ({"max_episode_steps": 20}, r"a time limit of 20 steps \(Pendulum-v1 has 200\)"),
    ({"max_episode_steps": None}, r"a time limit of null steps \(Pendulum-v1 has 200\)"),
    ({"kwargs": {"g": 1.5}}, r'options \{"g": 1.5\}'),
    ({"autoreset": True}, "autoreset"),
    ({"apply_api_compatibility": True}, "apply_api_compatibility"),
]


@pytest.mark.parametrize("key", ["env_spec", "eval_env_spec"])
@pytest.mark.parametrize(("changes", "lost"), LOST)
def test_what_would_be_lost_is_refused_or_warned_of(key, changes, lost):
    message = f"a/b-v0: made with {lost}, which would be lost; set env_id to an environment that has them, or to"
    with pytest.raises(UserError, match=message) as caught:
        choose(**{key: spec(**changes)})
    assert "\n" not in str(caught.value)
    env_id, (warning,) = choose("Pendulum-v1", **{key: spec(**changes)})
    assert env_id == "Pendulum-v1"
    assert warning.startswith("env_id: Pendulum-v1 is used; what a/b-v0 was made with is lost: ")


def test_the_environment_of_evaluation_comes_first():
    both = {"env_spec": spec(max_episode_steps=20), "eval_env_spec": spec()}
    assert choose(**both) == ("Pendulum-v1", [])
    other = json.loads(gymnasium.spec("Hopper-v5").to_json())
    assert choose(env_spec=spec(), eval_env_spec=json.dumps(other))[0] == "Hopper-v5"
    # what acts on the recorded actions does not go away
    with pytest.raises(UserError, match="made with the wrapper RescaleAction, which would be lost"):
        choose(env_spec=spec(additional_wrappers=[wrapper("RescaleAction")]), eval_env_spec=spec())


def test_options_that_are_registered_are_not_lost(monkeypatch):
    own = gymnasium.envs.registration.EnvSpec(
        "Own-v0", "a:B", max_episode_steps=5, kwargs={"sizes": (1, 2), "scale": 3.0}
    )
    monkeypatch.setitem(gymnasium.registry, "Own-v0", own)
    assert choose(env_spec=own.to_json()) == ("Own-v0", [])
    changed = json.loads(own.to_json()) | {"kwargs": {"sizes": [1, 2], "scale": 4.0}}
    with pytest.raises(UserError, match=r'options \{"scale": 4.0\}'):
        choose(env_spec=json.dumps(changed))
    assert choose("my_module:Own-v0", env_spec=own.to_json()) == ("my_module:Own-v0", [])


def test_another_environment_than_the_datas_is_a_warning():
    assert choose("Hopper-v5", env_spec=spec(max_episode_steps=1000)) == (
        "Hopper-v5",
        ["env_id: Hopper-v5 is used; a/b-v0 names Pendulum-v1"],
    )


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "no json",
        '{"id": 3}',
        "[" * 100_000,
        7,
        '{"id": "Pendulum-v1", "kwargs": [1]}',
        '{"id": "Pendulum-v1", "additional_wrappers": "RescaleAction"}',
        '{"id": "Pendulum-v1", "additional_wrappers": ["RescaleAction"]}',
    ],
)
def test_what_cannot_be_read_is_no_obstacle_once_an_environment_is_set(text):
    with pytest.raises(UserError, match=r"a/b-v0: its environment cannot be read \(.*\); set env_id to") as caught:
        choose(env_spec=text)
    assert "\n" not in str(caught.value)
    env_id, (warning,) = choose("Pendulum-v1", env_spec=text)
    assert env_id == "Pendulum-v1"
    assert warning.endswith("Pendulum-v1 is used")
