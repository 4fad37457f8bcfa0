"""The source files that a stage's results depend on, found by following imports.

Snakemake reruns a job when one of them changes, and every result says in its ``.json`` which it was made from. They
begin at the module of the stage's function, not at its command, and leave out `MACHINERY`.
"""

import fnmatch
import functools
import hashlib
import importlib.util
import os
from pathlib import Path

import grimp

# what stages import but no result depends on, and why an edit need not rerun anything
MACHINERY = {
    "obdistill": "public names, looked up when they are used",
    "obdistill.core.artifacts": "writes and reads what it is given; old and new files hold the same numbers",
    "obdistill.core.atomic": "when a file appears, not what it holds",
    "obdistill.core.checkpoints": "a run that goes on ends with the bytes of one that was never interrupted (tested)",
    "obdistill.core.command": "options, exit status and messages of the command line",
    "obdistill.core.declarations": "describes settings in messages and --help",
    "obdistill.core.errors": "messages",
    "obdistill.core.lock": "when a run may start",
    "obdistill.core.logs": "log lines and progress meters",
    "obdistill.core.methods": "what a method needs shows in its jobs' inputs and settings; tables name this module",
    "obdistill.core.outputs": "refuses outputs that would overwrite inputs",
    "obdistill.core.parsing": "reads settings; the values that come out are the jobs' parameters",
    "obdistill.core.settings": "reads settings; the values that come out are the jobs' parameters",
    "obdistill.core.sources": "this list",
    "obdistill.core.termination": "how a signal ends a run",
    "obdistill.*.command": "options of the command line; their values are in the rule",
    "obdistill.*.settings": "names, ranges and defaults of settings; the values are the jobs' parameters",
}
# stage: what chooses among modules (a setting, or what a figure shows) -> the module that only this choice needs
CHOICES = {
    "obdistill.datasets.stage": {
        "minari": "obdistill.datasets.minari",
        "d4rl": "obdistill.datasets.d4rl",
        "collect": "obdistill.datasets.collected",
    },
    "obdistill.near_experts.stage": {
        "cal_ql": "obdistill.near_experts.cal_ql",
        "iql": "obdistill.near_experts.iql",
        "td3_bc": "obdistill.near_experts.td3_bc",
        "rebrac": "obdistill.near_experts.rebrac",
        "import": "obdistill.near_experts.corl",
    },
    "obdistill.paper.figure_data.make": {"synsets": "obdistill.paper.figure_data.poses"},
}


def closure(module: str, chosen: str | None = None) -> list[str]:
    """List the modules that decide a stage's results: it, and what it imports.

    Parameters
    ----------
    module : str
        Dotted name, e.g. ``obdistill.synsets.stage``. An import counts wherever it stands in a file, but not under
        ``TYPE_CHECKING``.
    chosen : str, optional
        The source of a dataset, the algorithm of a near-expert or what a figure reads, see `CHOICES`: the modules of
        the others are left out, unless another module imports them.

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
    unused = {other for name, other in CHOICES.get(module, {}).items() if chosen not in (None, name)}
    found: set[str] = set()
    waiting = {module}
    while waiting:
        here = waiting.pop()
        found.add(here)
        imported = {name for name in graph.find_modules_directly_imported_by(here) if not is_machinery(name)}
        waiting |= imported - found - (unused if here == module else set())
    return sorted(found)


def sources(*modules: str, chosen: str | None = None) -> list[str]:
    """List the files of some modules' closures, relative to the working directory, sorted.

    A table of the same name beside a module (``numbers.csv`` of ``numbers.py``) goes with it.
    """
    names = {name for module in modules for name in closure(module, chosen)}
    return sorted(os.path.relpath(file) for name in names for file in _files(name))


@functools.cache
def digest(*modules: str, chosen: str | None = None) -> str:
    """Return one SHA-256 of the names and contents of the files of some closures, as they are at the first call."""
    names = sorted({name for module in modules for name in closure(module, chosen)})
    lines = [f"{name} {file.suffix} {_sha256(file)}" for name in names for file in _files(name)]
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
