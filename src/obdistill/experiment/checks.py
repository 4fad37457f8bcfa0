"""What each part of a configuration allows but the whole does not: one small check for each kind of misfit."""

import fnmatch
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from obdistill.core.methods import DEFAULT, METHODS
from obdistill.core.parsing import Keys, Problem
from obdistill.datasets.settings import (
    ArraysSettings,
    CollectedSettings,
    D4rlSettings,
    LerobotSettings,
    MinariSettings,
    OgbenchSettings,
)
from obdistill.experiment.settings import STANDARD, ExperimentSettings, TaskPatterns, TaskSettings
from obdistill.near_experts.settings import ImportSettings

AVERAGE = "average"  # the column over the tasks of a row
RESERVED_PROTOCOLS = {STANDARD, "whole_data", "near_expert"}  # of the returns, and none of `protocols`
BRACES = "{}"  # Snakemake would take what stands in them for a wildcard


def misfits(config: ExperimentSettings, unsound: Collection[str] = ()) -> Iterator[Problem]:
    """Find what does not fit together.

    Parameters
    ----------
    config : ExperimentSettings
        The configuration.
    unsound : collection of str
        Keys of the configuration whose values were refused already: what depends on one of them is not looked at.

    Yields
    ------
    Problem
        One for each misfit.
    """
    for check, reads in CHECKS.items():
        if not set(reads) & set(unsound):
            yield from (problem for problem in check(config) if problem.keys[0] not in unsound)


def _names(config: ExperimentSettings) -> Iterator[Problem]:
    if AVERAGE in config.tasks:
        yield Problem(("tasks", AVERAGE), "is the name of the column over all tasks; choose another name")
    if DEFAULT in config.variants:
        yield Problem(("variants", DEFAULT), "is the name of `distill` itself; choose another name")
    for name in sorted(RESERVED_PROTOCOLS & config.protocols.keys()):
        text = "is the project's own name for something else; choose another name"
        yield Problem(("protocols", name), text)


def _once(keys: Keys, values: Iterable[object]) -> Iterator[Problem]:
    values = list(values)
    for value in dict.fromkeys(value for value in values if values.count(value) > 1):
        yield Problem(keys, f"{value!r} is listed twice; list each value once")


def _repeats(config: ExperimentSettings) -> Iterator[Problem]:
    for name in ("methods", "sizes", "seeds", "random_seeds"):
        yield from _once((name,), getattr(config, name) or ())
    for name in ("tables", "figures"):
        yield from _once(("report", name), getattr(config.report, name) or ())
    for name, protocol in config.protocols.items():
        yield from _once(("protocols", name, "methods"), protocol.methods)
    for name, variant in config.variants.items():
        yield from _once(("variants", name, "methods"), variant.methods)
    if config.size_study is not None:
        yield from _once(("size_study", "sizes"), config.size_study.sizes)
        yield from _once(("size_study", "methods"), config.size_study.methods)


def _variants(config: ExperimentSettings) -> Iterator[Problem]:
    for name, variant in config.variants.items():
        if not variant.distill and not variant.evaluate:
            yield Problem(("variants", name), "changes nothing; write the keys of distill or evaluate that differ")
        for method in dict.fromkeys(variant.methods):
            if method not in config.methods:
                text = f"{method!r}: not in methods; allowed: {', '.join(config.methods)}"
                yield Problem(("variants", name, "methods"), text)


def _collections(config: ExperimentSettings) -> Iterator[Problem]:
    for name, task in config.tasks.items():
        match task.dataset.root:
            case CollectedSettings(collection=collection, level=level):
                keys = ("tasks", name, "dataset")
                if collection not in config.collections:
                    names = ", ".join(config.collections) or "none, `collections` is empty"
                    yield Problem((*keys, "collection"), f"{collection!r}: no such collection; allowed: {names}")
                elif level not in (levels := config.collections[collection].levels):
                    text = f"{level!r}: {collection} does not make it; allowed: {', '.join(levels)}"
                    yield Problem((*keys, "level"), text)


def _near_experts(config: ExperimentSettings) -> Iterator[Problem]:
    needy = next((method for method in config.methods if METHODS[method].needs_near_expert), None)
    for name, task in config.tasks.items():
        if needy and task.near_expert is None:
            text = f"missing; method {needy} needs one (or take it out of methods)"
            yield Problem(("tasks", name, "near_expert"), text)


