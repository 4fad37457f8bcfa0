"""Copy the tables and figures of a finished run to docs/results and put its Table 1 into the page about it.

``make readme`` after the default run; ``python docs/publish_results.py recipe`` after config/recipe.yaml.
"""

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLES = [*(f"table_{number}" for number in range(1, 6)), "aggregates", "variance"]
FIGURES = ["figure_1", "figure_2", "policy_spread", "synset_size", "performance_profiles", "precision"]
# run -> files of results/paper, folder under docs/results, page with the table
RUNS = {
    "default": (["table_1.csv", *(f"{n}.md" for n in TABLES), *(f"{n}.png" for n in FIGURES)], ".", "README.md"),
    "recipe": (["table_1.csv", "table_1.md", "recipes.png"], "recipe", "docs/recipe.md"),
}
START, END = "<!-- results: written by docs/publish_results.py -->\n", "<!-- end of results -->"


def block(page: str) -> str:
    """Return what stands between the two marks of a page."""
    return page.partition(START)[2].partition(END)[0]


def main(run: str = "default") -> None:
    """Publish."""
    names, folder, page = RUNS[run]
    target = ROOT / "docs/results" / folder
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(ROOT / "results/paper" / name, target / name)
    path = ROOT / page
    text = path.read_text()
    path.write_text(text.replace(START + block(text) + END, START + (target / "table_1.md").read_text() + END))


if __name__ == "__main__":
    main(*sys.argv[1:])
