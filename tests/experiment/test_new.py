"""obd new: what it finds in data, what it proposes, and a configuration that checks out."""

import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from click.testing import CliRunner

from helpers import minari_files
from helpers.d4rl_files import write_file
from obdistill.cli import obd
from obdistill.core.errors import UserError
from obdistill.core.parsing import load_yaml
from obdistill.datasets.transitions import Dataset
from obdistill.experiment.jobs import Experiment
from obdistill.experiment.new import near_expert_for, propose, random_returns, source_of, task_name, whole_returns
from obdistill.synsets.settings import PROTOCOL, DistillSettings

REFERENCE = ["--reference-returns", "-1200", "-150"]


def write_pendulum(path: Path, change: float = 0.0) -> Path:
    """Three whole episodes of Pendulum and 50 steps of a fourth; `change` is added to the rewards."""
    env, rng, rows = gymnasium.make("Pendulum-v1"), np.random.default_rng(0), []
    for episode in range(4):
        state, _ = env.reset(seed=episode)
        for _ in range(200 if episode < 3 else 50):
            action = rng.uniform(-2, 2, 1).astype(np.float32)
            following, reward, _, truncated, _ = env.step(action)
            rows.append((state, action, reward + change, False, truncated))
            state = following
    names = ("observations", "actions", "rewards", "terminated", "truncated")
    np.savez(path, **{name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)})
    return path


def run(*arguments: str):
    return CliRunner().invoke(obd, ["new", *map(str, arguments)])


def test_a_configuration_that_checks_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pendulum(Path("my_data-v0.npz"), change=1.0)
    answer = run("my_data-v0.npz", "--env-id", "Pendulum-v1", "--out", "my/config.yaml", "--episodes", "4")
    assert answer.exit_code == 0, answer.output
    assert "my_data: 646 transitions, 4 episodes\n" in answer.output
    text = Path("my/config.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=config/schema.json\n")
    experiment = Experiment.load([Path("my/config.yaml")])
    assert experiment.counts()["distill"] == 1
    config = load_yaml(Path("my/config.yaml"))
    task = config["tasks"]["my_data"]
    proposal = propose("my_data-v0.npz", "Pendulum-v1", episodes=4)
    whole = np.load("my_data-v0.npz")["rewards"][:600].reshape(3, 200)[:, :-1].sum(1)
    assert proposal.best_return == pytest.approx(whole.max(), rel=1e-5)
    assert proposal.mean_return == pytest.approx(whole.mean(), rel=1e-5)
    assert proposal.random_return == random_returns("Pendulum-v1", 4).mean() < proposal.best_return
    assert task["dataset"]["reference_returns"] == pytest.approx(proposal.reference_returns, rel=1e-5)
    assert task["near_expert"]["algorithm"] == "td3_bc"
    assert config["distill"]["weighting"] == {"form": "shifted"}
    # the project protocol, for the distillation and for the policies that are evaluated
    assert DistillSettings(**config["distill"]).inner == PROTOCOL.inner
    assert DistillSettings(**config["distill"]).outer == PROTOCOL.outer
    assert config["evaluate"]["bc"] == config["distill"]["inner"]
    assert "first" not in answer.output
    again = run("my_data-v0.npz", "--env-id", "Pendulum-v1", "--out", "my/config.yaml", "--episodes", "4", "--force")
    assert again.output == answer.output
    assert Path("my/config.yaml").read_text() == text


def test_the_schema_is_found_from_where_the_file_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config").mkdir()
    Path("config/schema.json").write_text("{}")
    answer = run(write_pendulum(tmp_path / "a.npz"), "--env-id", "Pendulum-v1", "--out", "my/a.yaml", *REFERENCE)
    assert answer.exit_code == 0, answer.output
    assert Path("my/a.yaml").read_text().startswith("# yaml-language-server: $schema=../config/schema.json\n")


def test_a_file_that_is_there_stays(tmp_path):
    out = tmp_path / "config.yaml"
    out.write_text("mine")
    with pytest.raises(UserError, match=f"^{re.escape(str(out))}: is there already; choose another --out, or --force"):
        obd(["new", str(tmp_path / "none.npz"), "--out", str(out)], standalone_mode=False)
    assert out.read_text() == "mine"


