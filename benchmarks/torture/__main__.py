"""Kill, race, damage and mislead at random, and count what is lost and what passes wrong; both must be 0.

``make torture`` takes about an hour on two idle cores, ``--short`` some minutes. The counts go into a csv, one row per
kind of attack; a run that was stopped goes on with the kinds that are not in it: delete the csv to begin anew. Kinds
marked ``protected: no`` are those that nothing can protect; docs/reliability.md says why. Status 1 if anything else was
lost or wrong.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random

from benchmarks.torture import flips, kills, races, stale, workflow_kills
from benchmarks.torture.counts import Table

ATTACKS = {
    attack.name: attack for attack in (kills.ATTACK, workflow_kills.ATTACK, races.ATTACK, flips.ATTACK, stale.ATTACK)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(ATTACKS), default=list(ATTACKS), help="these attacks only")
    parser.add_argument("--short", action="store_true", help="a few attempts of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default 0)")
    parser.add_argument("--out", type=Path, default=Path("torture.csv"), help="csv of the counts (default torture.csv)")
    given = parser.parse_args()
    table = Table(given.out.absolute(), given.seed)
    root = Path(tempfile.mkdtemp(prefix="torture"))
    os.environ["OBD_CACHE"] = str(root / "cache")
    try:
        for attack in map(ATTACKS.__getitem__, given.only):
            tries = -(-(attack.short if given.short else attack.tries) // len(attack.kinds))  # rounded up
            folder = root / attack.name
            folder.mkdir()
            for kind in attack.kinds:
                if not table.has(attack, kind, tries):
                    random = Random(f"{given.seed} {attack.name} {kind}")
                    table.add(attack, kind, attack.run(kind, tries, random, folder))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    sys.exit(table.bad() > 0)


if __name__ == "__main__":
    main()
