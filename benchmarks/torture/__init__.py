"""Kills, races, damage and stale results at random: ``python -m benchmarks.torture``; see docs/reliability.md."""

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests"))  # whose helpers make the files and run the stages
