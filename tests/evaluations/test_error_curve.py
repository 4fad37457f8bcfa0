"""Errors of imitation: those of supervised fits fall with their length, and all equal a reference in float64."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from helpers.policies import as_module
from helpers.small import make_small_dataset, make_small_near_expert, write_small_inputs
from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.datasets.transitions import write_dataset
from obdistill.evaluations import command, imitation_error
from obdistill.evaluations.error_curve import error_curve
from obdistill.evaluations.imitation_error import Sample
from obdistill.evaluations.settings import ErrorCurveSettings, EvaluateSettings
from obdistill.evaluations.stage import evaluate, train_policies
from obdistill.evaluations.synset_errors import synset_errors
from obdistill.policies import bc
from obdistill.policies.settings import BcSettings
from obdistill.policies.trained import TrainedPolicies
from obdistill.synsets.stage import make_selection
from obdistill.synsets.synset import read_synset

FIT = {"architecture": "mlp_2", "batch_size": 16}
SETTINGS = ErrorCurveSettings(steps=(2, 20, 200), bc=FIT, policies=2, episodes=2)
DATASET, NEAR_EXPERT = make_small_dataset(), make_small_near_expert()


def reference_error(parameters, policy):
    """The error on all states in float64, by torch's modules and numpy."""
    module = as_module(parameters, policy).double()
    normalizer, expert = DATASET.normalizer, NEAR_EXPERT.normalizer
    raw = DATASET.transitions.observations.astype(float)
    states = torch.from_numpy((raw - normalizer.state_mean) / (normalizer.state_std.astype(float) + 1e-3))
    theirs = torch.from_numpy((raw - expert.state_mean) / (expert.state_std.astype(float) + 1e-3))
    actor = make_small_near_expert().actor.double()
    return (module(states) - actor(theirs).tanh()).square().mean().item()


def test_errors_fall_with_the_steps_and_equal_a_reference(tmp_path):
    paths = write_small_inputs(tmp_path)
    error_curve(*paths, SETTINGS, tmp_path / "curve.csv")
    table, metadata = artifacts.read_table(tmp_path / "curve.csv", "error curve")
    columns = ["task", "steps", "policy", "error", "episode", "env_seed", "return", "length", "score"]
    assert list(table) == columns
    assert table[["steps", "policy", "episode"]].to_numpy().tolist() == [
        [steps, policy, episode] for steps in (2, 20, 200) for policy in range(2) for episode in range(2)
    ]
    errors = table.groupby(["steps", "policy"])["error"].first().unstack()
    assert (np.diff(errors, axis=0) < 0).all()
    assert errors.loc[200].max() < 0.1 * errors.loc[2].min()
    states = DATASET.normalizer.states(DATASET.transitions.observations)
    targets = NEAR_EXPERT.actions(DATASET.transitions.observations)
    for steps in SETTINGS.steps:
        fit = BcSettings(optimizer="adam", learning_rate=1e-3, steps=steps, **FIT)
        parameters = bc.train(states, targets, fit, 2, 0)
        expected = [reference_error(parameters, policy) for policy in range(2)]
        assert errors.loc[steps].tolist() == pytest.approx(expected, rel=1e-4)
    assert np.allclose(table["score"], 100 * (table["return"] + 1200) / 1050, atol=1e-3)
    assert (metadata["states"], metadata["settings"]["bc"]["optimizer"]) == (60, "adam")
    assert set(metadata["inputs"]) == {"dataset", "near_expert"}


