import functools
import itertools
import json

import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from helpers.fake_returns import write_experiment, write_returns
from helpers.synsets import write_made_synset
from obdistill.core.errors import UserError
from obdistill.evaluations.returns import read_returns, select
from obdistill.paper import names as display
from obdistill.paper.figures import figures
from obdistill.paper.figures.figures import FIGURES, FigureSettings


@pytest.fixture
def returns(tmp_path):
    paths = [
        write_returns(tmp_path / f"av/{seed}.csv", lambda step, *_, seed=seed: step + seed, seed=seed, steps=(10, 20))
        for seed in range(3)
    ]
    paths += [
        write_returns(tmp_path / f"random/{seed}.csv", seed, method="random", seed=seed, steps=[0]) for seed in range(3)
    ]
    expert = {"method": "near_expert", "protocol": "near_expert", "size": 0, "policies": 1}
    return [*paths, write_returns(tmp_path / "expert.csv", 80, **expert)]


def write_recipes(folder):
    """PBC and DBC by two recipes, three seeds: the other one is lower and takes half the time."""
    curves = {"pbc": (0.0, 2.0), "pbc_slow_start": (5.0, 1.0), "dbc": (20.0, 2.0), "dbc_slow_start": (25.0, 1.0)}
    return [
        write_returns(
            folder / name / f"{seed}.csv",
            lambda step, policy, episode, below=below, seed=seed: step + seed - below,
            **{"method": name, "seed": seed, "steps": [10, 20], "seconds_per_step": pace},
        )
        for name, (below, pace) in curves.items()
        for seed in range(3)
    ]


def test_recipes_have_a_column_per_objective_and_a_row_per_axis(tmp_path):
    paths = write_recipes(tmp_path)
    figure = draw("recipes", paths)
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == ["DBC", "PBC", "", ""]
    assert [axes.get_xlabel() for axes in panels] == ["Outer step"] * 2 + ["Seconds"] * 2
    steps, seconds = panels[1], panels[3]
    assert [line.get_xydata().tolist() for line in steps.lines] == [[[10, 11], [20, 21]], [[10, 6], [20, 16]]]
    assert [line.get_xydata().tolist() for line in seconds.lines] == [[[20, 11], [40, 21]], [[10, 6], [20, 16]]]
    assert {to_hex(line.get_color()) for line in steps.lines} == {display.look("pbc").color.lower()}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["as configured", "slow start"]


def test_recipes_leave_out_what_has_one_recipe(tmp_path, returns):
    episodes, _ = read_returns([*write_recipes(tmp_path), *returns])
    kept = select(episodes, FIGURES["recipes"], 256)
    assert set(kept["method"]) == {"pbc", "pbc_slow_start", "dbc", "dbc_slow_start"}


def draw(name, paths, **settings):
    cells = figures.arrange(FIGURES[name], read_returns(paths)[0])
    return FIGURES[name].draw(cells, FigureSettings(**settings))


def lines(axes):
    colors = {look.color.lower(): name for name, look in display.METHODS.items()}
    return {colors[to_hex(line.get_color())]: line for line in axes.lines}


# what people see who lack the cones for long, middle or short waves: linear RGB (Machado et al., 2009, severity 1)
DEFICITS = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def lab(color, seen):
    """CIE L*a*b* of a color as it is seen."""
    srgb = np.array(to_rgb(color))
    linear = (np.array(seen) @ np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)).clip(0, 1)
    xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]] @ linear
    ratio = xyz / [0.9505, 1, 1.089]
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("seen", [np.eye(3), *DEFICITS.values()], ids=["normal", *DEFICITS])
def test_objectives_are_told_apart_by_color_and_by_marker_or_line(seen):
    looks = display.METHODS.values()
    assert len({(look.marker, look.line) for look in looks}) == len(looks)
    for one, other in itertools.combinations(looks, 2):
        distance = np.linalg.norm(lab(one.color, seen) - lab(other.color, seen))
        assert distance > 10, (one.label, other.label, distance)  # 2 is just seen


