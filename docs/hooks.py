"""Parts of pages that are written from the sources while the site is built, so that they cannot be out of date.

A page holds a line ``<!-- NAME -->`` or ``<!-- NAME: argument -->`` where such a part goes; see `PARTS`.
"""

import json
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

PACKAGE = Path(__file__).resolve().parents[1] / "src/obdistill"
NOT_A_LIBRARY = {"__init__", "command", "cli"}  # modules without functions to call
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
TYPES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "object": "mapping"}
# commands with settings -> their place in the configuration reference
SETTINGS = {
    "collect": "collections",
    "dataset": "tasks",
    "near-expert": "tasks",
    "evaluate-near-expert": "near_expert_evaluation",
    "distill": "distill",
    "evaluate": "evaluate",
    "cost": "evaluate",
    "table": "report",
    "figure": "report",
    "summary": "report",
}
Schema = dict[str, Any]


def configuration(argument: str = "") -> str:
    """Return the reference of all keys: a section for each key of the first level, a table row for each below it."""
    from obdistill.experiment.config import Config

    whole = Config.model_json_schema()
    return "\n\n".join(_section(name, part, whole) for name, part in whole["properties"].items())


def _section(name: str, schema: Schema, whole: Schema) -> str:
    head = f"## {name}\n\n{_sentence(schema.get('description', ''))}\n\n{_facts(schema, whole)}"
    tables = [
        f"{title}\n\n| key | value | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows)
        for title, rows in _tables(name, schema, whole)
        if rows
    ]
    return "\n\n".join([head, *tables])


def _facts(schema: Schema, whole: Schema) -> str:
    default = f"default {_default(schema)}" if "default" in schema else "required"
    return f"*{_allowed(schema, whole)}; {default}.*".replace("default required", "required")


def _tables(path: str, schema: Schema, whole: Schema) -> Iterator[tuple[str, list[str]]]:
    """Yield a title and rows for the keys of a settings class, and of every alternative that a key chooses from."""
    choices: list[tuple[str, Schema]] = []
    yield "", list(_rows(path, schema, whole, choices))
    for title, choice in choices:
        yield (
            f"### {title} {{ #{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')} }}",
            list(_rows("", choice, whole, [])),
        )


def _rows(path: str, schema: Schema, whole: Schema, choices: list[tuple[str, Schema]]) -> Iterator[str]:
    resolved, suffix = _inner(schema, whole)
    if "oneOf" in resolved:
        choices += list(_choices(path, resolved, whole))
        return
    for name, part in resolved.get("properties", {}).items():
        key = f"{path}{suffix}.{name}".lstrip(".")
        inner = _inner(part, whole)[0]
        if "oneOf" in inner:
            choices += list(_choices(key, inner, whole))
        if "properties" in inner:
            yield from _rows(key, part, whole, choices)
        else:
            default = _default(part) if "default" in part else "required"
            meaning = _cell(_sentence(part.get("description", ""))).replace("*", "\\*")
            yield f"| `{key}` | {_cell(_allowed(part, whole))} | {_cell(default)} | {meaning} |"


def _choices(path: str, schema: Schema, whole: Schema) -> Iterator[tuple[str, Schema]]:
    tag = schema["discriminator"]["propertyName"]
    for value, reference in schema["discriminator"]["mapping"].items():
        yield f"{path} with {tag}: {value}", {"$ref": reference}


def _inner(schema: Schema, whole: Schema) -> tuple[Schema, str]:
    """Follow references, "or null", mappings and lists to the settings class inside; and say how a path goes on."""
    suffix = ""
    while True:
        if "$ref" in schema:
            schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        elif "anyOf" in schema and len(rest := [part for part in schema["anyOf"] if part.get("type") != "null"]) == 1:
            schema = rest[0]
        elif _values(schema) is not None:
            schema, suffix = _values(schema) or {}, suffix + ".NAME"
        elif "items" in schema and "$ref" in schema["items"]:
            schema, suffix = schema["items"], suffix + "[i]"
        else:
            return schema, suffix


def _values(schema: Schema) -> Schema | None:
    """Return the schema of a mapping's values; None if it is no mapping from names that the user chooses."""
    named = list(schema.get("patternProperties", {}).values()) or [schema.get("additionalProperties")]
    return named[0] if isinstance(named[0], dict) else None