@pytest.mark.parametrize("fit", [{}, {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": None}])
def test_a_fit_of_n_steps_is_a_training_of_n_steps(fit):
    states, targets = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(40, 1)
    settings = ErrorCurveSettings(bc={**FIT, **fit}).bc
    steps = (1, 3, 7)
    for count, trained in zip(steps, bc.train_in_stages(states, targets, settings, steps, 2, 5), strict=True):
        alone = bc.train(states, targets, BcSettings(**settings.model_dump(), steps=count), 2, 5)
        assert all(map(torch.equal, trained.tensors(), alone.tensors()))


def test_equal_settings_give_equal_bytes(tmp_path):
    paths = write_small_inputs(tmp_path)
    hashes = []
    for run, workers in enumerate([1, 2]):
        out = tmp_path / f"{run}.csv"
        error_curve(*paths, SETTINGS, out, workers)
        hashes.append(artifacts.sha256(out))
    error_curve(*paths, SETTINGS.model_copy(update={"steps": (2, 200)}), tmp_path / "fewer.csv")
    assert hashes[0] == hashes[1]
    whole, fewer = (pd.read_csv(tmp_path / name) for name in ("0.csv", "fewer.csv"))
    assert fewer.equals(whole[whole["steps"] != 20].reset_index(drop=True))


def test_a_sample_is_drawn_once_for_all(monkeypatch):
    monkeypatch.setattr(imitation_error, "STATES", 20)
    monkeypatch.setattr(imitation_error, "ROWS_AT_ONCE", 7)
    first, again = (Sample.of(DATASET, NEAR_EXPERT) for _ in range(2))
    assert np.array_equal(first.states, again.states)
    assert len(np.unique(first.states, axis=0)) == 20
    assert {tuple(state) for state in first.states} <= {tuple(state) for state in DATASET.transitions.observations}
    # in pieces or at once
    parameters = bc.train(torch.zeros(4, 3), torch.zeros(4, 1), BcSettings(architecture="mlp_2", steps=1), 2, 0)
    policies = TrainedPolicies(parameters, "mlp_2", DATASET.normalizer)
    in_pieces = first.errors(policies)
    monkeypatch.setattr(imitation_error, "ROWS_AT_ONCE", 1000)
    assert in_pieces == pytest.approx(first.errors(policies), rel=1e-12)


@pytest.fixture
def evaluated(tmp_path):
    """A dataset, a near-expert, and two synsets with their returns; one is evaluated as an ensemble."""
    dataset, near_expert = write_small_inputs(tmp_path)
    files = []
    for seed, ensemble in ((0, False), (1, True)):
        synset, returns = tmp_path / f"{seed}/synset.npz", tmp_path / f"{seed}/standard.csv"
        make_selection(dataset, near_expert, "random_relabeled", 8, seed, synset)
        settings = EvaluateSettings(bc={"architecture": "mlp_2", "steps": 9}, policies=3, episodes=2, ensemble=ensemble)
        evaluate(synset, "standard", seed, settings, returns)
        files += [synset, returns]
    return dataset, near_expert, files


def test_synset_errors_are_those_of_the_policies_that_were_evaluated(tmp_path, evaluated):
    dataset, near_expert, files = evaluated
    synset_errors(dataset, near_expert, files, tmp_path / "errors.csv")
    synset_errors(dataset, near_expert, files[::-1], tmp_path / "again.csv")
    assert artifacts.sha256(tmp_path / "errors.csv") == artifacts.sha256(tmp_path / "again.csv")
    table, metadata = artifacts.read_table(tmp_path / "errors.csv", "synset errors")
    assert table[["seed", "policy", "episodes"]].to_numpy().tolist() == [[0, 0, 2], [0, 1, 2], [0, 2, 2], [1, 0, 2]]
    assert set(table["method"]) == {"random_relabeled"}
    returns = pd.concat([pd.read_csv(files[1]), pd.read_csv(files[3])])
    scores = returns.groupby(["seed", "policy"])["score"].mean()
    assert table["score"].tolist() == pytest.approx(scores.tolist(), rel=1e-4)
    policies = train_policies(read_synset(files[0]), -1, BcSettings(architecture="mlp_2", steps=9), 3, 0)
    expected = [reference_error(policies.parameters, policy) for policy in range(3)]
    assert table["error"][:3].tolist() == pytest.approx(expected, rel=1e-4)
    assert len(metadata["inputs"]["evaluations"]) == 4


def test_files_that_do_not_belong_together_are_refused(tmp_path, evaluated):
    dataset, near_expert, (synset, returns, *_) = evaluated
    with pytest.raises(UserError, match=r"0/standard\.csv: its synset, of sha256 [0-9a-f]{12}\.\.\., is not among"):
        synset_errors(dataset, near_expert, [returns], tmp_path / "errors.csv")
    with pytest.raises(UserError, match=r"0/synset\.npz: no returns of an evaluation are among the files given$"):
        synset_errors(dataset, near_expert, [synset], tmp_path / "errors.csv")
    other = replace(DATASET, task=replace(DATASET.task, name="another"))
    write_dataset(tmp_path / "other.npz", other, {})
    line = r"near_expert\.safetensors: task: 'pendulum'; the dataset has 'another'"
    for run in (
        lambda: error_curve(tmp_path / "other.npz", near_expert, SETTINGS, tmp_path / "curve.csv"),
        lambda: synset_errors(tmp_path / "other.npz", near_expert, [synset, returns], tmp_path / "errors.csv"),
    ):
        with pytest.raises(UserError, match=line):
            run()


def test_commands(tmp_path, evaluated):
    dataset, near_expert, files = evaluated
    inputs = ["--dataset", str(dataset), "--near-expert", str(near_expert)]
    curve = ["--out", str(tmp_path / "curve.csv"), "--settings", SETTINGS.model_dump_json()]
    for stage, arguments in (
        (command.error_curve, [*inputs, *curve]),
        (command.synset_errors, [*inputs, "--out", str(tmp_path / "errors.csv"), *map(str, files)]),
    ):
        result = CliRunner().invoke(stage, arguments)
        assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.glob("*.json")} >= {"curve.json", "errors.json"}
