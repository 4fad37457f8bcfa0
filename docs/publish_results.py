"""Copy tables and figures of finished runs to docs/results, and put numbers of files into the pages about them.

``make readme`` after the default run; ``python docs/publish_results.py robots`` after config/robots.yaml, with
``recipe`` after config/recipe.yaml, with ``av_pbc`` after config/av_pbc.yaml, and with ``steps`` after a change of
docs/results/recipe/standin.csv.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from obdistill.experiment.jobs import Experiment
from obdistill.paper import names
from obdistill.paper import numbers as paper
from obdistill.paper.description import Description
from obdistill.paper.statistics import intervals
from obdistill.paper.tables.formats import markdown_details
from obdistill.paper.tables.variance import by_label

ROOT = Path(__file__).resolve().parents[1]
TABLES = [*(f"table_{number}" for number in range(1, 6)), "aggregates", "variance"]
FIGURES = ["figure_1", "figure_2", "policy_spread", "synset_size", "performance_profiles", "precision"]
# run -> tables and figures of results/paper, folder under docs/results, page with Table 1 if there is one
RUNS = {
    "default": (TABLES, FIGURES, ".", None),
    "robots": (
        ["table_1", "aggregates", "variance"],
        ["figure_1", "figure_2", "error_curve", "policy_spread", "performance_profiles", "precision"],
        "robots",
        "README.md",
    ),
    "recipe": (["table_1"], ["recipes"], "recipe", "docs/recipe.md"),
    "av_pbc": (["table_1", "variance"], ["policy_spread"], "av_pbc", None),
}
DIFFERENCES = ["robots", "av_pbc"]  # runs whose pairs docs/protocol.md shows
STEPS = 500  # outer steps that the README shows beside the last


def marks(name: str) -> tuple[str, str]:
    """Return what stands before and after a written part of a page."""
    return f"<!-- {name}: written by docs/publish_results.py -->\n", f"<!-- end of {name} -->"


def block(page: str, name: str) -> str:
    """Return a written part of a page."""
    start, end = marks(name)
    return page.partition(start)[2].partition(end)[0]


def write(page: Path, name: str, content: str) -> None:
    """Replace a written part of a page."""
    text = page.read_text()
    start, end = marks(name)
    page.write_text(text.replace(start + block(text, name) + end, start + content + end))


def publish(run: str) -> None:
    """Copy tables and figures with their captions, and put Table 1 into the page about the run."""
    tables, figures, folder, page = RUNS[run]
    source, target = ROOT / "results/paper", ROOT / "docs/results" / folder
    target.mkdir(parents=True, exist_ok=True)
    numbers = [f"{table}.csv" for table in ("table_1", "variance") if table in tables]
    for name in [*numbers, *(f"{table}.md" for table in tables), *(f"{figure}.png" for figure in figures)]:
        shutil.copy(source / name, target / name)
    parts = [f"# Tables and figures of the {run} run", "Written by docs/publish_results.py."]
    for name in [*tables, *figures]:
        parts.append(f"## {_title(name)}")
        if name in tables:
            parts.append((target / f"{name}.md").read_text().rstrip())
        else:
            description = Description.of(json.loads((source / f"{name}.json").read_text()))
            parts += [f"![{name}]({name}.png)", description.caption, *filter(None, [markdown_details(description)])]
    (target / "README.md").write_text("\n\n".join(parts) + "\n")
    if run in DIFFERENCES:
        write(ROOT / "docs/protocol.md", f"differences_{run}", differences(run))
    if page is None:
        return
    write(ROOT / page, "results", (target / "table_1.md").read_text())
    for name in ("figure_1", "figure_2"):
        if name in figures:
            write(ROOT / page, name, figure(name, folder))


def figure(name: str, folder: str) -> str:
    """Show a figure of a run, with its caption from the run's page in docs/results, where it was published."""
    page = ROOT / "docs/results" / folder / "README.md"
    captions = page.read_text() if page.exists() else ""
    caption = captions.partition(f"![{name}]({name}.png)\n\n")[2].partition("\n")[0]
    return f"![{_title(name)}](docs/results/{folder}/{name}.png)\n" + (f"\n<sub>{caption}</sub>\n" if caption else "")


def differences(run: str) -> str:
    """Show the pairs that a run's table `variance` compares: difference [interval] p of Student's t, by task."""
    tests = pd.read_csv(ROOT / "docs/results" / run / "variance.csv").dropna(subset=["other"])
    tasks = list(tests["task"].unique())
    lines = ["| | " + " | ".join(" ".join(names.task_label(task)).strip() for task in tasks) + " |"]
    lines.append("|---|" + "---:|" * len(tasks))
    for label, of_pair in by_label(tests):
        by_task = {row.task: row for row in of_pair.itertuples()}
        lines.append(f"| {label} | " + " | ".join(_difference(by_task.get(task)) for task in tasks) + " |")
    return "\n".join(lines) + "\n"


def _difference(row: Any) -> str:
    if row is None:
        return "–"
    return f"{names.number(row.mean, 1)} {names.interval(row.low, row.high, 1)}, {names.p_with_sign(row.p_student_t)}"


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def steps_text(scores: pd.DataFrame) -> str:
    """Say how far few outer steps get, beside the paper's number.

    Parameters
    ----------
    scores : DataFrame
        seed, step and mean (score of a seed's policies at a step) of Av-PBC in the manner of halfcheetah-medium-replay.
    """
    taken = sorted(scores["step"].unique())
    shown = sorted({min(taken, key=lambda step: abs(step - STEPS)), taken[-1]})
    found = []
    for step in shown:
        seeds = scores[scores["step"] == step].groupby("seed")["mean"].mean().to_numpy()
        mean, low, high, n = intervals.student_t_interval([seeds])
        found.append(
            f"{names.number(mean, 1)} {names.interval(low, high, 1)} (n = {n} seeds) after {step:,} outer steps"
        )
    config = Experiment.load([ROOT / "config/paper.yaml"]).config
    theirs = config.distill_settings("halfcheetah_medium_replay", "av_pbc").steps
    printed = paper.numbers()[1, "av_pbc", "halfcheetah-medium-replay"]
    return (
        f"**{shown[0]:,} outer steps instead of {theirs:,}.** The recipe here (Adam, a falling rate, weight decay, "
        f"averaged snapshots, one setting for all methods) scored {' and '.join(found)} (mean [95 % Student-t "
        "interval]): Av-PBC with 256 pairs on rollouts of the paper's medium-replay HalfCheetah near-expert "
        "([docs/recipe.md](docs/recipe.md)). The paper's Table 1 has "
        f"{printed} for D4RL's medium-replay data, by SGD in {theirs:,}.\n"
    )


def main(run: str = "default") -> None:
    """Publish a run, or write the README's paragraph about outer steps."""
    if run != "steps":
        publish(run)
    write(ROOT / "README.md", "steps", steps_text(pd.read_csv(ROOT / "docs/results/recipe/standin.csv")))


if __name__ == "__main__":
    main(*sys.argv[1:])
