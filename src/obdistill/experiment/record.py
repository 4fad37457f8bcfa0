"""What the texts of the report take from files: results, captions, versions, settings (templates: workflow/report)."""

import base64
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from obdistill.core.parsing import write_yaml
from obdistill.experiment.jobs import Experiment

PAPER = Path("results/paper")


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

    def result(self) -> str:
        """Return Figure 1, Table 1 and the findings as one HTML element that needs no other file."""
        from obdistill.paper.tables.formats import STYLE  # here, for Snakemake imports this module at every start

        parts = [f'<div class="paper"><style>{STYLE}</style>']
        if {"figure": "figure_1"} in self.experiment.figures():
            parts.append(self._figure("figure_1", "Figure 1"))
        parts += [_body(PAPER / "table_1.html"), self._findings(), "</div>"]
        return "\n".join(parts)

    def _figure(self, name: str, title: str) -> str:
        # in lines: docutils refuses long ones
        image = base64.encodebytes((PAPER / f"{name}.png").read_bytes()).decode().rstrip()
        caption = _read_json(PAPER / f"{name}.json")["caption"]
        return (
            f'<p style="text-align: center"><img src="data:image/png;base64,{image}" alt="{title}" '
            f'style="max-width: 100%; width: 48em"></p>\n<p>{escape(caption)}</p>'
        )

    def _findings(self) -> str:
        said = _read_json(PAPER / "findings.json")
        sentences = [f"<li>{escape(sentence)}</li>" for sentence in said["findings"]]
        return "\n".join(["<ul>", *sentences, "</ul>", f"<p><small>{escape(said['note'])}</small></p>"])

    def facts(self, metadata: str) -> dict[str, Any]:
        """Read the metadata of a table or figure.

        Returns
        -------
        dict
            The metadata; ``caption`` becomes reStructuredText, ``beside`` is HTML with counts and notes.
        """
        from obdistill.paper.description import Description
        from obdistill.paper.tables.formats import html_details

        facts = _read_json(Path(metadata))
        beside = html_details(Description.of(facts))
        return {**facts, "caption": re.sub(r"([\\*`|_])", r"\\\1", facts["caption"]), "beside": beside}

    def versions(self) -> dict[str, str]:
        """Collect the versions recorded in the results: package -> version, or versions if they differ."""
        found = defaultdict[str, set[str]](set)
        for path in self.results():
            if path.endswith(".json"):
                for package, version in _read_json(Path(path)).get("versions", {}).items():
                    found[package].add(version)
        return {package: ", ".join(sorted(versions)) for package, versions in sorted(found.items())}

    def settings(self) -> str:
        """Return the whole configuration as YAML, defaults filled in."""
        return write_yaml(self.experiment.config.model_dump(mode="json")).rstrip()

    def jobs(self) -> str:
        """Count the jobs of each rule."""
        return ", ".join(f"{rule} {count}" for rule, count in self.experiment.counts().items() if count)


def _body(page: Path) -> str:
    """Return what a page of this project shows, without its head."""
    return page.read_text(encoding="utf-8").partition('<body class="paper">')[2].partition("</body>")[0].strip()


def _read_json(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return facts
