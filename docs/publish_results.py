"""Copy the default run's tables and figures to docs/results and put Table 1 into the README: ``make readme``."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLES = [*(f"table_{number}" for number in range(1, 6)), "aggregates", "variance"]
FIGURES = ["figure_1", "figure_2", "policy_spread", "synset_size", "performance_profiles", "precision"]
PUBLISHED = ["table_1.csv", *(f"{name}.md" for name in TABLES), *(f"{name}.png" for name in FIGURES)]
START, END = "<!-- results: written by `make readme` from docs/results -->\n", "<!-- end of results -->"


def block(readme: str) -> str:
    """Return what stands between the two marks of the README."""
    return readme.partition(START)[2].partition(END)[0]


def main() -> None:
    """Publish."""
    target = ROOT / "docs/results"
    target.mkdir(exist_ok=True)
    for name in PUBLISHED:
        shutil.copy(ROOT / "results/paper" / name, target / name)
    path = ROOT / "README.md"
    text = path.read_text()
    path.write_text(text.replace(START + block(text) + END, START + (target / "table_1.md").read_text() + END))


if __name__ == "__main__":
    main()