def _files(config: ExperimentSettings) -> Iterator[Problem]:
    for name, task in config.tasks.items():
        for keys, path in _paths(task):
            if set(BRACES) & set(path):
                yield Problem(("tasks", name, *keys), f"{path!r}: holds a brace; rename the file or folder")


def _paths(task: TaskSettings) -> Iterator[tuple[Keys, str]]:
    """List the paths that become inputs of jobs, each with its key in the task."""
    match task.dataset.root:
        case MinariSettings(root=Path() as root):
            yield ("dataset", "root"), str(root)
        case D4rlSettings(file=file) | ArraysSettings(file=file) | OgbenchSettings(file=file):
            yield ("dataset", "file"), str(file)
        case LerobotSettings(folder=folder):
            yield ("dataset", "folder"), str(folder)
    match task.near_expert and task.near_expert.root:
        case ImportSettings(checkpoint=checkpoint, statistics=statistics):
            yield ("near_expert", "checkpoint"), checkpoint
            if statistics is not None:
                yield ("near_expert", "statistics", "file"), statistics.file


def _sizes(config: ExperimentSettings) -> Iterator[Problem]:
    sizes = ", ".join(map(str, config.sizes))
    for name in ("table", "figure"):
        size = getattr(config.report, name).size
        if size is None and len(config.sizes) > 1:
            yield Problem(("report", name, "size"), f"null: there are several sizes; allowed: {sizes}")
        if size is not None and size not in config.sizes:
            yield Problem(("report", name, "size"), f"{size}: not in sizes; allowed: {sizes}")


def _drawn_method(config: ExperimentSettings) -> Iterator[Problem]:
    method = config.report.figure.method
    if method is not None and method not in config.methods:
        text = f"{method!r}: not in methods; allowed: {', '.join(config.methods)}"
        yield Problem(("report", "figure", "method"), text)


def _pairs(config: ExperimentSettings) -> Iterator[Problem]:
    rows = [f"{method}/{name}" for name, variant in config.variants.items() for method in variant.methods]
    allowed = [*config.methods, *rows]
    for index, pair in enumerate(config.report.table.pairs or ()):
        for name in pair:
            if name not in allowed:
                text = f"{name!r}: no such row; allowed: {', '.join(allowed)}"
                yield Problem(("report", "table", "pairs", index), text)
        if pair[0] == pair[1]:
            yield Problem(("report", "table", "pairs", index), f"{pair[0]!r}: stands on both sides; name another row")


def _whole_data(config: ExperimentSettings) -> Iterator[Problem]:
    if config.whole_data is not None:
        return
    if config.cost_repeats is not None:
        text = f"{config.cost_repeats}: there is nothing to compare with; whole_data is null"
        yield Problem(("cost_repeats",), text)
    for index, override in enumerate(config.overrides):
        if override.whole_data:
            yield Problem(("overrides", index, "whole_data"), "has no effect; whole_data itself is null")


def _error_curve(config: ExperimentSettings) -> Iterator[Problem]:
    if config.error_curve is not None and all(task.near_expert is None for task in config.tasks.values()):
        yield Problem(("error_curve",), "there is nothing to imitate; no task has a near_expert")


def _patterns(config: ExperimentSettings) -> Iterator[Problem]:
    choices: dict[Keys, TaskPatterns] = {("overrides", i): override for i, override in enumerate(config.overrides)}
    if config.size_study is not None:
        choices[("size_study",)] = config.size_study
    for keys, choice in choices.items():
        for pattern in choice.patterns():
            if not fnmatch.filter(config.tasks, pattern):
                text = f"{pattern!r} matches no task; allowed: patterns of {', '.join(config.tasks)}"
                yield Problem((*keys, "tasks"), text)


# check -> the keys of the configuration that it compares, beside the one that a problem is about
CHECKS: dict[Callable[[ExperimentSettings], Iterator[Problem]], tuple[str, ...]] = {
    _names: (),
    _repeats: (),
    _variants: ("methods", "variants"),
    _collections: ("tasks", "collections"),
    _near_experts: ("tasks", "methods"),
    _files: (),
    _sizes: ("sizes", "report"),
    _drawn_method: ("methods", "report"),
    _pairs: ("methods", "variants", "report"),
    _whole_data: ("whole_data",),
    _error_curve: ("tasks",),
    _patterns: ("tasks",),
}
