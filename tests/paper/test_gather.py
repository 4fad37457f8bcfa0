"""All returns in one table: the same whatever the order of the files, and only files that belong together."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from helpers.fake_returns import gather_into, read, write_returns
from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.paper import command
from obdistill.paper.episodes import read_episodes


def test_the_table_holds_all_that_the_files_do(tmp_path):
    one = write_returns(tmp_path / "b/standard.csv", lambda step, p, e: step + p + 0.5 * e, seed=0, steps=(1, 300))
    two = write_returns(
        tmp_path / "a/ensemble.csv", 2, seed=1, protocol="ensemble", members=7, variant="paper", seconds_per_step=0.5
    )
    episodes, inputs = read_episodes(gather_into(tmp_path, [one, two]))
    for path, seed in ((one, 0), (two, 1)):
        mine = episodes[episodes["seed"] == seed].reset_index(drop=True)
        written = pd.read_csv(path)
        shown = mine[list(written)].astype({"task": str, "method": str, "variant": str, "protocol": str})
        pd.testing.assert_frame_equal(shown, written, check_dtype=False)
        assert set(mine["file"]) == {str(path)}
    assert sorted(set(zip(episodes["variant"], episodes["members"], strict=True))) == [("default", 1), ("paper", 7)]
    assert episodes["seconds"][episodes["seed"] == 1].tolist() == [5.0] * 4
    assert episodes["seconds"][episodes["seed"] == 0].isna().all()
    assert inputs == [{"file": str(tmp_path / "returns.npz"), "sha256": artifacts.sha256(tmp_path / "returns.npz")}]


def test_the_order_of_the_files_does_not_matter(tmp_path):
    paths = [
        write_returns(tmp_path / f"{seed}.csv", seed, seed=seed, method=method)
        for seed, method in ((10, "pbc"), (2, "pbc"), (0, "dbc"))
    ]
    bytes_of = []
    for order in (paths, paths[::-1]):
        out = tmp_path / f"{len(bytes_of)}" / "returns.npz"
        result = CliRunner().invoke(command.gather, ["--out", str(out), *map(str, order)])
        assert result.exit_code == 0, result.output
        bytes_of.append([out.read_bytes(), out.with_suffix(".json").read_bytes()])
    assert bytes_of[0] == bytes_of[1]
    metadata = json.loads(bytes_of[0][1])
    assert [entry["file"] for entry in metadata["inputs"]] == sorted(map(str, paths))
    assert read(paths)["seed"].drop_duplicates().tolist() == [0, 2, 10]


def test_large_numbers_are_kept(tmp_path):
    path = write_returns(tmp_path / "returns.csv", 1.25, seed=2**40, steps=(200_000,))
    episodes, _ = read_episodes(gather_into(tmp_path, [path]))
    assert set(episodes["seed"]) == {2**40}
    assert set(episodes["step"]) == {200_000}
    assert episodes["step"].dtype == np.int64


def test_a_run_in_two_files_is_refused(tmp_path):
    paths = [write_returns(tmp_path / f"{name}.csv", 1) for name in "ab"]
    with pytest.raises(UserError, match=r"b\.csv: task hopper_medium, method av_pbc, .*, seed 0: is also in .*a\.csv"):
        read(paths)
    with pytest.raises(UserError, match=r"seed 0: is also in .*a\.csv; each run may be given once$"):
        read([paths[0], paths[0]])


MADE = {"settings": {"bc": {"steps": 100}}, "pairs": {"precision": "float32", "device": "cpu"}}


def changed(path, value):
    facts = json.loads(json.dumps(MADE))
    *parents, last = path.split(".")
    here = facts
    for key in parents:
        here = here.setdefault(key, {})
    here[last] = value
    return facts


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (
            changed("settings.bc.steps", 50),
            r"two\.csv: settings\.bc\.steps is 50, but 100 in .*one\.csv; the seeds of a ",
        ),
        (changed("pairs.precision", "reduced"), r"two\.csv: pairs\.precision is reduced, but float32 in .*one\.csv; "),
        (
            changed("pairs.device", "cuda"),
            r"two\.csv: pairs\.device is cuda, but cpu in .*one\.csv; the seeds of a cell",
        ),
        (
            {**MADE, "reference_returns": [0.0, 900.0]},
            r"reference_returns is \[0\.0, 900\.0\], but \[0\.0, 1000\.0\] in",
        ),
        ({**MADE, "extra": 1}, r"extra is (1|missing), but (1|missing) in .*\.csv; the seeds of a cell "),
    ],
)
def test_seeds_of_a_cell_must_agree_in_all_else(tmp_path, facts, message):
    one = write_returns(tmp_path / "one.csv", 1, seed=0, facts=MADE)
    two = write_returns(tmp_path / "two.csv", 1, seed=1, facts=facts)
    for order in ([one, two], [two, one]):
        with pytest.raises(UserError, match=message) as error:
            read(order)
        assert "\n" not in str(error.value)


def test_versions_and_threads_must_agree(tmp_path, monkeypatch):
    one = write_returns(tmp_path / "one.csv", 1, seed=0)
    versions = artifacts.versions()
    monkeypatch.setattr(artifacts, "versions", lambda: {**versions, "numpy": "1.0", "platform": "another kernel"})
    two = write_returns(tmp_path / "two.csv", 1, seed=1)
    with pytest.raises(UserError, match=rf"two\.csv: versions\.numpy is 1\.0, but {versions['numpy']} in .*one\.csv"):
        read([one, two])
    monkeypatch.setattr(artifacts, "versions", lambda: {**versions, "platform": "another kernel"})
    two = write_returns(tmp_path / "two.csv", 1, seed=1)
    assert len(read([one, two])) == 8


def test_what_a_command_was_asked_for_may_differ(tmp_path):
    """Every file that a command writes names its options, the seed among them."""
    paths = []
    for seed in (0, 1):
        made = {"settings": {"policies": 2}, "options": {"seed": seed, "protocol": "standard"}, "sources": "a"}
        paths.append(write_returns(tmp_path / f"{seed}.csv", 1, seed=seed, facts={**MADE, "made_from": made}))
    assert len(read(paths)) == 8
    other = {"settings": {"policies": 2}, "options": {}, "sources": "b"}
    paths.append(write_returns(tmp_path / "2.csv", 1, seed=2, facts={**MADE, "made_from": other}))
    with pytest.raises(UserError, match=r"made_from\.sources is"):
        read(paths)


def test_what_comes_from_the_seed_may_differ(tmp_path):
    for seed in range(2):
        facts = {"seconds": seed, "inputs": {"pairs": {"file": "synset.npz", "sha256": f"{seed}"}}}
        write_returns(tmp_path / f"{seed}.csv", 1, seed=seed, seconds_per_step=seed, facts=facts)
    assert len(read(tmp_path.glob("*.csv"))) == 8


def test_other_cells_may_be_made_otherwise(tmp_path):
    paths = [
        write_returns(tmp_path / "one.csv", 1, facts=MADE),
        write_returns(tmp_path / "two.csv", 1, protocol="mlp_2", facts=changed("settings.bc.steps", 50)),
        write_returns(tmp_path / "three.csv", 1, variant="paper", facts=changed("pairs.precision", "reduced")),
        write_returns(tmp_path / "four.csv", 1, method="pbc", facts=changed("settings.bc.steps", 50)),
    ]
    assert len(read(paths)) == 16


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"env_id": "Hopper-v4"},
            r"two\.csv: env_id is Hopper-v4, but Hopper-v5 in .*one\.csv; a task is evaluated in one environment",
        ),
        (
            {"facts": {"reference_returns": [0.0, 1.0]}},
            r"two\.csv: reference_returns is \[0\.0, 1\.0\], but .*one\.csv",
        ),
        (
            {"facts": {"pairs": {"inputs": {"dataset": {"sha256": "other"}}}}},
            r"two\.csv: dataset is other, but this in .*one\.csv; a task is evaluated in one environment",
        ),
    ],
)
def test_a_task_has_one_environment_and_one_dataset(tmp_path, other, message):
    made = {"pairs": {"inputs": {"dataset": {"sha256": "this"}}}}
    one = write_returns(tmp_path / "one.csv", 1, facts=made)
    two = write_returns(tmp_path / "two.csv", 1, method="pbc", **other)
    with pytest.raises(UserError, match=message):
        read([one, two])
    whole = {"method": "bc_whole", "protocol": "whole_data"}
    three = write_returns(tmp_path / "three.csv", 1, **whole, facts={"inputs": {"pairs": {"sha256": "a third"}}})
    with pytest.raises(UserError, match=r"three\.csv: dataset is a third, but this in .*one\.csv"):
        read([one, three])


def gather_listed(folder, names, *arguments):
    (folder / "names.txt").write_text("".join(f"{name}\n" for name in names))
    options = ["--from", str(folder / "names.txt"), "--out", str(folder / "out/returns.npz")]
    return CliRunner().invoke(command.gather, [*options, *map(str, arguments)])


def test_more_files_than_fit_into_a_command_come_in_a_list(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr("obdistill.paper.gather.gather", lambda paths, out: given.extend(paths))
    paths = [tmp_path / f"results/evaluations/task/av_pbc/default/size256/seed{seed}.csv" for seed in range(5000)]
    assert sum(len(f"{path} ") for path in paths) > 131072  # bytes that one argument may have
    assert gather_listed(tmp_path, paths[3:], *paths[:3]).exit_code == 0
    assert given == paths


def test_files_in_a_list_are_gathered_as_arguments_are(tmp_path):
    paths = [write_returns(tmp_path / f"{seed}.csv", 1, seed=seed) for seed in range(3)]
    assert gather_listed(tmp_path, paths[:2], paths[2]).exit_code == 0
    assert (tmp_path / "out/returns.npz").read_bytes() == gather_into(tmp_path, paths).read_bytes()


def test_a_list_is_refused_like_arguments(tmp_path):
    path, other = write_returns(tmp_path / "a.csv", 1), tmp_path / "out/returns.txt"
    other.parent.mkdir()
    other.touch()
    for names, arguments, line in (
        ([tmp_path / "no.csv"], [], "no.csv: no such file"),
        ([path], [path], "each run may be given once"),
        ([], [], "no file of returns is given, neither as an argument nor in a file by --from"),
        ([other], [], "would take the place of those of the input"),
    ):
        answer = gather_listed(tmp_path, names, *arguments)
        assert answer.exit_code == 2
        assert line in answer.output
    answer = CliRunner().invoke(command.gather, ["--out", str(tmp_path / "out/x.npz"), "--from", str(tmp_path / "no")])
    assert answer.exit_code == 2
    assert "no' cannot be read (" in answer.output
