"""What figure 2 draws: outlines of MuJoCo's bodies, one environment step, the choice of pairs."""

import base64
import io
import json

import mujoco
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from helpers.synsets import made_synset, write_made_synset
from obdistill.core import environments
from obdistill.core.errors import UserError
from obdistill.paper.figure_data import poses
from obdistill.paper.figure_data.make import make_figure_data
from obdistill.paper.figure_data.poses import (
    example,
    outlines_table,
    read_examples,
    scene,
    spread_out,
)
from obdistill.paper.figures.make import make_figure
from obdistill.paper.figures.poses import distilled_pairs
from obdistill.paper.settings import FigureSettings
from obdistill.videos.cameras import gl_library
from obdistill.videos.outlines import outlines

SIDE, ABOVE = 1, 2
MODEL = """
<mujoco><worldbody>
  <geom type="plane" size="5 5 1" rgba="1 1 1 1"/>
  <geom type="sphere" size="0.5" pos="0 3 2" rgba="1 0 0 1"/>
  <geom type="capsule" fromto="1 0 1 3 0 1" size="0.25" rgba="0 1 0 1"/>
  <geom type="box" size="0.1 0.2 0.3" pos="-1 1 1" euler="0 90 0" rgba="1 0 0 1"/>
  {more}
</worldbody></mujoco>
"""


def pose(observation, action, env_id="HalfCheetah-v5", along=SIDE):
    env, skipped = poses._environment(env_id)
    return scene(env, skipped, along, np.asarray(observation), np.asarray(action))


def points(parts):
    return np.concatenate([part.points for part in parts])


def compiled(more=""):
    model = mujoco.MjModel.from_xml_string(MODEL.format(more=more))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def test_outlines_are_projections_of_the_bodies():
    parts = outlines(*compiled(), SIDE)
    assert [part.shade for part in parts] == [0, 0, 1]  # the farthest first, the ground left out
    sphere, box, capsule = (part.points for part in parts)
    assert np.linalg.norm(sphere - [0, 2], axis=1) == pytest.approx(np.full(len(sphere), 0.5))
    assert sorted(box.round(6).tolist()) == [[-1.3, 0.9], [-1.3, 1.1], [-0.7, 0.9], [-0.7, 1.1]]
    gap = np.linalg.norm(capsule - np.stack([capsule[:, 0].clip(1, 3), np.ones(len(capsule))], 1), axis=1)
    assert gap == pytest.approx(np.full(len(capsule), 0.25))
    assert (capsule[:, 0].min(), capsule[:, 0].max()) == pytest.approx((0.75, 3.25))
    from_above = outlines(*compiled(), ABOVE)
    assert len(from_above[1].points) == 4  # the box; the sphere is the highest
    assert np.linalg.norm(from_above[-1].points - [0, 3], axis=1) == pytest.approx(np.full(len(sphere), 0.5))


def test_an_unknown_kind_of_geom_is_refused():
    with pytest.raises(UserError, match=r"mjGEOM_ELLIPSOID; allowed: plane, sphere, capsule, box"):
        outlines(*compiled('<geom type="ellipsoid" size="1 2 3"/>'), SIDE)


def test_the_next_state_is_one_step_of_the_environment():
    env = environments.make("HalfCheetah-v5").unwrapped
    observation, _ = env.reset(seed=4)
    qpos, qvel = np.concatenate([[0], observation[:8]]), observation[8:]
    action = np.array([5.0, -5, 0.3, 0.1, -0.2, 9])
    found = pose(observation, action)
    mujoco.mj_resetData(env.model, env.data)
    env.set_state(qpos, qvel)
    before = points(outlines(env.model, env.data, SIDE))
    env.step(action.clip(-1, 1))
    after = points(outlines(env.model, env.data, SIDE))
    middle = np.array([(before[:, 0].min() + before[:, 0].max()) / 2, 0])
    assert np.array_equal(points(found.state), before - middle)
    assert np.array_equal(points(found.following), after - middle)
    assert np.abs(after - before).max() > 0.01


def test_a_pair_looks_the_same_after_any_other():
    synset = made_synset("Walker2d-v5", "walker2d_medium")
    env, skipped = poses._environment("Walker2d-v5")
    states, actions = synset.observations[1], synset.actions[1]
    first, again = (scene(env, skipped, SIDE, states[i], actions[i]) for i in (0, 0))
    scene(env, skipped, SIDE, states[1] * 3, actions[1])
    third = scene(env, skipped, SIDE, states[0], actions[0])
    assert points(first.following).tolist() == points(again.following).tolist() == points(third.following).tolist()


