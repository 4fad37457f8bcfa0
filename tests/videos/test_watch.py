"""Films: what they show, how long, in which formats; where no OpenGL library is, outlines."""

import re
import sys

import mujoco
import numpy as np
import pytest
from PIL import Image, ImageSequence

from helpers.small import write_small_inputs
from helpers.synsets import made_synset, write_made_synset
from obdistill.cli import main
from obdistill.core.errors import UserError
from obdistill.evaluations.train import train
from obdistill.synsets.synset import read_synset, write_synset
from obdistill.videos import cameras, files, watch
from obdistill.videos.cameras import gl_library, open_environment
from obdistill.videos.files import write_film
from obdistill.videos.watch import Actor, film, read_actor, read_near_expert_actor, side_by_side

RED = (1.0, 0.0, 0.0)
QUICK = {"architecture": "mlp_2", "steps": 2}


@pytest.fixture(scope="module")
def hopper(tmp_path_factory):
    """A policy that falls, in a file."""
    path = tmp_path_factory.mktemp("hopper") / "policy.safetensors"
    train(made_synset(), **QUICK).save(path)
    return path


def test_a_gif_shows_policies_side_by_side_without_any_graphics_library(tmp_path, hopper, monkeypatch):
    monkeypatch.setattr(cameras, "LIBRARIES", ())
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    gl_library.cache_clear()
    out = tmp_path / "two.gif"
    watch.watch([hopper, hopper], out, seconds=0.5, fps=10, width=64)
    gl_library.cache_clear()
    with Image.open(out) as image:
        assert image.size == (2 * 64 + watch.GAP, 48)
        frames = [(frame.info["duration"], np.asarray(frame.convert("RGB"))) for frame in ImageSequence.Iterator(image)]
    assert sum(duration for duration, _ in frames) == 500  # equal pictures are shown longer
    assert (frames[-1][1] != frames[0][1]).any()  # it moves


def test_an_episode_that_has_ended_stands_still_and_says_so(hopper, monkeypatch):
    told = []
    monkeypatch.setattr(watch, "labeled", lambda picture, above, below: told.append((above, below)) or picture)
    pictures = film(read_actor(hopper, 0), "Hopper-v5", 0, 8, 2, 48, "outlines")
    assert len(pictures) == len(told) == 8
    assert told[0] == ("Av-PBC, 6 pairs", "0.0 s, return 0")
    assert told[-1][1].endswith(", ended")
    assert told[-1] == told[-2]
    assert pictures[-1].tobytes() == pictures[-2].tobytes()


def test_the_clock_is_that_of_the_robot(monkeypatch):
    steps = []
    actor = Actor("still", made_synset().task, lambda states: steps.append(0) or np.zeros((1, 6), np.float32), RED)
    film(actor, "HalfCheetah-v5", 0, 5, 10, 48, "outlines")
    assert len(steps) == 8  # 0.4 s in steps of 0.05 s


def test_a_drawn_robot_stands_on_the_ground_in_its_color(monkeypatch):
    env, camera = open_environment("Hopper-v5", (80, 60), RED, "outlines")
    env.reset(seed=0)
    pixels = np.asarray(camera()).astype(int)
    red = (pixels[..., 0] - pixels[..., 1:].max(-1)) > 100
    assert pixels.shape == (60, 80, 3)
    assert 0.01 < red.mean() < 0.5
    assert red.any(0).sum() > 10  # seen from the side: the foot is long
    rows, columns = np.nonzero(red)
    assert abs((columns.min() + columns.max()) / 2 - 40) < 2  # in the middle
    assert 60 * 0.75 < rows.max() < 60 * 0.9  # the foot
    env.close()