def test_learning_curve_shows_means_and_student_t_bands(returns):
    (axes,) = draw("figure_1", returns).axes
    drawn = lines(axes)
    assert set(drawn) == {"av_pbc", "random", "near_expert"}
    assert drawn["av_pbc"].get_xydata().tolist() == [[10, 11], [20, 21]]
    assert list(drawn["random"].get_ydata()) == [1, 1]
    assert list(drawn["near_expert"].get_ydata()) == [80, 80]
    assert axes.get_ylim()[1] > 80
    half = 4.3026527 / np.sqrt(3)  # t(0.975, 2)
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((11 - half, 21 + half))
    (span,) = axes.patches
    assert (span.get_y(), span.get_height()) == pytest.approx((1 - half, 2 * half))
    assert axes.get_title() == "Hopper medium"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Outer step", "Normalized score")


def test_one_seed_has_a_line_without_a_band(tmp_path):
    path = write_returns(tmp_path / "one.csv", 5, steps=(10, 20))
    figure = draw("figure_1", [path])
    figure.savefig(tmp_path / "one.png")
    assert list(lines(figure.axes[0])["av_pbc"].get_ydata()) == [5, 5]


def test_another_column_may_be_the_axis(returns):
    episodes, _ = read_returns(returns)
    episodes["seconds"] = 0.1 * episodes["step"] + 0.3 * episodes["seed"]  # seeds are not equally fast
    cells = figures.arrange(FIGURES["figure_1"], episodes)
    (axes,) = figures.learning_curves(cells, FigureSettings(), x="seconds", x_label="Seconds").axes
    assert lines(axes)["av_pbc"].get_xdata() == pytest.approx([1.3, 2.3])
    assert axes.get_xlabel() == "Seconds"


def test_one_panel_per_task_in_the_order_of_the_paper(tmp_path):
    tasks = ("walker2d_medium", "halfcheetah_medium_expert", "halfcheetah_medium", "halfcheetah_medium_replay")
    paths = [write_returns(tmp_path / f"{task}.csv", 1, task=task) for task in tasks]
    panels = draw("figure_1", paths).axes
    titles = [f"HalfCheetah {quality}" for quality in ("medium-replay", "medium", "medium-expert")]
    assert [axes.get_title() for axes in panels] == [*titles, "Walker2d medium"]
    assert [axes.get_ylabel() for axes in panels] == [figures.SCORE, "", "", figures.SCORE]
    assert [axes.get_xlabel() for axes in panels] == ["", "Outer step", "Outer step", "Outer step"]
    assert len(draw("figure_1", paths, columns=2).axes) == 4


