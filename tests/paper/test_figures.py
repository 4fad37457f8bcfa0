import functools
import itertools
import json
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from helpers.errors import write_errors
from helpers.fake_returns import gather_into, read, write_experiment, write_returns
from helpers.synsets import write_made_synset
from obdistill.core import methods
from obdistill.core.errors import UserError
from obdistill.paper import command
from obdistill.paper.figure_data.make import FIGURE_DATA, arrange, make_figure_data
from obdistill.paper.figures.make import FIGURES, make_figure
from obdistill.paper.figures.panels import SCORE
from obdistill.paper.figures.style import SPARE, STYLES, style
from obdistill.paper.selection import FIGURE_SELECTIONS
from obdistill.paper.settings import FigureSettings


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
    curves = {("pbc", "default"): (0.0, 2.0), ("pbc", "slow_start"): (5.0, 1.0)}
    curves |= {("dbc", "default"): (20.0, 2.0), ("dbc", "slow_start"): (25.0, 1.0)}
    return [
        write_returns(
            folder / method / variant / f"{seed}.csv",
            lambda step, policy, episode, below=below, seed=seed: step + seed - below,
            **{"method": method, "variant": variant, "seed": seed, "steps": [10, 20], "seconds_per_step": pace},
        )
        for (method, variant), (below, pace) in curves.items()
        for seed in range(3)
    ]


def test_recipes_have_a_column_per_method_and_a_row_per_axis(tmp_path):
    paths = write_recipes(tmp_path)
    figure = draw("recipes", paths)
    panels = figure.axes
    assert [axes.get_title() for axes in panels] == ["DBC", "PBC", "", ""]
    assert [axes.get_xlabel() for axes in panels] == ["Outer step"] * 2 + ["Seconds"] * 2
    steps, seconds = panels[1], panels[3]
    assert [line.get_xydata().tolist() for line in steps.lines] == [[[10, 11], [20, 21]], [[10, 6], [20, 16]]]
    assert [line.get_xydata().tolist() for line in seconds.lines] == [[[20, 11], [40, 21]], [[10, 6], [20, 16]]]
    assert {to_hex(line.get_color()) for line in steps.lines} == {STYLES["pbc"].color.lower()}
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["as configured", "slow start"]


def test_recipes_leave_out_what_has_one_recipe(tmp_path, returns):
    (of_task,) = arrange("recipes", read([*write_recipes(tmp_path), *returns]), FigureSettings()).values()
    assert list(of_task) == [(method, variant) for method in ("dbc", "pbc") for variant in ("default", "slow_start")]


def compute(name, paths, **settings):
    settings = FigureSettings(**settings)
    return FIGURE_DATA[name].compute(arrange(name, read(paths), settings), settings)


def draw(name, paths, **settings):
    return FIGURES[name].draw(compute(name, paths, **settings), FigureSettings(**settings))


def made(name, paths, folder, **settings):
    """Make a figure by both steps; returns its metadata."""
    settings = FigureSettings(dpi=50, **settings)
    make_figure_data(name, [gather_into(folder, paths)], folder / "data.csv", settings)
    make_figure(name, folder / "data.csv", folder / "figure.png", settings)
    return json.loads((folder / "figure.json").read_text())


def lines(axes):
    colors = {look.color.lower(): name for name, look in STYLES.items()}
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
def test_methods_are_told_apart_by_color_and_by_marker_or_line(seen):
    styles = {**STYLES, **{f"spare {place}": spare for place, spare in enumerate(SPARE)}}
    assert len({(look.marker, look.line) for look in styles.values()}) == len(styles)
    for one, other in itertools.combinations(styles, 2):
        distance = np.linalg.norm(lab(styles[one].color, seen) - lab(styles[other].color, seen))
        assert distance > 10, (one, other, distance)  # 2 is just seen