def test_tasks_are_rows_and_near_experts_come_first(tmp_path):
    write_small_inputs(tmp_path)
    near_expert = read_near_expert_actor(tmp_path)
    assert (near_expert.label, near_expert.task.env_id) == ("near-expert", "Pendulum-v1")
    assert near_expert.act(np.zeros((1, 3), np.float32)).shape == (1, 1)
    assert read_actor(tmp_path / "near_expert.safetensors", 0).label == "near-expert"
    one, other = made_synset().task, near_expert.task
    colors = ["red", "green", "blue"]
    films = [[Image.new("RGB", (4, 3), color)] for color in colors]
    actors = [Actor("", task, lambda states: states, RED) for task in (one, other, one)]
    (grid,) = side_by_side(actors, films)
    assert grid.size == (2 * 4 + 2, 2 * 3 + 2)
    corners = [grid.getpixel(place) for place in ((0, 0), (9, 0), (0, 7), (9, 7))]
    assert corners == [(255, 0, 0), (0, 0, 255), (0, 128, 0), (255, 255, 255)]


def test_a_synset_is_trained_as_it_was_distilled_for(tmp_path):
    inner = {"architecture": "mlp_2", "steps": 3, "optimizer": "adam", "learning_rate": 0.02}
    path = tmp_path / "synset.npz"
    write_synset(path, made_synset(), {"settings": {"inner": inner}})
    synset = read_synset(path)
    actor, states = read_actor(path, 7), synset.observations[-1]
    assert np.array_equal(actor.act(states), train(synset, seed=7, **inner)(states))
    assert not np.array_equal(actor.act(states), read_actor(path, 8).act(states))


def test_a_picture_holds_moments_below_or_beside_each_other(tmp_path):
    for size in ((4, 3), (3, 4)):
        pictures = [Image.new("RGB", size, (number, 0, 0)) for number in range(9)]
        write_film(tmp_path / "few.png", pictures, 10)
        pixels = np.asarray(Image.open(tmp_path / "few.png"))
        moments = pixels[::3, 0, 0] if size == (4, 3) else pixels[0, ::3, 0]
        assert moments.tolist() == [0, 2, 4, 6, 8]


def test_mp4_is_written_by_ffmpeg(tmp_path):
    if files._ffmpeg() is None:
        pytest.skip("needs ffmpeg")
    pictures = [Image.new("RGB", (33, 17), (20 * number, 0, 0)) for number in range(10)]
    write_film(tmp_path / "film.mp4", pictures, 10)
    assert (tmp_path / "film.mp4").read_bytes()[4:8] == b"ftyp"


def test_without_ffmpeg_one_line_names_the_gif(tmp_path, hopper, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", "")
    line = f"--out {tmp_path / 'a.mp4'}: .mp4 needs ffmpeg: pip install imageio-ffmpeg; .gif needs nothing"
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        watch.watch([hopper], tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def test_an_environment_without_outlines_is_refused():
    line = "env_id: 'Pendulum-v1': is no MuJoCo environment, and has no outlines"
    with pytest.raises(UserError, match=f"^{line}$"):
        open_environment("Pendulum-v1", (40, 30), RED, "outlines")


def test_mujoco_renders_where_a_library_is():
    if gl_library() is None:
        pytest.skip("needs EGL or OSMesa")
    env, camera = open_environment("HalfCheetah-v5", (64, 48), RED, "auto")
    env.reset(seed=0)
    before = np.asarray(camera()).astype(int)
    assert before.shape == (48, 64, 3)
    env.unwrapped.data.qpos[0] += 40  # to the side
    mujoco.mj_forward(env.unwrapped.model, env.unwrapped.data)
    after = np.asarray(camera()).astype(int)
    env.close()
    robot = (before[..., 0] - before[..., 2]) > 20  # brown; ground and sky are not
    assert robot.sum() > 30
    assert (((after[..., 0] - after[..., 2]) > 20) & robot).sum() > 0.8 * robot.sum()  # the camera has followed


def test_the_command_films_a_synset(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_made_synset(tmp_path / "synset.npz")
    command = "watch synset.npz --out a.png --rendering outlines --seconds 0.2 --fps 10 --width 48"
    with pytest.raises(SystemExit) as end:
        main(command.split())
    assert not end.value.code
    assert Image.open("a.png").size == (48, 72)
    assert "a.png: 0.0 MB" in capfd.readouterr().err