def test_policy_spread_shows_every_policy_of_the_last_snapshot(tmp_path):
    def score(step, policy, episode):
        return step + 10 * policy + episode

    paths = [write_returns(tmp_path / f"{seed}.csv", score, seed=seed, steps=(10, 20), policies=4) for seed in (0, 1)]
    expert = {"method": "near_expert", "protocol": "near_expert", "policies": 1}
    paths.append(write_returns(tmp_path / "expert.csv", 80, **expert))
    (axes,) = draw("policy_spread", paths).axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [list(line.get_ydata()) for line in dots] == [[20.5, 30.5, 40.5, 50.5]] * 2
    assert dots[0].get_xdata()[0] < dots[1].get_xdata()[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["Av-PBC"]


def test_captions_count_what_is_shown(returns):
    episodes, _ = read_returns(returns)
    for name, count in (("figure_1", "3 seeds × 2 snapshots"), ("policy_spread", "3 seeds × 1 snapshot")):
        spec = FIGURES[name]
        text = figures.caption(spec, figures.arrange(spec, episodes), FigureSettings(confidence=0.9))
        assert "256 pairs" in text
        assert "90 % Student-t" in text
        assert f"Av-PBC: {count} × 2 policies × 2 episodes." in text.replace("Random, ", "")
    assert "OffRL" not in text


def test_mixed_sizes_are_refused(tmp_path, returns):
    extra = write_returns(tmp_path / "16.csv", 1, size=16, steps=(10, 20))
    with pytest.raises(UserError, match="size is 16 and 256"):
        figures.make_figure("figure_1", [*returns, extra], tmp_path / "f.png", FigureSettings())
    figures.make_figure("figure_1", [*returns, extra], tmp_path / "f.png", FigureSettings(size=16))


def test_whole_data_alone_has_no_policies_to_compare(tmp_path):
    expert = {"method": "near_expert", "protocol": "near_expert", "policies": 1}
    path = write_returns(tmp_path / "expert.csv", 80, **expert)
    with pytest.raises(UserError, match=r"expert\.csv: .*nothing to show"):
        figures.make_figure("policy_spread", [path], tmp_path / "f.png", FigureSettings())


def test_size_curves_show_each_size_with_its_interval(tmp_path):
    paths = []
    for size in (16, 256):
        for seed in range(3):
            path = tmp_path / f"{size}_{seed}.csv"
            score = functools.partial(lambda level, step, *_: step + level, size + seed)
            paths.append(write_returns(path, score, size=size, seed=seed, steps=(10, 20)))
    (axes,) = draw("synset_size", paths).axes
    line, _, (bars,) = axes.containers[0]
    assert line.get_xydata().tolist() == [[16, 37], [256, 277]]
    half = 4.3026527 / np.sqrt(3)  # t(0.975, 2)
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [
        pytest.approx([37 - half, 37 + half]),
        pytest.approx([277 - half, 277 + half]),
    ]
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["16", "256"]
    text = figures.caption(
        FIGURES["synset_size"], figures.arrange(FIGURES["synset_size"], read_returns(paths)[0]), FigureSettings()
    )
    assert "synset of 16–256 pairs" in text


@pytest.mark.parametrize("name", list(FIGURES))
def test_command_writes_the_same_bytes_every_time(tmp_path, name, monkeypatch):
    tasks = ("halfcheetah_medium", "hopper_medium")
    if FIGURES[name].reads == "synsets":
        paths = [
            write_made_synset(tmp_path / "in/a.npz"),
            write_made_synset(tmp_path / "in/b.npz", env_id="Swimmer-v5", task="swimmer"),
        ]
    else:
        paths = write_experiment(tmp_path / "in", tasks, n_seeds=2, steps=(500, 1000, 1500), policies=3, episodes=2)
    if name == "synset_size":
        paths = [path for path in paths if "/av_pbc/" in str(path)]
        small = {"halfcheetah_medium": "HalfCheetah-v4", "hopper_medium": "Hopper-v4"}
        paths += [write_returns(tmp_path / f"{t}_16.csv", 1, task=t, size=16, env_id=e) for t, e in small.items()]
    if name == "recipes":
        paths = write_recipes(tmp_path / "in")

    def run(folder, files):
        out = tmp_path / folder / f"{name}.png"
        arguments = ["--name", name, "--out", str(out), "--set", "dpi=80", *map(str, files)]
        result = CliRunner().invoke(figures.command, arguments)
        assert result.exit_code == 0, result.output
        return [out.with_suffix(suffix).read_bytes() for suffix in (".png", ".pdf", ".json")]

    before = dict(matplotlib.rcParams)
    one = run("one", paths)
    assert dict(matplotlib.rcParams) == before
    # neither the clock, nor the order of files, nor the user's own matplotlib settings matter
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 30}):
        assert run("two", paths[::-1]) == one
    assert b"CreationDate" not in one[1]
    with Image.open(tmp_path / f"one/{name}.png") as picture:
        assert set(picture.info) == {"dpi"}  # neither date nor version
    metadata = json.loads(one[2])
    assert metadata["kind"] == "figure"
    assert len(metadata["inputs"]) == len(paths)


def test_out_must_be_a_png(tmp_path, returns):
    with pytest.raises(UserError, match=r"--out .*\.jpg: ends in '\.jpg'; \.png is needed"):
        figures.make_figure("figure_1", returns, tmp_path / "figure.jpg", FigureSettings())
