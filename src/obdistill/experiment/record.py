"""What the texts of the report take from files: captions, versions, settings (templates in ``workflow/report``)."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from obdistill.core import artifacts
from obdistill.core.parsing import write_yaml
from obdistill.experiment.jobs import Experiment


@dataclass(frozen=True)
class Record:
    """A finished experiment.

    Attributes
    ----------
    experiment : Experiment
        What was run.
    results : callable
        Returns the paths of its files; called when a text asks for it.
    """

    experiment: Experiment
    results: Callable[[], Iterable[str]]

    def facts(self, metadata: str) -> dict[str, Any]:
        """Read the metadata of a table or figure; its caption becomes reStructuredText."""
        facts = artifacts.read_json(Path(metadata))
        return {**facts, "caption": re.sub(r"([\\*`|_])", r"\\\1", facts["caption"])}

    def versions(self) -> dict[str, str]:
        """Collect the versions recorded in the results: package -> version, or versions if they differ."""
        found = defaultdict[str, set[str]](set)
        for path in self.results():
            if path.endswith(".json"):
                for package, version in artifacts.read_json(Path(path)).get("versions", {}).items():
                    found[package].add(version)
        return {package: ", ".join(sorted(versions)) for package, versions in sorted(found.items())}

    def settings(self) -> str:
        """Return the whole configuration as YAML, defaults filled in."""
        return write_yaml(self.experiment.config.model_dump(mode="json"))

    def jobs(self) -> str:
        """Count the jobs of each rule."""
        return ", ".join(f"{rule} {count}" for rule, count in self.experiment.counts().items() if count)