def _allowed(schema: Schema, whole: Schema) -> str:
    """Say which values a key takes."""
    if "$ref" in schema:
        return _allowed(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in schema:
        return "; or ".join(_allowed(part, whole) for part in schema["anyOf"])
    if "enum" in schema:
        return f"one of {', '.join(f'`{value}`' for value in schema['enum'])}"
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "null":
        return "null"
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])} {_allowed(schema['prefixItems'][0], whole)}"
    if schema.get("type") == "array":
        return f"list: {_allowed(schema['items'], whole)}"
    if (values := _values(schema)) is not None:
        return f"mapping of names to {_allowed(values, whole)}".replace("to mapping", "to the keys below")
    kind = TYPES.get(schema.get("type", "object"), "mapping")
    return (
        f"{kind} {', '.join(f'{sign} {schema[bound]:g}' for bound, sign in BOUNDS.items() if bound in schema)}".strip()
    )


def _default(schema: Schema) -> str:
    value = schema["default"]
    if isinstance(value, dict) and value:
        return "that of each key"
    return f"`{json.dumps(value)}`"


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("." if text and not text.endswith((".", ")")) else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def commands(argument: str = "") -> str:
    """Return the reference of the command line: usage, options and arguments of every command."""
    from obdistill.cli import obd

    context = click.Context(obd, info_name="obd")
    found = {name: obd.get_command(context, name) for name in obd.list_commands(context)}
    return "\n\n".join(_command(command, context) for command in found.values() if command is not None)


def _command(command: click.Command, parent: click.Context) -> str:
    context = click.Context(command, info_name=command.name, parent=parent)
    usage = f"```sh\nobd {command.name} {' '.join(command.collect_usage_pieces(context))}\n```"
    rows = [row for parameter in command.params if (row := _option(parameter, context))]
    table = "\n".join(["| option | value | default | meaning |", "|---|---|---|---|", *rows])
    parts = [f"## obd {command.name}", command.help or "", usage, table]
    if any(parameter.name == "settings" for parameter in command.params):
        section = SETTINGS[str(command.name)]
        parts.append(f"`--settings` and `--set` take the keys of [{section}](configuration.md#{section}).")
    return "\n\n".join(parts)


def _option(parameter: click.Parameter, context: click.Context) -> str:
    if not isinstance(parameter, click.Option):
        return (
            f"| `{parameter.human_readable_name}` | files | {'required' if parameter.required else ''} | what to read |"
        )
    if parameter.is_eager:  # --help
        return ""
    metavar = parameter.make_metavar(context).strip("[]").replace("|", ", ").replace(" RANGE", "")
    fixed = parameter.show_default and isinstance(parameter.default, str | int | float)
    default = "required" if parameter.required else f"`{parameter.default}`" if fixed else ""
    bounds = ""
    if isinstance(parameter.type, click.IntRange | click.FloatRange) and parameter.type.min is not None:
        bounds = f" ≥ {parameter.type.min}"
    return f"| `{parameter.opts[0]}` | {_cell(metavar.lower())}{bounds} | {default} | {_cell(parameter.help or '')} |"


def modules(package: str) -> str:
    """Return the reference of a package: every module whose functions may be called from Python."""
    files = sorted((PACKAGE / package).rglob("*.py"))
    names = [".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files]
    public = [name for name in names if not NOT_A_LIBRARY & {name.rpartition(".")[2]}]
    return "\n\n".join(f"::: {name}" for name in public)


def file(argument: str) -> str:
    """Return the text of a file in docs/."""
    return (Path(__file__).parent / argument).read_text()


PARTS: dict[str, Callable[[str], str]] = {
    "configuration": configuration,
    "commands": commands,
    "modules": modules,
    "file": file,
}


def on_page_markdown(markdown: str, page: Any, **context: object) -> str:
    """Fill in the parts, and make links that leave docs/ plain text; MkDocs calls this for every page."""
    folder = posixpath.dirname(page.file.src_uri)

    def fill(found: re.Match[str]) -> str:
        return PARTS[found[1]]((found[2] or "").strip())

    def unlink(found: re.Match[str]) -> str:
        inside = not posixpath.normpath(posixpath.join(folder, found[2])).startswith("..")
        return found[0] if inside else found[1]

    markdown = re.sub(r"\[([^\]]+)\]\((\.\./[^)]*)\)", unlink, markdown)
    return re.sub(rf"^<!-- ({'|'.join(PARTS)})(?:: ([\w/.]+))? -->$", fill, markdown, flags=re.M)