def test_a_method_without_a_style_gets_one_of_its_own(monkeypatch, tmp_path):
    for name in ("new", "newer"):
        monkeypatch.setitem(methods.METHODS, name, methods.Method(label=name.capitalize()))
    found = [style((name, "default")) for name in methods.METHODS]
    assert len(set(found)) == len(found)
    paths = [write_returns(tmp_path / f"{name}.csv", 1, method=name, steps=(10, 20)) for name in ("new", "newer")]
    figure = draw("figure_1", paths)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["New", "Newer"]


def test_a_variant_has_its_methods_color_and_another_line():
    plain, other = style(("pbc", "default")), style(("pbc", "paper"))
    assert plain.color == other.color
    assert plain.line != other.line


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


def test_seconds_are_averaged_over_seeds(tmp_path):
    for seed, pace in enumerate((0.1, 0.2, 0.3)):
        for variant in ("default", "slow"):
            about = {"variant": variant, "seed": seed, "steps": (10, 20), "seconds_per_step": pace}
            write_returns(tmp_path / f"{variant}{seed}.csv", 1, **about)
    table = compute("recipes", tmp_path.glob("*.csv"))
    assert table[table["variant"] == "slow"]["seconds"].tolist() == pytest.approx([2, 4])


def test_variants_may_be_left_out_of_learning_curves(tmp_path):
    episodes = read(write_recipes(tmp_path))
    for variants, expected in ((True, {"default", "slow_start"}), (False, {"default"})):
        cells = arrange("figure_1", episodes, FigureSettings(variants=variants))
        assert {variant for of_task in cells.values() for _, variant in of_task} == expected


def test_learning_curves_as_numbers(returns):
    table = compute("figure_1", returns)
    assert list(table) == ["task", "method", "variant", "step", "mean", "low", "high", "n"]
    assert table[["method", "step", "mean", "n"]].to_numpy().tolist() == [
        ["random", 0, 1, 3],
        ["av_pbc", 10, 11, 3],
        ["av_pbc", 20, 21, 3],
        ["near_expert", 10, 80, 1],
    ]


def test_one_panel_per_task_in_the_order_of_the_paper(tmp_path):
    tasks = ("walker2d_medium", "halfcheetah_medium_expert", "halfcheetah_medium", "halfcheetah_medium_replay")
    paths = [write_returns(tmp_path / f"{task}.csv", 1, task=task) for task in tasks]
    panels = draw("figure_1", paths).axes
    titles = [f"HalfCheetah {quality}" for quality in ("medium-replay", "medium", "medium-expert")]
    assert [axes.get_title() for axes in panels] == [*titles, "Walker2d medium"]
    # two rows of two, not of three and one
    assert [axes.get_ylabel() for axes in panels] == [SCORE, "", SCORE, ""]
    assert [axes.get_xlabel() for axes in panels] == ["", "", "Outer step", "Outer step"]
    assert [axes.get_ylabel() for axes in draw("figure_1", paths[:3]).axes] == [SCORE, "", ""]
    assert [axes.get_ylabel() for axes in draw("figure_1", paths, columns=1).axes] == [SCORE] * 4
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


@pytest.mark.parametrize(("name", "snapshots"), [("figure_1", "2"), ("policy_spread", "1")])
def test_counts_are_of_what_is_shown(returns, tmp_path, name, snapshots):
    metadata = made(name, returns, tmp_path, confidence=0.9)
    assert "256 pairs" in metadata["caption"]
    assert "90 % Student-t" in metadata["caption"]
    by_row = {row[""]: row for row in metadata["counts"]}
    counted = {"seeds": "3", "snapshots": snapshots, "policies": "2", "episodes": "2"}
    assert by_row["Av-PBC"] == {"": "Av-PBC", **counted}
    assert ("OffRL (whole)" in by_row) == (name == "figure_1")


def test_mixed_sizes_are_refused(tmp_path, returns):
    extra = write_returns(tmp_path / "16.csv", 1, size=16, steps=(10, 20))
    with pytest.raises(UserError, match="size is 16 and 256"):
        made("figure_1", [*returns, extra], tmp_path)
    made("figure_1", [*returns, extra], tmp_path, size=16)


