"""The card of an exported synset: one page for people, and Croissant metadata for programs."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from obdistill.core.artifacts import sha256
from obdistill.core.methods import METHODS
from obdistill.core.units import STD_FLOOR
from obdistill.evaluations.train import own_settings
from obdistill.exports.facts import Facts, Score
from obdistill.paper import names
from obdistill.policies.random_features import BIAS_INPUT, LARGEST_SUM
from obdistill.policies.settings import BcSettings

PROJECT = "https://arxiv.org/abs/2410.22728"
FORMATS = {".npz": "application/zip", ".parquet": "application/x-parquet", ".json": "application/json"}
SPDX = "https://spdx.org/licenses/{}.html"
# of Croissant 1.0, in full: readers compare it with theirs
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet"),
            *("format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet"),
            *("references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField"),
            "transform",
        )
    },
}


def title(facts: Facts) -> str:
    """Return the name of the export: ``halfcheetah_medium_av_pbc_256``."""
    synset = facts.synset
    return f"{synset.task.name}_{synset.method}_{synset.size}"


def summary(facts: Facts) -> str:
    """Say in one sentence what it is."""
    synset = facts.synset
    made = "distilled" if METHODS[synset.method].distilled else "selected"
    where = f" for {synset.task.env_id}" if synset.task.env_id else ""
    return (
        f"{synset.size} (state, action) pairs{where}, {made} by {METHODS[synset.method].label} from the dataset "
        f"{synset.task.name}, to train a policy on by behavior cloning."
    )


def card(facts: Facts, reads: str, files: Mapping[str, str]) -> str:
    """Write the page.

    Parameters
    ----------
    facts : Facts
        What is known.
    reads : str
        Python expression that reads the synset.
    files : mapping
        What each file beside the card is.
    """
    license_name = f"license: {facts.license.name.lower()}\n" if facts.license else ""
    parts = [
        f"---\npretty_name: {title(facts)}\n{license_name}tags: [offline-rl, behavior-distillation]\n---",
        f"# {title(facts)}",
        summary(facts),
        "## Where it comes from",
        _table(_origin(facts)),
        "## Scores",
        _scores(facts.scores),
        "## Train on it",
        f"```python\n{snippet(facts, reads)}```",
        _units(facts),
        "## Files",
        _table(files),
        "## License and attribution",
        _license(facts),
    ]
    return "\n\n".join(parts) + "\n"


def snippet(facts: Facts, reads: str) -> str:
    """Return Python that trains a policy on the synset and, if there is an environment, evaluates it."""
    keys = "".join(f", {key}={value!r}" for key, value in differing(facts.training, own_settings(facts.synset)).items())
    lines = ["import obdistill", "", f"synset = {reads}", f"policy = obdistill.train(synset{keys})"]
    if facts.synset.task.env_id:
        lines.append("returns = obdistill.evaluate(policy, episodes=10)")
        scored = facts.synset.task.reference_returns is not None
        lines.append(f"print({'synset.task.score(returns)' if scored else 'returns'}.mean())")
    return "\n".join(lines) + "\n"


def differing(training: BcSettings, own: BcSettings) -> dict[str, Any]:
    """Return the settings of a training that are not those that the synset was made for."""
    defaults = own.model_dump()
    return {key: value for key, value in training.model_dump().items() if value != defaults[key]}


def _origin(facts: Facts) -> dict[str, str]:
    synset, source = facts.synset, dict(facts.source)
    rows = {"task": synset.task.name, "environment": synset.task.env_id or "none"}
    if synset.task.reference_returns is not None:
        low, high = synset.task.reference_returns
        rows["returns that score 0 and 100"] = f"{low:g} and {high:g}"
    counts = [f"{source.pop(key):,} {key}" for key in ("transitions", "episodes") if key in source]
    noted = [f"{key} `{value}`" for key, value in source.items()]
    rows["dataset"] = ", ".join([*counts, *noted]) or "not stated"
    if facts.near_expert:
        settings = facts.near_expert.get("settings", {})
        rows["near-expert"] = f"{facts.near_expert['algorithm']}, settings {_plain(settings)}"
    rows["method"] = f"{METHODS[synset.method].label} (`{synset.method}`, variant `{synset.variant}`)"
    rows["seed, outer steps"] = f"{synset.seed}, {int(synset.steps[-1]):,}"
    if facts.distillation:
        rows["distillation"] = f"settings {_plain(facts.distillation)}"
    rows["made with"] = f"obdistill {importlib.metadata.version('obdistill')}, after {PROJECT}"
    return rows


def _plain(settings: Mapping[str, Any]) -> str:
    """Write nested settings as ``key=value``; paths are nobody else's."""
    flat = []
    for key, value in settings.items():
        inside = value.items() if isinstance(value, Mapping) else [("", value)]
        flat += [f"{key}.{name}={leaf}".replace(".=", "=") for name, leaf in inside if "/" not in str(leaf)]
    return f"`{', '.join(flat)}`"


