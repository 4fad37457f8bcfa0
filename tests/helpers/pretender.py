"""An `obd` that writes what a stage would write, at once, with what it is made from; a copy's cli.py."""

import hashlib
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

from obdistill.core import provenance
from obdistill.core.errors import UserError

BESIDE: dict[str, list[str]] = {
    "collect": [],
    "select": ["synset.json", "metrics.csv", "metrics.json"],
    "distill": ["synset.json", "metrics.csv", "metrics.json"],
    "summary": ["{stem}.json", "metrics.json", "findings.json"],
    "table": ["{stem}.json", "{stem}.md", "{stem}.tex", "{stem}.html"],
    "figure": ["{stem}.json", "{stem}.pdf"],
}
ACTING = ("collect", "dataset", "evaluate", "evaluate-near-expert")  # in the environment


def sha256(*paths: str | Path) -> str:
    return hashlib.sha256(b"".join(Path(path).read_bytes() for path in paths)).hexdigest()


def inputs(arguments: list[str], settings: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Hash the files that the command line, a list that it names and the settings of an import name."""
    lists = [value for name, value in itertools.pairwise(arguments) if name == "--from"]
    arguments = [*arguments, *(line for path in lists for line in Path(path).read_text().splitlines())]
    named = [*arguments, settings.get("checkpoint"), (settings.get("statistics") or {}).get("file")]
    return {path: {"sha256": sha256(path)} for path in named if path and os.path.isfile(path)}


def source(settings: dict[str, Any], options: dict[str, str]) -> dict[str, str]:
    """Hash the files that a dataset is read from."""
    if settings.get("source") == "minari":
        data = Path(settings["root"] or os.environ.get("MINARI_DATASETS_PATH", ""), settings["id"], "data")
        files = sorted(path for path in data.rglob("*") if path.is_file() and path.name != "metadata.json")
        return {"sha256": sha256(*files), "metadata_sha256": sha256(data / "metadata.json")} if files else {}
    if settings.get("source") == "collect":
        collection = json.loads(Path(options["collection"], "collection.json").read_text())
        return {"sha256": collection["levels"]["medium"]["sha256"]}
    return {"sha256": sha256(settings["file"])} if os.path.isfile(settings.get("file", "")) else {}


def env_id_of(path: str) -> str | None:
    """Return the environment that an input was made in, as its metadata say."""
    metadata = Path(path).with_suffix(".json")
    found = json.loads(metadata.read_text()) if metadata.is_file() and path.startswith("results") else {}
    return found.get("env_id")


def main() -> None:
    stage, *arguments = sys.argv[1:]
    options = {name[2:]: value for name, value in itertools.pairwise(arguments) if name.startswith("--")}
    settings = json.loads(options.pop("settings", "{}"))
    out, log = Path(options.pop("out")), options.pop("log")
    if stage == "collect":
        out = out / "collection.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    read = inputs([value for value in arguments if value not in (log, str(out))], settings)
    env_id = settings.get("env_id") or next(filter(None, map(env_id_of, read)), None)
    about: dict[str, Any] = {
        "env_id": env_id,
        "arguments": [stage, *arguments],
        "caption": "Said *of* size",
        "notes": ["A note."],
        "counts": [{"": "DBC", "seeds": "3"}],
        "findings": ["A finding."],
        "note": "By a test.",
        "versions": {"torch": stage[0] * 3},
        "inputs": read,
        "source": source(settings, options),
        "levels": {"medium": {"sha256": hashlib.sha256(options.get("seed", "").encode()).hexdigest()}},
    }
    try:
        with provenance.noted(stage, settings, options):
            if stage in ACTING:
                provenance.note_environment(env_id or "")
            for name in [out.name, *BESIDE.get(stage, ["{stem}.json"])]:
                path = out.with_name(name.format(stem=out.stem))
                data = path.with_suffix(".csv" if path.stem == "metrics" else out.suffix)
                hashed = {"sha256": sha256(data)} if path.suffix == ".json" and data.is_file() else {}
                path.write_text(json.dumps({**about, **hashed, **provenance.facts()}))
    except UserError as error:
        sys.exit(f"error: {error}")
