"""Pages show what the files in the repository say."""

import importlib.util
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from helpers.synsets import assert_score_is_the_published_one, readme_snippet

ROOT = Path(__file__).parents[2]


@pytest.fixture
def publish():
    """docs/publish_results.py as a module."""
    spec = importlib.util.spec_from_file_location("publish_results", ROOT / "docs/publish_results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "folder"),
    [
        ("README.md", "docs/results/robots"),
        ("docs/recipe.md", "docs/results/recipe"),
    ],
)
def test_the_table_of_a_page_is_the_published_one(publish, page, folder):
    shown = publish.block((ROOT / page).read_text(), "results")
    assert shown == (ROOT / folder / "table_1.md").read_text()
    assert "Av-PBC" in shown


@pytest.mark.parametrize("run", ["robots", "av_pbc"])
def test_differences_are_the_published_ones(publish, run):
    shown = publish.block((ROOT / "docs/protocol.md").read_text(), f"differences_{run}")
    assert shown == publish.differences(run)
    average = pd.read_csv(ROOT / f"docs/results/{run}/variance.csv").query("task == 'average' and method == 'av_pbc'")
    for mean in average["mean"]:
        assert f" {mean:.1f} [".replace("-", "−") in shown
    assert "Av-PBC − PBC" in shown


@pytest.mark.parametrize("name", ["figure_1", "figure_2"])
def test_figures_of_the_readme_are_the_published_ones(publish, name):
    shown = publish.block((ROOT / "README.md").read_text(), name)
    assert shown == publish.figure(name, "robots")
    assert f"(docs/results/robots/{name}.png)" in shown


def test_the_paragraph_about_outer_steps_is_that_of_its_file(publish):
    shown = publish.block((ROOT / "README.md").read_text(), "steps")
    assert shown == publish.steps_text(pd.read_csv(ROOT / "docs/results/recipe/standin.csv"))


def test_the_paragraph_follows_its_file(publish):
    levels = {400: 30, 700: 33, 3000: 35}
    rows = [(seed, step, level + seed - 1) for step, level in levels.items() for seed in (0, 2)]
    scores = pd.DataFrame(rows, columns=["seed", "step", "mean"]).assign(policies=10)
    text = publish.steps_text(scores)
    half = 12.7062047  # t(0.975, 1), times the standard error of 1
    assert text.startswith("**400 outer steps instead of 50,000.**")
    assert f"scored 30.0 [{30 - half:.1f}, {30 + half:.1f}] (n = 2 seeds) after 400 outer steps and 35.0 [" in text
    assert "(n = 2 seeds) after 3,000 outer steps (mean" in text
    assert "33.0" not in text
    assert "Table 1 has 35.9 for" in text
    last = publish.steps_text(scores[scores["step"] == 3000])
    assert last.startswith("**3,000 outer steps instead")
    assert last.count("n = 2 seeds") == 1


def test_publishing_copies_results_and_writes_captions(publish, tmp_path, monkeypatch):
    source = tmp_path / "results/paper"
    source.mkdir(parents=True)
    tables, figures, *_ = publish.RUNS["robots"]
    for name in tables:
        (source / f"{name}.md").write_text(f"cells of {name}\n\nits caption\n")
    (source / "table_1.csv").write_text("csv")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/protocol.md").write_text("".join(publish.marks("differences_robots")))
    columns = "task,method,variant,other,other_variant,mean,low,high,p_student_t"
    (source / "variance.csv").write_text(f"{columns}\naverage,av_pbc,paper,pbc,paper,5.46,0.8,10.1,0.0312\n")
    for name in figures:
        (source / f"{name}.png").write_text("png")
        (source / f"{name}.json").write_text(json.dumps({"caption": f"caption of {name}", "notes": [], "counts": []}))
    start, end = publish.marks("results")
    figure = publish.marks("figure_2")
    (tmp_path / "README.md").write_text(f"before\n{start}old\n{end}\n{figure[0]}{figure[1]}\nafter\n")
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    publish.publish("robots")
    shown = f"{figure[0]}![Figure 2](docs/results/robots/figure_2.png)\n\n<sub>caption of figure_2</sub>\n{figure[1]}"
    table = f"{start}cells of table_1\n\nits caption\n{end}"
    assert (tmp_path / "README.md").read_text() == f"before\n{table}\n{shown}\nafter\n"
    row = "| Av-PBC (paper) − PBC (paper) | 5.5 [0.8, 10.1], p = 0.031 |"
    assert row in (tmp_path / "docs/protocol.md").read_text()
    page = (tmp_path / "docs/results/robots/README.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("## ")][:2] == ["## Table 1", "## Aggregates"]
    for name in figures:
        assert f"![{name}]({name}.png)\n\ncaption of {name}\n" in page
        assert (tmp_path / f"docs/results/robots/{name}.png").read_text() == "png"


@pytest.mark.parametrize(
    "page", [str(page.relative_to(ROOT)) for page in [*ROOT.glob("*.md"), *ROOT.glob("[bcdr]*/*.md")]]
)
def test_links_inside_the_repository_lead_somewhere(page):
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_snippet_prints_a_score_like_the_published_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(readme_snippet(ROOT), {})
    assert_score_is_the_published_one(capsys.readouterr().out)


def test_the_bibtex_entry_and_the_citation_file_name_the_same_paper():
    readme = (ROOT / "README.md").read_text()
    (paper,) = yaml.safe_load((ROOT / "CITATION.cff").read_text())["references"]
    names = [f"{author['family-names']}, {author['given-names']}" for author in paper["authors"]]
    assert f"{{{paper['title']}}}" in readme
    assert f"{{{' and '.join(names)}}}" in readme
    assert paper["identifiers"][0]["value"] in readme
