"""The figure of scores against imitation errors: its numbers, what it says is enough, and what is drawn."""

import json

import numpy as np
import pytest
from matplotlib.colors import to_hex

from helpers.errors import write_curve, write_errors, write_synset_errors
from helpers.fake_returns import gather_into, write_returns
from obdistill.core.errors import UserError
from obdistill.paper.figure_data.error_curve import enough, error_curves
from obdistill.paper.figure_data.make import make_figure_data
from obdistill.paper.figures.error_curve import error_curve
from obdistill.paper.figures.make import make_figure
from obdistill.paper.figures.style import FIT, STYLES
from obdistill.paper.settings import FigureSettings


def compute(paths, **settings):
    return error_curves(paths, FigureSettings(**settings))


def test_points_are_means_over_policies(tmp_path):
    table, facts, counts, inputs = compute(write_errors(tmp_path, ["walker2d_medium", "hopper_medium"]))
    assert list(dict.fromkeys(table["task"])) == ["hopper_medium", "walker2d_medium"]
    hopper = table[table["task"] == "hopper_medium"]
    assert hopper["what"].tolist() == [*["fit"] * 3, "near_expert", "enough", *["synset"] * 3]
    fits = hopper[hopper["what"] == "fit"]
    assert fits[["steps", "error", "mean"]].to_numpy().tolist() == [[25, 0.2, 5], [100, 0.1, 30], [400, 0.05, 40]]
    assert fits["sd"].tolist() == pytest.approx([np.sqrt(2)] * 3)
    synsets = hopper[hopper["what"] == "synset"]
    assert synsets[["method", "seed", "mean"]].to_numpy().tolist() == [["random", 0, 2], ["pbc", 0, 33], ["pbc", 1, 36]]
    assert synsets["error"].tolist() == pytest.approx([0.3, 0.08, 0.06])
    # 90 % of 44 is 39.6, of the way from 0.1 to 0.05 96 % in logarithms
    limit = 0.1 * 0.5**0.96
    assert hopper["error"][hopper["what"] == "enough"].item() == pytest.approx(limit)
    assert facts["enough"].startswith(
        f"Hopper medium: an error of {limit:.2g} or less gives 90 % of the near-expert's score of 44.0; mean errors of "
        "synsets: Random 0.3, PBC 0.07. Walker2d medium: an error of "
    )
    assert facts["size"] == "256"
    assert counts == (
        {"": "Supervised fit", "seeds": "1", "policies": "2", "episodes": "2"},
        {"": "OffRL (whole)", "seeds": "1", "policies": "1", "episodes": "2"},
        {"": "Random", "seeds": "1", "policies": "2", "episodes": "4"},
        {"": "PBC", "seeds": "2", "policies": "2", "episodes": "4"},
    )
    assert len(inputs) == 6


@pytest.mark.parametrize(
    ("scores", "wanted", "error"),
    [
        ([10, 20, 30], 15, np.sqrt(0.4 * 0.2)),
        ([10, 20, 30], 30, 0.1),
        ([10, 20, 30], 5, 0.4),
        ([20, 10, 30], 15, 0.2**0.75 * 0.1**0.25),  # lost in between: the last time counts
        ([10, 20, 30], 31, np.nan),
    ],
)
def test_the_error_that_is_enough(scores, wanted, error):
    found = enough(np.array([0.4, 0.2, 0.1]), np.array(scores, float), wanted)
    assert found == pytest.approx(error, nan_ok=True)


def test_a_curve_alone_says_its_range_and_one_too_short_that_it_is(tmp_path):
    curve, *_, expert = write_errors(tmp_path, ["hopper_medium"])
    table, facts, _, _ = compute([curve])
    assert set(table["what"]) == {"fit"}
    assert facts == {"size": "–", "share": "90 %", "enough": "Hopper medium: fits have errors from 0.2 to 0.05."}
    error_curve(table, FigureSettings())
    short = write_curve(tmp_path / "short.csv", fits={25: (0.2, 5.0)})
    table, facts, _, _ = compute([short, expert])
    assert facts["enough"] == "Hopper medium: no fit reaches 90 % of the near-expert's score of 44.0."
    error_curve(table, FigureSettings()).savefig(tmp_path / "short.png")


def test_other_sizes_are_left_out(tmp_path):
    paths = write_errors(tmp_path, ["hopper_medium"])
    assert "synset" in set(compute(paths, size=256)[0]["what"])
    assert "synset" not in set(compute(paths, size=16)[0]["what"])


def test_what_is_drawn(tmp_path):
    paths = write_errors(tmp_path, ["hopper_medium"])
    figure = error_curve(compute(paths)[0], FigureSettings())
    (axes,) = figure.axes
    curve, expert, limit, *points = axes.lines
    assert curve.get_xydata().tolist() == [[0.2, 5], [0.1, 30], [0.05, 40]]
    assert to_hex(curve.get_color()) == FIT.color.lower()
    assert list(expert.get_ydata()) == [44, 44]
    assert limit.get_xdata()[0] == pytest.approx(0.1 * 0.5**0.96)
    drawn = {(to_hex(line.get_color()), line.get_marker(), line.get_linestyle()): line for line in points}
    assert set(drawn) == {
        (STYLES["random"].color.lower(), "x", "None"),
        (STYLES["pbc"].color.lower(), STYLES["pbc"].marker, "None"),
    }
    assert [len(line.get_xdata()) for line in points] == [1, 2]
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((5 - np.sqrt(2), 40 + np.sqrt(2)))
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        *("Supervised fit", "OffRL (whole)", "Random", "PBC")
    ]


def test_the_caption_and_its_note_are_made_from_the_numbers(tmp_path):
    paths = write_errors(tmp_path / "in", ["hopper_medium"])
    make_figure_data("error_curve", paths, tmp_path / "data.csv", FigureSettings())
    make_figure("error_curve", tmp_path / "data.csv", tmp_path / "figure.png", FigureSettings(dpi=50))
    metadata = json.loads((tmp_path / "figure.json").read_text())
    assert "synsets of 256 pairs" in metadata["caption"]
    assert "error for 90 % of the near-expert's score" in metadata["caption"]
    assert metadata["notes"][0].startswith("Hopper medium: an error of 0.051 or less gives 90 %")


def test_other_files_are_refused(tmp_path):
    curve, errors, expert = write_errors(tmp_path, ["hopper_medium"])
    with pytest.raises(UserError, match=r"near_expert\.csv: no error curve is among the files given; obd error-curve"):
        compute([expert])
    twin = write_curve(tmp_path / "twin.csv")
    with pytest.raises(UserError, match=r"twin\.csv: task hopper_medium: its curve is also in another file; give one"):
        compute([curve, errors, twin])
    with pytest.raises(UserError, match=r"returns\.npz: is a gathered returns; needed: error curve, returns, synset"):
        compute([curve, gather_into(tmp_path, [expert])])


def test_returns_of_synsets_are_no_near_expert(tmp_path):
    curve = write_curve(tmp_path / "curve.csv")
    other = write_returns(tmp_path / "other.csv", 99.0)
    assert set(compute([curve, other])[0]["what"]) == {"fit"}


def test_synsets_of_a_task_without_a_curve_are_left_out(tmp_path):
    curve = write_curve(tmp_path / "curve.csv")
    other = write_synset_errors(tmp_path / "other.csv", [("pbc", 0, 0.1, 9.0)], task="walker2d_medium")
    assert set(compute([curve, other])[0]["task"]) == {"hopper_medium"}
