"""Parts of pages that are written from the sources while the site is built, so that they cannot be out of date.

A page holds a line ``<!-- NAME -->`` or ``<!-- NAME: argument -->`` where such a part goes; see `PARTS`.
"""

import csv
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/obdistill"
NOT_A_LIBRARY = {"__init__", "command", "cli"}  # modules without functions to call
# commands with settings -> their place in the configuration reference
SETTINGS = {
    "collect": "collections",
    "dataset": "tasks",
    "near-expert": "tasks",
    "evaluate-near-expert": "near_expert_evaluation",
    "distill": "distill",
    "evaluate": "evaluate",
    "train": "evaluate",
    "cost": "evaluate",
    "error-curve": "error_curve",
    "table": "report",
    "figure-data": "report",
    "figure": "report",
}


def configuration(argument: str = "") -> str:
    """Return config/README.md without its title, the tables of keys as the settings classes are now."""
    from obdistill.experiment.schema import readme_text

    text = readme_text((ROOT / "config/README.md").read_text()).partition("\n")[2]
    return re.sub(r"<!--.*?-->\n", "", text).replace("`../", "`")


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
        return f"| `{parameter.human_readable_name}` | path | {'required' if parameter.required else ''} | see above |"
    if parameter.is_eager:  # --help
        return ""
    metavar = parameter.make_metavar(context).strip("[]").replace("|", ", ").replace(" RANGE", "")
    fixed = parameter.show_default and isinstance(parameter.default, str | int | float)
    default = "required" if parameter.required else f"`{parameter.default}`" if fixed else ""
    bounds = ""
    if isinstance(parameter.type, click.IntRange | click.FloatRange) and parameter.type.min is not None:
        bounds = f" ≥ {parameter.type.min}"
    return f"| `{parameter.opts[0]}` | {_cell(metavar.lower())}{bounds} | {default} | {_cell(parameter.help or '')} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def modules(package: str) -> str:
    """Return the reference of a package: every module whose functions may be called from Python."""
    files = sorted((PACKAGE / package).rglob("*.py"))
    names = [".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files]
    public = [name for name in names if not NOT_A_LIBRARY & {name.rpartition(".")[2]}]
    return "\n\n".join(f"::: {name}" for name in public)


def file(argument: str) -> str:
    """Return the text of a file in docs/."""
    return (ROOT / "docs" / argument).read_text()


def counts(protected: str) -> str:
    """Return the table of what `make torture` counted: the rows that have this word under ``protected``, and sums."""
    with (ROOT / "docs/results/reliability/counts.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["protected"] == protected]
    names = ("tries", "told", "same", "wrong", "lost")
    lines = ["| attack | on | " + " | ".join(names) + " |", "|---|---|" + "---:|" * len(names)]
    for attack in dict.fromkeys(row["attack"] for row in rows):
        of_attack = [row for row in rows if row["attack"] == attack]
        lines += [
            f"| {attack} | {row['kind']} | " + " | ".join(row[name] for name in names) + " |" for row in of_attack
        ]
        sums = [f"**{sum(int(row[name]) for row in of_attack)}**" for name in names]
        lines.append(f"| **{attack}** | **all** | " + " | ".join(sums) + " |")
    return "\n".join(lines)


PARTS: dict[str, Callable[[str], str]] = {
    "configuration": configuration,
    "commands": commands,
    "modules": modules,
    "file": file,
    "counts": counts,
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