def _scores(scores: Sequence[Score]) -> str:
    if not scores:
        return "Not evaluated."
    rows = [f"| {score.about} | {_interval(score)} | {score.interval.n} {score.unit} |" for score in scores]
    head = "| of | mean score [95 % Student-t interval] | over |\n|---|---:|---|"
    note = (
        "Score: 0 is a random policy, 100 an expert. A synset that was chosen by its score has a mean that is too high"
    )
    return "\n".join([head, *rows]) + f"\n\n{note} by chance; the mean over all seeds is not chosen."


def _interval(score: Score) -> str:
    mean, low, high, _ = score.interval
    return f"{names.number(mean, 1)} {names.interval(low, high, 1)}".strip()


def _units(facts: Facts) -> str:
    normalizer, training = facts.synset.normalizer, facts.training
    rows = {name: f"`{array.tolist()}`" for name, array in normalizer.arrays().items()}
    text = (
        "States and actions are in the environment's units; actions may lie outside the bounds, being targets of a "
        f"regression. A policy takes (state − `state_mean`) / (`state_std` + {STD_FLOOR:g}) and gives actions in "
        f"[−1, 1], −1 for `action_low` and 1 for `action_high`. {_initialization(training)} The training here: "
        f"{_plain(training.model_dump())}."
    )
    return f"{text}\n\n{_table(rows)}"


def _initialization(training: BcSettings) -> str:
    if training.optimizer != "ridge":
        return "Initial weights matter: orthogonal with gain √2, biases zero."
    return (
        f"The hidden layer stays as it is drawn: a unit's weights and its bias / {BIAS_INPUT:g} are a random direction "
        f"of length √2. The last layer, without biases, is a ridge regression to arctanh(action), {LARGEST_SUM:g} in "
        "size at most; the penalty is `ridge` times the mean over the pairs of the sum of squares of the hidden units."
    )


def _license(facts: Facts) -> str:
    if facts.license is None:
        return "Not stated. Pairs that are distilled from data are made from them: the terms of the dataset apply."
    words = [f"{facts.license.name} ({SPDX.format(facts.license.name)}), the license of the dataset."]
    if facts.license.attribution:
        words.append(facts.license.attribution)
    words.append(f"Method: Lei, Zhang, Tao, Offline Behavior Distillation, NeurIPS 2024, {PROJECT}.")
    return " ".join(words)


def _table(rows: Mapping[str, str]) -> str:
    cells = [f"| {name} | {text.replace('|', '/')} |" for name, text in rows.items()]
    return "\n".join(["| | |", "|---|---|", *cells])


def croissant(facts: Facts, folder: Path, files: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata in the format Croissant 1.0.

    Parameters
    ----------
    facts : Facts
        What is known.
    folder : Path
        Where the files are: they are hashed.
    files : mapping
        What each file is.
    """
    distribution = [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "description": text,
            "contentUrl": name,
            "encodingFormat": FORMATS.get(Path(name).suffix, "application/octet-stream"),
            "sha256": sha256(folder / name),
        }
        for name, text in files.items()
    ]
    found: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": title(facts),
        "description": summary(facts),
        "url": PROJECT,
        "version": "1.0.0",
        "citeAs": f"Lei, Zhang, Tao. Offline Behavior Distillation. NeurIPS 2024. {PROJECT}",
        "distribution": distribution,
    }
    if facts.license is not None:
        found["license"] = SPDX.format(facts.license.name)
        found["creditText"] = facts.license.attribution
    tables = [name for name in files if name.endswith(".parquet")]
    found["recordSet"] = [_record_set(name) for name in tables]
    return found


def _record_set(name: str) -> dict[str, Any]:
    columns = {"observation": "State, in the environment's units.", "action": "Action, in the environment's units."}
    return {
        "@type": "cr:RecordSet",
        "@id": "pairs",
        "name": "pairs",
        "description": "One row per pair.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"pairs/{column}",
                "name": column,
                "description": text,
                "dataType": "sc:Float",
                "repeated": True,
                "source": {"fileObject": {"@id": name}, "extract": {"column": column}},
            }
            for column, text in columns.items()
        ],
    }