def test_whole_data_alone_has_no_policies_to_compare(tmp_path):
    expert = {"method": "near_expert", "protocol": "near_expert", "policies": 1}
    path = write_returns(tmp_path / "expert.csv", 80, **expert)
    with pytest.raises(UserError, match=r"expert\.csv: .*nothing to show"):
        made("policy_spread", [path], tmp_path)


def test_a_figure_is_drawn_from_its_own_numbers(tmp_path, returns):
    made("figure_1", returns, tmp_path)
    with pytest.raises(
        UserError, match=r"data\.csv: is about figure_1; the csv of precision is needed \(obd figure-data"
    ):
        make_figure("precision", tmp_path / "data.csv", tmp_path / "p.png", FigureSettings())
    with pytest.raises(UserError, match=r"0\.csv: is a returns by its 0\.json; a figure data is needed$"):
        make_figure("figure_1", returns[0], tmp_path / "p.png", FigureSettings())


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
    assert "synset of 16–256 pairs" in made("synset_size", paths, tmp_path)["caption"]


@pytest.mark.parametrize("name", list(FIGURES))
def test_command_writes_the_same_bytes_every_time(tmp_path, name, monkeypatch):
    tasks = ("halfcheetah_medium", "hopper_medium")
    if FIGURE_SELECTIONS[name].reads == "synsets":
        paths = [
            write_made_synset(tmp_path / "in/a.npz"),
            write_made_synset(tmp_path / "in/b.npz", env_id="Swimmer-v5", task="swimmer"),
        ]
    elif FIGURE_SELECTIONS[name].reads == "errors":
        paths = write_errors(tmp_path / "in", tasks)
    else:
        paths = write_experiment(tmp_path / "in", tasks, n_seeds=2, steps=(500, 1000, 1500), policies=3, episodes=2)
    if name == "synset_size":
        paths = [path for path in paths if "/av_pbc/" in str(path)]
        small = {"halfcheetah_medium": "HalfCheetah-v4", "hopper_medium": "Hopper-v4"}
        paths += [write_returns(tmp_path / f"{t}_16.csv", 1, task=t, size=16, env_id=e) for t, e in small.items()]
    if name == "recipes":
        paths = write_recipes(tmp_path / "in")

    def run(folder, files):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        if FIGURE_SELECTIONS[name].reads == "returns":
            files = [gather_into(Path(), files)]
        for stage, arguments in (
            (command.figure_data, ["--out", "data.csv", *map(str, files)]),
            (command.figure, ["--out", "figure.png", "--set", "dpi=80", "data.csv"]),
        ):
            result = CliRunner().invoke(stage, ["--name", name, *arguments])
            assert result.exit_code == 0, result.output
        return [Path(file).read_bytes() for file in ("figure.png", "figure.pdf", "figure.json", "data.csv")]

    before = dict(matplotlib.rcParams)
    one = run("one", paths)
    assert dict(matplotlib.rcParams) == before
    # neither the clock, nor the order of files, nor the user's own matplotlib settings matter
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.dpi": 30}):
        assert run("two", paths[::-1]) == one
    assert b"CreationDate" not in one[1]
    with Image.open(tmp_path / "one/figure.png") as picture:
        assert set(picture.info) == {"dpi"}  # neither date nor version
    metadata = json.loads(one[2])
    assert metadata["kind"] == "figure"
    assert [entry["file"] for entry in metadata["inputs"]] == ["data.csv"]
    assert len(metadata["caption"]) <= 360  # three lines
    assert "{" not in metadata["caption"]


def test_out_must_be_a_png(tmp_path, returns):
    arguments = ["--out", str(tmp_path / "figure.jpg"), str(returns[0])]
    result = CliRunner().invoke(command.figure, arguments)
    assert result.exit_code == 2
    assert "ends in '.jpg'; .png is needed" in result.output


def test_drawing_imports_no_statistics():
    code = "import json, sys, obdistill.paper.figures.make; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(run.stdout)
    assert not [name for name in loaded if name.startswith(("obdistill.paper.statistics", "scipy", "torch"))]
    code = "import json, sys, obdistill.paper.figure_data.make; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "matplotlib" not in json.loads(run.stdout)