@pytest.mark.parametrize(
    ("env_id", "upright", "seconds"),
    [
        *(("HalfCheetah-v5", True, 0.05), ("Hopper-v5", True, 0.008), ("Walker2d-v4", True, 0.008)),
        *(("Swimmer-v5", False, 0.04), ("InvertedPendulum-v5", True, 0.04)),
    ],
)
def test_environments_and_where_they_are_seen_from(env_id, upright, seconds):
    shown = example(made_synset(env_id), 3)
    assert (shown.upright, shown.seconds) == (upright, pytest.approx(seconds))
    for one in shown.scenes:
        low, high = points(one.state).min(0), points(one.state).max(0)
        assert low[0] == pytest.approx(-high[0])  # in the middle
        if not upright:
            assert low[1] == pytest.approx(-high[1])
    if env_id.startswith(("Half", "Hop", "Walk")):
        assert -0.1 < points(shown.scenes[0].state)[:, 1].min() < 0.2  # stands on the ground


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "Reacher-v5", "InvertedDoublePendulum-v5", "Ant-v5"])
def test_an_environment_whose_state_is_not_its_observation_is_refused(env_id):
    with pytest.raises(UserError, match=rf"env_id: '{env_id}': its state cannot be set from an observation; allowed: "):
        example(made_synset(env_id), 3)


def test_a_simulation_that_breaks_down_is_shown_as_such():
    synset = made_synset(size=1)
    synset.observations[-1, 0, -1] = 1e12
    shown = example(synset, 3)
    assert [one.following for one in shown.scenes] == [[]]
    (axes,) = distilled_pairs(outlines_table([shown]), FigureSettings()).axes
    assert [text.get_text() for text in axes.texts] == ["unstable"]


def test_chosen_points_are_spread_out():
    line = np.array([[0.0], [10], [4], [5], [6], [9]])
    assert spread_out(line, 4).tolist() == [4, 0, 1, 2]  # nearest the mean 5.67; then 6, 4 and 2 away from those before
    assert spread_out(line, 99).tolist() == [4, 0, 1, 2, 3, 5]


def test_units_of_the_choice_are_the_normalized_ones(monkeypatch):
    synset, captured = made_synset(), []
    monkeypatch.setattr(poses, "spread_out", lambda points, count: captured.append(points) or np.array([0]))
    example(synset, 1)
    assert np.array_equal(captured[0], synset.normalizer.states(synset.observations[-1]).numpy())


def test_one_synset_per_task_is_shown(tmp_path):
    hopper = write_made_synset(tmp_path / "hopper.npz")
    dbc = write_made_synset(tmp_path / "dbc.npz", method="dbc")
    small = write_made_synset(tmp_path / "small.npz", size=2)
    cheetah = write_made_synset(tmp_path / "cheetah.npz", env_id="HalfCheetah-v5", task="halfcheetah_medium")
    shown, left_out, inputs = read_examples([hopper, dbc, small, cheetah], 4, "av_pbc", 6)
    assert left_out == []
    assert [one.synset.task.name for one in shown] == ["halfcheetah_medium", "hopper_medium"]
    assert [entry["file"] for entry in inputs] == [str(cheetah), str(hopper)]
    assert [len(one.scenes) for one in shown] == [4, 4]
    with pytest.raises(UserError, match=r"dbc\.npz: task 'hopper_medium' is also that of .*hopper\.npz"):
        read_examples([hopper, dbc], 4)
    with pytest.raises(UserError, match=r"hopper\.npz: no synset in the files given has method pbc"):
        read_examples([hopper, dbc], 4, "pbc")