def test_what_looks_wrong_is_said(tmp_path):
    path = write_pendulum(tmp_path / "a.npz")
    arrays = dict(np.load(path))
    arrays["rewards"][7] = 1e9
    arrays["actions"] /= 8
    np.savez(path, **arrays)
    answer = run(path, "--env-id", "Pendulum-v1", "--out", tmp_path / "a.yaml", *REFERENCE)
    assert "looks wrong: rewards: 1 of 646 rows lie far from all others, first 7: is the file damaged?" in answer.output
    assert re.search("^looks wrong: actions range from -0.2.* to 0.2.*, Pendulum-v1 takes -2 to 2", answer.output, re.M)


def test_data_no_better_than_random_actions_are_one_line(tmp_path):
    path = write_pendulum(tmp_path / "a.npz", change=-20)
    line = (
        r"^the best tenth of the episodes has a mean return of -\d+, random actions in Pendulum-v1 have -\d+\S*: is it"
    )
    with pytest.raises(UserError, match=line):
        propose(str(path), "Pendulum-v1", episodes=2)
    given = propose(str(path), "Pendulum-v1", reference=(-9000.0, -100.0), episodes=2)
    assert given.reference_returns == (-9000, -100)
    with pytest.raises(UserError, match=r"^--reference-returns: 3 2: the first must be below the second$"):
        propose(str(path), "Pendulum-v1", reference=(3.0, 2.0), episodes=2)


def test_kinds_of_data(tmp_path, monkeypatch):
    folder = minari_files.make(tmp_path / "root")
    minari = {"source": "minari", "id": minari_files.ID, "root": str(tmp_path / "root"), "download": False}
    assert source_of(str(folder)) == minari
    assert source_of("mujoco/hopper/medium-v0") == {"source": "minari", "id": "mujoco/hopper/medium-v0"}
    assert source_of("hf://lab/a/b-v0") == {"source": "minari", "id": "hf://lab/a/b-v0"}
    assert source_of("hopper-medium-v2") == {"source": "d4rl", "file": "hopper-medium-v2"}
    hdf5 = str(write_file(tmp_path / "a.hdf5", ["..L", "..T"]))
    assert source_of(hdf5) == {"source": "d4rl", "file": hdf5}
    np.savez(tmp_path / "maze.npz", observations=1, actions=1, terminals=1, qpos=1)
    assert source_of(str(tmp_path / "maze.npz"))["source"] == "ogbench"
    (tmp_path / "robot/meta").mkdir(parents=True)
    (tmp_path / "robot/meta/info.json").write_text("{}")
    assert source_of(str(tmp_path / "robot")) == {"source": "lerobot", "folder": str(tmp_path / "robot")}
    with pytest.raises(UserError, match=r"^nothing: neither a file nor a folder, nor a Minari id, nor one of D4RL's"):
        source_of("nothing")
    with pytest.raises(UserError, match=r"root: is no dataset: neither data/metadata\.json of Minari nor meta/"):
        source_of(str(tmp_path / "root"))
    # the environment is the one that the data name; references are measured or given
    proposal = propose(str(folder), reference=(0.0, 1.0), episodes=1)
    assert proposal.dataset == {**minari, "env_id": "Pendulum-v1"}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("a/My-Robot.npz", "my_robot"),
        ("mujoco/hopper/medium-v0", "medium"),
        ("hopper-medium-replay-v2", "hopper_medium_replay"),
        ("3d_arm.hdf5", "task_3d_arm"),
        ("x/robot/", "robot"),
    ],
)
def test_names_of_tasks(data, name):
    assert task_name(data) == name


def test_sparse_rewards_take_iql():
    assert near_expert_for(np.r_[np.zeros(95), np.ones(5)]) == ("iql", "rewards are sparse: 5.0 % differ from 0")
    assert near_expert_for(np.r_[np.zeros(94), np.ones(6)])[0] == "td3_bc"


def test_cut_episodes_say_nothing_of_returns():
    ends = np.isin(np.arange(25), [9, 11, 21])  # ten steps, two to a terminal state, ten, and three that are cut
    transitions = Dataset.from_arrays(
        np.zeros((25, 1)), np.zeros((25, 1)), np.ones(25), terminated=np.arange(25) == 11, truncated=ends
    ).transitions
    assert whole_returns(transitions, 10).tolist() == [9, 2, 9]
    assert whole_returns(transitions, 1000).tolist() == [2]
