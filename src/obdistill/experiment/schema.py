"""``obd schema``: the JSON schema of the configuration, and the table of its keys in ``config/README.md``."""

import functools
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from obdistill.core.atomic import write_atomically
from obdistill.core.declarations import Key, keys
from obdistill.core.errors import UserError
from obdistill.experiment.settings import ExperimentSettings

SCHEMA, README = "schema.json", "README.md"
BEGIN, END = "<!-- begin: written by `obd schema` -->", "<!-- end -->"


class _WithoutTitles(GenerateJsonSchema):
    """Schemas whose parts have no titles: pydantic's only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema() -> dict[str, Any]:
    """Return the JSON schema of the configuration, for editors and other checkers."""
    full = ExperimentSettings.model_json_schema(schema_generator=_WithoutTitles)
    for part in (full, full["$defs"]["TaskSettings"]):
        del part["required"]  # a file may be one of several that are merged
    for part in [full, *full["$defs"].values()]:
        for key, field in part.get("properties", {}).items():
            part["properties"][key] = _shortened(field, full["$defs"])
    return {
        **full,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of an offline behavior distillation experiment",
    }


def _shortened(field: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Refer to settings that stand in the schema already, without their defaults; let no name be but those that fit."""
    if "patternProperties" in field:
        return {**field, "additionalProperties": False}
    if field.get("title") in known:  # changes of other settings
        return {"$ref": f"#/$defs/{field['title']}", "description": field["description"]}
    if "$ref" in field:
        return {key: value for key, value in field.items() if key != "default"}
    return field


def table() -> str:
    """Return the keys of the configuration as Markdown tables, one for each key at the top."""
    lines: list[str] = []
    section = ""
    for key in merged(list(keys(ExperimentSettings))):
        top = key.path.split(".")[0].removesuffix("[]")
        if top != section:
            section = top
            lines += ["", f"### `{top}`", "", "| key | default | allowed | meaning |", "|---|---|---|---|"]
        meaning = f"{key.meaning} ({key.condition})" if key.condition else key.meaning
        cells = [f"`{key.path}`", f"`{key.default}`" if key.default else "", key.allowed, meaning]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines).strip()


def merged(rows: list[Key]) -> Iterator[Key]:
    """Merge rows that differ in their condition only, at the place of the first; one that always holds is left out."""
    conditions: dict[tuple[str, str, str, str], list[str]] = {}
    for row in rows:
        conditions.setdefault((row.path, row.default, row.allowed, row.meaning), []).append(row.condition)
    possible = {condition for found in conditions.values() for condition in found}
    for about, found in conditions.items():
        name = found[0].partition("=")[0]
        always = len(found) == sum(condition.startswith(f"{name}=") for condition in possible)
        values = ", ".join(condition.partition("=")[2] for condition in found)
        yield Key(*about, f"{name}: {values}" if name and not always else "")


def schema_text() -> str:
    """Return the content of the schema's file."""
    return json.dumps(schema(), indent=2) + "\n"


def readme_text(text: str) -> str:
    """Return the README with the tables of keys brought up to date.

    Raises
    ------
    UserError
        If it has no place for them.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{README}: lacks the lines {BEGIN!r} and {END!r}, between which the table of keys stands")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def _write(text: str, path: Path) -> None:
    path.write_text(text)


def write_schema(folder: Path) -> list[Path]:
    """Write ``schema.json`` and the table of keys of ``README.md`` in a folder; returns their paths.

    Raises
    ------
    UserError
        If there is no README.md to write the table into, or a file cannot be written.
    """
    readme = folder / README
    if not readme.is_file():
        raise UserError(f"{readme}: no such file; the table of keys is written into it")
    texts = {readme: readme_text(readme.read_text()), folder / SCHEMA: schema_text()}
    for path, text in texts.items():
        write_atomically(path, functools.partial(_write, text))
    return list(texts)