def test_the_figure_stands_state_over_state_and_says_what_it_shows(tmp_path):
    paths = [
        write_made_synset(tmp_path / "a.npz"),
        write_made_synset(tmp_path / "b.npz", env_id="Swimmer-v5", task="swimmer_medium"),
    ]
    settings = FigureSettings(poses=3, dpi=50)
    hopper, swimmer = distilled_pairs(outlines_table(read_examples(paths, 3)[0]), settings).axes
    assert [hopper.get_title(), swimmer.get_title()] == ["Hopper medium", "Swimmer medium"]
    assert [text.get_text() for text in hopper.get_yticklabels()] == ["state", "next"]
    for axes in (hopper, swimmer):
        assert len(axes.texts) == 0
        drawn = [path.vertices for collection in axes.collections for path in collection.get_paths()]
        low, high = np.concatenate(drawn).min(0), np.concatenate(drawn).max(0)
        assert (low >= [axes.get_xlim()[0], axes.get_ylim()[0]]).all()
        assert (high <= [axes.get_xlim()[1], axes.get_ylim()[1]]).all()
    make_figure_data("figure_2", paths, tmp_path / "data.csv", settings)
    make_figure("figure_2", tmp_path / "data.csv", tmp_path / "figure.png", settings)
    text = json.loads((tmp_path / "figure.json").read_text())["caption"]
    assert text.startswith("Pairs of synsets of 6 pairs (Av-PBC, seed 3, after outer step 20)")
    assert "one environment step (0.008–0.04 s)" in text
    assert "Without" not in text


def test_a_task_that_cannot_be_drawn_is_left_out_with_a_line(tmp_path, caplog):
    """A newcomer's own environment must not take the whole run down with it."""
    hopper = write_made_synset(tmp_path / "a.npz")
    own = write_made_synset(tmp_path / "b.npz", env_id="Pendulum-v1", task="own")
    settings = FigureSettings(poses=2, dpi=50)
    make_figure_data("figure_2", [hopper, own], tmp_path / "data.csv", settings)
    reason = "env_id: 'Pendulum-v1': its state cannot be set from an observation"
    assert [line for line in caplog.messages if line.startswith(f"figure_2 is without own: {reason}")]
    make_figure("figure_2", tmp_path / "data.csv", tmp_path / "figure.png", settings)
    about = json.loads((tmp_path / "figure.json").read_text())
    assert about["notes"][-1].startswith(f"Without own: {reason}")
    assert len(about["inputs"]) == 1


def test_a_figure_without_any_robot_says_so(tmp_path):
    own = write_made_synset(tmp_path / "a.npz", env_id="Pendulum-v1", task="own")
    settings = FigureSettings(dpi=50)
    make_figure_data("figure_2", [own], tmp_path / "data.csv", settings)
    make_figure("figure_2", tmp_path / "data.csv", tmp_path / "figure.png", settings)
    assert (tmp_path / "figure.pdf").exists()
    drawn = distilled_pairs(outlines_table(read_examples([own], 2)[0]), settings)
    assert [text.get_text() for text in drawn.texts] == ["no robot of these tasks can be drawn"]


def test_rendered_pictures_are_drawn_from_the_csv_alone(tmp_path):
    if not gl_library():
        pytest.skip("no OpenGL library renders here")
    files = [
        write_made_synset(tmp_path / "a.npz"),
        write_made_synset(tmp_path / "b.npz", env_id="Walker2d-v5", task="b"),
    ]
    settings = FigureSettings(poses=2, rendering="mujoco")
    make_figure_data("figure_2", files, tmp_path / "data.csv", settings)
    table = pd.read_csv(tmp_path / "data.csv")
    assert table[["task", "pair", "moment"]].value_counts().to_list() == [1] * 8
    pictures = [Image.open(io.BytesIO(base64.b64decode(text))) for text in table["picture"]]
    assert {picture.size for picture in pictures} == {poses.PIXELS}
    assert all(len(picture.convert("RGB").getcolors(2**16)) > 100 for picture in pictures)  # not a single color
    assert len(set(table["picture"])) == 8
    make_figure("figure_2", tmp_path / "data.csv", tmp_path / "figure_2.png", settings)
    described = json.loads((tmp_path / "figure_2.json").read_text())
    assert "Rendered by MuJoCo" in " ".join(described["notes"])
    assert "outline" not in described["caption"]


def test_where_nothing_renders_outlines_are_drawn_if_they_may(tmp_path, monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "none")
    gl_library.cache_clear()
    path = write_made_synset(tmp_path / "a.npz")
    try:
        make_figure_data("figure_2", [path], tmp_path / "data.csv", FigureSettings(rendering="auto"))
        assert "picture" not in pd.read_csv(tmp_path / "data.csv")
        with pytest.raises(UserError, match=r"^rendering: mujoco: no OpenGL library renders here; on Debian: "):
            make_figure_data("figure_2", [path], tmp_path / "data.csv", FigureSettings(rendering="mujoco"))
    finally:
        gl_library.cache_clear()
