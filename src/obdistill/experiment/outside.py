"""The files outside the results that an experiment reads: datasets, checkpoints, statistics."""

from collections.abc import Iterator
from pathlib import Path

from obdistill.core.parsing import Problem
from obdistill.datasets.d4rl_facts import BUILT_IN
from obdistill.datasets.files import LEROBOT_INFO, data_files, expand, is_url, lerobot_files, minari_root
from obdistill.datasets.settings import (
    ArraysSettings,
    D4rlSettings,
    DatasetSettings,
    LerobotSettings,
    MinariSettings,
    OgbenchSettings,
)
from obdistill.experiment.settings import ExperimentSettings
from obdistill.near_experts.settings import ImportSettings, NearExpertSettings


def dataset_files(settings: DatasetSettings) -> list[Path]:
    """List the files that a dataset is read from, as far as they are here; none if it is collected or downloaded."""
    match settings.root:
        case D4rlSettings(file=file) if file not in BUILT_IN and "://" not in file:
            return [expand(file)]
        case ArraysSettings(file=path) | OgbenchSettings(file=path):
            return [expand(path)]
        case LerobotSettings(folder=folder):
            return lerobot_files(expand(folder))
        case MinariSettings(root=root, local_id=name):
            return data_files(root, name)
    return []


def near_expert_files(settings: NearExpertSettings) -> list[Path]:
    """List the files that a near-expert is imported from; none if it is trained, and a URL is none."""
    return list(_imported(settings).values())


def _imported(settings: NearExpertSettings) -> dict[tuple[str, ...], Path]:
    """Return the files that a near-expert is imported from by their keys."""
    match settings.root:
        case ImportSettings(checkpoint=checkpoint, statistics=statistics):
            named: dict[tuple[str, ...], str | None] = {("checkpoint",): None if is_url(checkpoint) else checkpoint}
            named[("statistics", "file")] = statistics.file if statistics else None
            return {key: expand(file) for key, file in named.items() if file is not None}
    return {}


def missing(config: ExperimentSettings) -> Iterator[Problem]:
    """Find the files that a configuration names and that are not there.

    Yields
    ------
    Problem
        One for each: the key, and the path.
    """
    for name, task in config.tasks.items():
        keys = ("tasks", name, "dataset")
        match task.dataset.root:
            case D4rlSettings() | ArraysSettings() | OgbenchSettings():
                yield from _missing((*keys, "file"), dataset_files(task.dataset))
            case LerobotSettings(folder=folder):
                yield from _missing((*keys, "folder"), [expand(folder) / LEROBOT_INFO])
            case MinariSettings(root=root, local_id=dataset, download=False) if not data_files(root, dataset):
                folder = minari_root(root)
                if folder.is_dir():
                    yield Problem((*keys, "id"), f"'{dataset}': no such dataset in {folder}, and download is false")
                else:
                    yield Problem((*keys, "root"), f"'{folder}': no such folder, and download is false")
        for place, path in _imported(task.near_expert).items() if task.near_expert else ():
            yield from _missing(("tasks", name, "near_expert", *place), [path])


def _missing(keys: tuple[str, ...], files: list[Path]) -> Iterator[Problem]:
    yield from (Problem(keys, f"'{file}': no such file") for file in files if not file.is_file())
