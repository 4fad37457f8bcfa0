"""A user's environment: what its module consisted of is in the metadata of what was made in it."""

import sys

import numpy as np
import pytest

from obdistill.core import artifacts, environments, own_modules, provenance

MODULE = """
import gymnasium
from gymnasium.envs.classic_control import PendulumEnv
gymnasium.register("Mine-v0", PendulumEnv, max_episode_steps=5)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "mine_of_a_test.py"
    path.write_text(MODULE)
    yield path
    sys.modules.pop("mine_of_a_test", None)


def written(folder, env_id):
    with provenance.noted("evaluate", {}, {}):
        environments.make(env_id).close()
        artifacts.write_artifact(folder / "made.npz", {"a": np.zeros(1)}, {"kind": "test"})
    return artifacts.read_metadata(folder / "made.npz", "test")["made_from"]


def test_results_tell_which_module_they_were_made_in(module, tmp_path):
    before = written(tmp_path, "mine_of_a_test:Mine-v0")["environment"]
    assert before == own_modules.digest([module])
    module.write_text(MODULE + "# edited\n")
    assert written(tmp_path, "mine_of_a_test:Mine-v0")["environment"] != before


def test_environments_without_a_module_are_the_versions_business(tmp_path):
    assert "environment" not in written(tmp_path, "Pendulum-v1")
    assert own_modules.files("no_such_module:Mine-v0") == []
    assert own_modules.digest([]) is None
