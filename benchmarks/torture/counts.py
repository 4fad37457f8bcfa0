"""What came of each attempt, in one form for all attacks, and the table that these counts go into."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

OUTCOMES = {
    "told": "refused, or announced, in a line",
    "same": "the same numbers as without the attack",
    "wrong": "other numbers, without a word",
    "lost": "a result that is gone, half there or made again needlessly; a process that hangs or ends otherwise",
}
COLUMNS = ("attack", "kind", "protected", "seed", "tries", *OUTCOMES)


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt; `text` tells what happened, if it is bad."""

    what: Literal["told", "same", "wrong", "lost"]
    text: str = ""


@dataclass(frozen=True)
class Attack:
    """One way to hurt a run.

    Attributes
    ----------
    name : str
        As `--only` takes it.
    kinds : sequence of str
        What is attacked; each has a row of its own.
    tries, short : int
        Attempts in all kinds together, by default and with ``--short``.
    run : callable
        Makes some attempts on a kind in a folder: ``run(kind, tries, random numbers, folder)``.
    unprotected : mapping
        Kinds that nothing can protect, and why: they are counted, but their wrong numbers are no failure.
    """

    name: str
    kinds: Sequence[str]
    tries: int
    short: int
    run: Callable[[str, int, Random, Path], Iterator[Outcome]]
    unprotected: Sequence[str] = ()


class Table:
    """Counts by attack and kind in a csv, written after each kind: a run that was stopped goes on there."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.seed = path, seed
        self.rows: list[dict[str, str | int]] = []
        if path.exists():
            with path.open(newline="") as file:
                self.rows = [dict(row) for row in csv.DictReader(file)]

    def has(self, attack: Attack, kind: str, tries: int) -> bool:
        """Tell whether a kind has been counted with this seed, at least so often."""
        wanted = (attack.name, kind, self.seed)
        return any(
            (row["attack"], row["kind"], int(row["seed"])) == wanted and int(row["tries"]) >= tries for row in self.rows
        )

    def add(self, attack: Attack, kind: str, outcomes: Iterable[Outcome]) -> None:
        """Count the outcomes of a kind, print the bad ones, and write the table."""
        counts: Counter[str] = Counter()
        protected = kind not in attack.unprotected
        for outcome in outcomes:
            counts[outcome.what] += 1
            if protected and outcome.what in ("wrong", "lost"):
                print(f"{attack.name}: {kind}: {outcome.what}: {outcome.text}", flush=True)
        self.rows = [row for row in self.rows if (row["attack"], row["kind"]) != (attack.name, kind)]
        facts = {"attack": attack.name, "kind": kind, "protected": "yes" if protected else "no", "seed": self.seed}
        self.rows.append({**facts, "tries": counts.total(), **{name: counts[name] for name in OUTCOMES}})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        print(f"{attack.name}: {kind}: {counts.total()} tries, {dict(counts)}", flush=True)

    def bad(self) -> int:
        """Count what must be 0."""
        return sum(int(row["wrong"]) + int(row["lost"]) for row in self.rows if row["protected"] == "yes")
