"""What a run says at its end: the Table 1 that it made, and where the rest is."""

from collections.abc import Iterable
from pathlib import Path

TABLE = "results/paper/table_1.md"


def closing_words(made: Iterable[str]) -> str:
    """Return the last lines of a finished run.

    Parameters
    ----------
    made : iterable of str
        Files that the run was about. Without Table 1 among them there is nothing to show.
    """
    if TABLE not in set(made) or not Path(TABLE).is_file():
        return ""
    table = Path(TABLE).read_text(encoding="utf-8").strip()
    return (
        f"\n{table}\n\nTables and figures: results/paper/. All of them on one page: `make report` writes "
        "results/report.html."
    )
