"""A run ends with the Table 1 it made."""

from pathlib import Path

from obdistill.experiment.closing import TABLE, closing_words


def test_a_run_that_made_table_1_shows_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(TABLE).parent.mkdir(parents=True)
    Path(TABLE).write_text("| | Hopper |\n| --- | ---: |\n| PBC | 12.0 |\n")
    words = closing_words(["results/paper/table_2.md", TABLE])
    assert "\n| PBC | 12.0 |\n" in words
    assert words.endswith("`make report` writes results/report.html.")
    assert closing_words(["results/datasets/hopper/dataset.npz"]) == ""
    Path(TABLE).unlink()
    assert closing_words([TABLE]) == ""
