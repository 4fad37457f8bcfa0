"""The source files that a stage's results depend on, found by following imports.

Snakemake reruns a job when one of them changes, and every result says in its ``.json`` which it was made from. They
begin at the module of the stage's function, not at its command, and leave out `MACHINERY`.
"""

import fnmatch
import functools
import hashlib
import importlib.util
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import grimp

from obdistill.core.termination import postponed

# what stages import but no result depends on, and why an edit need not rerun anything
MACHINERY = {
    "obdistill": "public names, looked up when they are used",
    "obdistill.core.artifacts": "when and whether a file is written or read; how, is in `FORMATS`, which counts",
    "obdistill.core.atomic": "when a file appears, not what it holds",
    "obdistill.core.checkpoints": "a run that goes on ends with the bytes of one that was never interrupted (tested)",
    "obdistill.core.command": "options, exit status and messages of the command line",
    "obdistill.core.declarations": "describes settings in messages and --help",
    "obdistill.core.errors": "messages",
    "obdistill.core.lock": "when a run may start",
    "obdistill.core.logs": "log lines and progress meters",
    "obdistill.core.methods": "what a method needs shows in its jobs' inputs and settings; tables name this module",
    "obdistill.core.own_modules": "notes what a user's environment is made of",
    "obdistill.core.outputs": "refuses outputs that would overwrite inputs",
    "obdistill.core.parsing": "reads settings; the values that come out are the jobs' parameters",
    "obdistill.core.settings": "reads settings; the values that come out are the jobs' parameters",
    "obdistill.core.provenance": "notes what a result is made from",
    "obdistill.core.sources": "this list",
    "obdistill.core.termination": "how a signal ends a run",
    "obdistill.*.command": "options of the command line; their values are in the rule",
    "obdistill.*.settings": "names, ranges and defaults of settings; the values are the jobs' parameters",
}
FORMATS = "obdistill.core.formats"  # machinery imports it, but every result depends on it
# command: the modules that its results begin with
STARTS = {
    "collect": ["obdistill.datasets.collect", "obdistill.datasets.d4rl_facts"],  # its settings ask for D4RL's returns
    "dataset": ["obdistill.datasets.stage"],
    "near-expert": ["obdistill.near_experts.stage"],
    "evaluate-near-expert": ["obdistill.evaluations.near_expert"],
    "select": ["obdistill.synsets.stage"],
    "distill": ["obdistill.synsets.stage"],
    "evaluate": ["obdistill.evaluations.stage"],
    "train": ["obdistill.evaluations.train"],
    "watch": ["obdistill.videos.watch"],
    "export": ["obdistill.exports.stage"],
    "zoo": ["obdistill.exports.zoo"],
    "cost": ["obdistill.evaluations.cost"],
    "error-curve": ["obdistill.evaluations.error_curve"],
    "synset-errors": ["obdistill.evaluations.synset_errors"],
    "gather": ["obdistill.paper.gather"],
    "table": ["obdistill.paper.tables.make", "obdistill.core.methods"],
    "figure-data": ["obdistill.paper.figure_data.make", "obdistill.core.methods"],
    "figure": ["obdistill.paper.figures.make", "obdistill.core.methods"],
    "summary": ["obdistill.paper.summary", "obdistill.core.methods"],
}
# command: the setting or option that chooses among modules, and the module that only one choice needs
CHOICES = {
    "dataset": (
        "source",
        {
            "minari": "obdistill.datasets.minari",
            "d4rl": "obdistill.datasets.d4rl",
            "collect": "obdistill.datasets.collected",
            "arrays": "obdistill.datasets.arrays",
            "ogbench": "obdistill.datasets.ogbench",
            "lerobot": "obdistill.datasets.lerobot",
        },
    ),
    "near-expert": (
        "algorithm",
        {
            "cal_ql": "obdistill.near_experts.cal_ql",
            "iql": "obdistill.near_experts.iql",
            "td3_bc": "obdistill.near_experts.td3_bc",
            "rebrac": "obdistill.near_experts.rebrac",
            "import": "obdistill.near_experts.corl",
        },
    ),
    "figure-data": (
        "name",
        {
            "figure_2": "obdistill.paper.figure_data.poses",
            "error_curve": "obdistill.paper.figure_data.error_curve",
        },
    ),
}


def closure(module: str, without: Collection[str] = ()) -> list[str]:
    """List the modules that decide a stage's results: it, and what it imports.

    Parameters
    ----------
    module : str
        Dotted name, e.g. ``obdistill.synsets.stage``. An import counts wherever it stands in a file, but not under
        ``TYPE_CHECKING``.
    without : collection of str
        Modules that `module` imports but does not use in this case. They count if another module imports them.

    Returns
    -------
    list of str
        Dotted names, sorted.

    Raises
    ------
    ModuleNotFoundError
        If there is no such module.
    """
    graph = _graph(module.partition(".")[0])
    if module not in graph.modules:
        raise ModuleNotFoundError(f"no module {module}", name=module)
    found: set[str] = set()
    waiting = {module}
    while waiting:
        here = waiting.pop()
        found.add(here)
        imported = {name for name in graph.find_modules_directly_imported_by(here) if not is_machinery(name)}
        waiting |= imported - found - set(without if here == module else ())
    return sorted(found)


@functools.cache
def files(command: str, chosen: str | None = None) -> list[Path]:
    """List the files that decide what a command writes.

    A table of the same name beside a module (``numbers.csv`` of ``numbers.py``) goes with it.

    Parameters
    ----------
    command : str
        Its name, one of `STARTS`.
    chosen : str, optional
        What its settings choose, see `CHOICES`: the modules of the other choices are left out.
    """
    _, modules = CHOICES.get(command, ("", {}))
    unused = [module for name, module in modules.items() if chosen not in (None, name)]
    names = {name for start in STARTS[command] for name in closure(start, unused)} | {FORMATS}
    return sorted(file for name in names for file in _files(name))


def choice(command: str, given: Mapping[str, Any]) -> str | None:
    """Return what a command's settings and options choose among its modules, None if there is nothing to choose."""
    return given[CHOICES[command][0]] if command in CHOICES else None


@functools.cache
def digest(command: str, chosen: str | None = None) -> str:
    """Return one SHA-256 of names and contents of a command's `files`, as they are at the first call."""
    lines = [f"{os.path.relpath(file, folder())} {_sha256(file)}" for file in files(command, chosen)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def is_machinery(module: str) -> bool:
    """Tell whether results are independent of a module."""
    return any(fnmatch.fnmatchcase(module, pattern) for pattern in MACHINERY)


@functools.cache
def folder(package: str = "obdistill") -> Path:
    """Return where a package is."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"no package {package}", name=package)
    return Path(spec.submodule_search_locations[0])


@functools.cache
def _graph(package: str) -> grimp.ImportGraph:
    with postponed():
        return grimp.build_graph(package, exclude_type_checking_imports=True, cache_dir=None)


@functools.cache
def _files(module: str) -> list[Path]:
    package, *rest = module.split(".")
    base = folder(package).joinpath(*rest)
    if base.is_dir():
        return [base / "__init__.py"]
    return [file for file in (base.with_suffix(".py"), base.with_suffix(".csv")) if file.is_file()]


@functools.cache
def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
