"""Policies to keep: they act as those of an evaluation do, alone, together, or chosen by episodes."""

import dataclasses
import re

import numpy as np
import pytest

from helpers.synsets import made_synset, write_made_synset
from obdistill.cli import main
from obdistill.core.errors import UserError
from obdistill.core.units import Task
from obdistill.evaluations.rollout import rollout
from obdistill.evaluations.stage import environment_seeds, train_policies
from obdistill.evaluations.train import evaluate, make_policy, own_settings, pick_best, train
from obdistill.policies.policy import Policy
from obdistill.policies.settings import BcSettings
from obdistill.synsets.synset import read_synset, write_synset

QUICK = {"architecture": "mlp_2", "steps": 5}


@pytest.fixture(scope="module")
def synset():
    return made_synset("Pendulum-v1", "pendulum")


def test_a_policy_is_the_first_one_of_an_evaluation(synset):
    policy = train(synset, seed=4, **QUICK)
    first = train_policies(synset, -1, BcSettings(**QUICK), 1, 4)
    states = synset.observations[-1]
    assert np.array_equal(policy(states), np.clip(first(states[None])[0], -2, 2))
    returns = evaluate(policy, episodes=3, seed=4)
    assert returns.tolist() == rollout(first, "Pendulum-v1", environment_seeds(4, 1, 3)).returns[0].tolist()
    assert policy.made["settings"] == BcSettings(**QUICK).model_dump()
    assert policy.made["step"] == 20


def test_a_policy_is_trained_as_the_synset_was_distilled_for(tmp_path):
    inner = {"architecture": "mlp_2", "steps": 3, "optimizer": "adam", "learning_rate": 0.02}
    write_synset(tmp_path / "synset.npz", made_synset("Pendulum-v1"), {"settings": {"inner": inner}})
    synset = read_synset(tmp_path / "synset.npz")
    assert own_settings(synset) == BcSettings(**inner)
    assert own_settings(made_synset("Pendulum-v1")) == BcSettings()
    make_policy(tmp_path / "synset.npz", BcSettings(), tmp_path / "own.safetensors")
    make_policy(tmp_path / "synset.npz", BcSettings(**QUICK), tmp_path / "other.safetensors")
    made = [Policy.load(tmp_path / f"{name}.safetensors").made["settings"] for name in ("own", "other")]
    assert made == [BcSettings(**inner).model_dump(), BcSettings(**QUICK).model_dump()]
    assert train(synset, steps=4).made["settings"] == BcSettings(**{**inner, "steps": 4}).model_dump()


def test_a_synset_made_in_memory_keeps_the_training_that_it_was_made_for(tmp_path):
    inner = {"architecture": "mlp_2", "steps": 3, "momentum": 0.5}
    synset = dataclasses.replace(made_synset("Pendulum-v1"), inner=inner)
    write_synset(tmp_path / "synset.npz", synset)
    assert own_settings(synset) == own_settings(read_synset(tmp_path / "synset.npz")) == BcSettings(**inner)


def test_several_policies_act_by_their_mean(synset):
    states, settings = synset.observations[-1], BcSettings(**QUICK)
    each = train_policies(synset, -1, settings, 3, 0)(np.repeat(states[None], 3, 0))
    assert np.allclose(train(synset, 3, settings=settings)(states), np.clip(each.mean(0), -2, 2), atol=1e-5)
    assert not np.allclose(each[0], each[1], atol=0.01)


def test_any_function_can_be_evaluated(synset):
    still = evaluate(lambda states: np.zeros((len(states), 1)), "Pendulum-v1", episodes=2)
    assert still.shape == (2,)
    assert (still < -500).all()  # it hangs


def test_the_best_member_is_chosen_by_its_episodes(synset):
    together = train(synset, 3, **QUICK)
    best = pick_best(together, episodes=2, seed=1)
    means, chosen = best.made["mean_returns"], best.made["chosen"]
    assert len(set(means)) == 3
    assert means[chosen] == max(means) == evaluate(best, episodes=2, seed=1).mean()
    assert (best.made["pick"], best.made["uses_environment"]) == ("best", "Pendulum-v1")
    assert len(best.members.parameters.biases[0]) == 1


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda synset: train(synset, 0), "policies: 0: a number >= 1 is needed"),
        (lambda synset: train(synset, seed=-1), "seed: -1: a number >= 0 is needed"),
        (lambda synset: train(synset, steps=0), "bc: steps: 0: should be greater than or equal to 1"),
        (lambda synset: evaluate(train(synset, **QUICK), episodes=0), "episodes: 0: a number >= 1 is needed"),
        (
            lambda synset: evaluate(train(dataclasses.replace(synset, task=Task("own")), **QUICK)),
            "env_id: missing; an evaluation needs the Gymnasium id of an environment",
        ),
    ],
)
def test_what_cannot_be_is_one_line(synset, call, line):
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        call(synset)


def test_the_command_writes_what_the_function_makes(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_made_synset(tmp_path / "synset.npz", env_id="Pendulum-v1", task="pendulum")
    command = ["train", "synset.npz", "--policies", "2", "--set", "architecture=mlp_2", "--set", "steps=5"]
    states = made_synset("Pendulum-v1").observations[-1]
    for pick in ("mean", "best"):
        with pytest.raises(SystemExit) as end:
            main([*command, "--out", f"{pick}.safetensors", "--pick", pick, "--episodes", "1"])
        assert not end.value.code
    together, best = (Policy.load(f"{pick}.safetensors") for pick in ("mean", "best"))
    assert np.array_equal(together(states), train(made_synset("Pendulum-v1"), 2, **QUICK)(states))
    assert np.array_equal(best(states), pick_best(together, episodes=1)(states))
    assert together.made["inputs"]["pairs"]["file"] == "synset.npz"
    assert "in the 1 episodes of Pendulum-v1 that it was chosen by (too high by chance)" in capfd.readouterr().err
