"""Rollouts in environments that give what they should not: converted, or one line at once with the place."""

import warnings

import gymnasium
import numpy as np
import pytest

from helpers import odd_environments
from helpers.odd_environments import LIMIT, Watching
from obdistill.core.errors import UserError
from obdistill.evaluations import rollout as module
from obdistill.evaluations.rollout import record, rollout

SEEDS = np.array([[10, 11, 12], [20, 21, 22]])


@pytest.fixture
def odd(request):
    """Register an environment with something odd about it."""
    names = []

    def make(**about):
        names.append(f"Odd{len(names)}Case-v0")
        gymnasium.register(names[-1], odd_environments.Odd, max_episode_steps=LIMIT, kwargs=about)
        return names[-1]

    yield make
    for name in names:
        del gymnasium.registry[name]
    module._made.cache_clear()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_environment_without_a_time_limit_is_refused_before_the_first_step(workers):
    policy = Watching()
    with pytest.raises(
        UserError, match=r"'helpers.odd_environments:Endless-v0': has no time limit.* max_episode_steps"
    ):
        rollout(policy, "helpers.odd_environments:Endless-v0", SEEDS, workers)
    assert policy.seen == []


def test_one_that_ends_by_itself_says_so_by_an_attribute():
    assert (rollout(Watching(), "helpers.odd_environments:Ending-v0", SEEDS).lengths == 3).all()


@pytest.mark.parametrize("dtype", [int, np.uint8, bool, np.float16, np.float32, np.float64])
def test_a_first_state_of_any_type_leaves_later_states_whole(dtype, odd):
    policy = Watching()
    episodes = rollout(policy, odd(dtype=dtype), SEEDS[:1])
    assert np.allclose(np.array(policy.seen)[:, 0], np.arange(LIMIT) / 3)
    assert (episodes.lengths == LIMIT).all()
    (trajectories,) = record(Watching(), odd(dtype=dtype), SEEDS[:1])
    assert np.allclose(trajectories[0].observations[:, 1], np.arange(LIMIT) / 3)


@pytest.mark.parametrize(
    "reward", [1, 1.0, True, np.float32(1), np.int64(1), np.array(1.0), np.ones(1), np.ones((1, 1)), [1.0]]
)
def test_one_number_in_any_wrapping_is_a_reward(reward, odd):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        episodes = rollout(Watching(), odd(reward=reward), SEEDS)
    assert episodes.returns.dtype == np.float64
    assert (episodes.returns == LIMIT).all()


@pytest.mark.parametrize("flag", [np.True_, np.array([True]), 1])
def test_flags_in_any_wrapping_end_an_episode(flag, odd):
    assert (rollout(Watching(), odd(terminated=flag), SEEDS).lengths == 1).all()


@pytest.mark.parametrize(
    ("about", "problem"),
    [
        ({"reward": np.nan}, "reward is nan; a finite number is needed"),
        ({"reward": -np.inf}, "reward is -inf; a finite number is needed"),
        ({"reward": np.ones(2)}, r"reward is an array of shape \(2,\)"),
        ({"reward": None}, r"reward is None \(NoneType\)"),
        ({"reward": "much"}, r"reward is 'much' \(str\); one number is needed"),
        ({"terminated": None}, r"terminated is None"),
        ({"state": np.ones(3)}, r"the state has the shape \(3,\); \(2,\) is needed"),
        ({"state": np.ones((1, 2))}, r"the state has the shape \(1, 2\); \(2,\) is needed"),
        ({"state": {"a": 1}}, r"the state is \{'a': 1\} \(dict\); numbers are needed"),
        ({"state": np.ones(2, complex)}, "the state is an array of .* complex128; numbers are needed"),
    ],
)
def test_what_is_no_number_is_told_at_once_with_its_place(about, problem, odd):
    env_id = odd(at=3, **about)
    with pytest.raises(UserError, match=rf"^{env_id}: policy 0, episode 0 \(seed 10\), step 2: {problem}"):
        rollout(Watching(), env_id, SEEDS)


def test_a_state_that_is_not_finite_is_told_before_a_policy_acts_on_it(odd):
    policy, env_id = Watching(), odd(at=3, state=np.array([0, np.nan]))
    with pytest.raises(UserError, match=r"step 3: the state is \[0.0, nan\]; finite numbers are needed"):
        rollout(policy, env_id, SEEDS)
    assert len(policy.seen) == 3
    last = odd(at=LIMIT, state=np.array([0, np.nan]))  # nobody acts on the last state
    assert (rollout(Watching(), last, SEEDS).lengths == LIMIT).all()


def test_a_first_state_of_another_shape_and_answers_of_the_old_form_are_told(odd):
    with pytest.raises(UserError, match=r"step 0: the state has the shape \(3,\)"):
        rollout(Watching(), odd(first=np.zeros(3)), SEEDS)
    with pytest.raises(UserError, match=r"step 0: step fails: ValueError: not enough values to unpack .*\.py:\d+\)$"):
        rollout(Watching(), odd(length=4), SEEDS)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_policy_that_gives_no_number_is_named(workers):
    with pytest.raises(UserError, match=r"policy [01], episode \d \(seed \d+\), step 0: the action is \[nan\]; finite"):
        rollout(Watching(action=np.nan), "helpers.odd_environments:Odd-v0", SEEDS, workers)


def test_places_are_counted_over_all_workers():
    """Policies and episodes have their own numbers, whatever part of them a worker has."""
    found = []
    for first in ((0, 0), (1, 2)):
        with pytest.raises(UserError) as error:
            module._run(Watching(action=np.nan), "helpers.odd_environments:Odd-v0", SEEDS[1:, 2:], first)
        found.append(str(error.value))
    assert "policy 0, episode 0 (seed 22)" in found[0]
    assert "policy 1, episode 2 (seed 22)" in found[1]


def test_a_killed_worker_is_one_line_and_the_next_rollout_works():
    env_id = "helpers.odd_environments:Odd-v0"
    rollout(Watching(), env_id, SEEDS, 2)
    for process in list(module._pool(2)._processes.values()):
        process.kill()
        process.join()
    with pytest.raises(UserError, match=r"a worker of the rollouts in .* was killed; if memory ran out, use fewer"):
        rollout(Watching(), env_id, SEEDS, 2)
    assert (rollout(Watching(), env_id, SEEDS, 2).lengths == LIMIT).all()
