"""Import: a checkpoint of CORL becomes a near-expert, without running anything that it may hold.

The file is what CORL (https://github.com/corl-team/CORL) saves for CQL, Cal-QL, TD3+BC or IQL (``.pt``: state dicts
such as ``actor``, ``critic1``, ``critic2`` among other things), or the same weights as plain arrays (``.npz``,
``.safetensors``: ``actor.base_network.0.weight``, ..., ``critic2.network.4.bias``). Either may hold ``state_mean`` and
``state_std``.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from obdistill.core import artifacts
from obdistill.core.artifacts import Arrays
from obdistill.core.errors import UserError
from obdistill.core.units import Normalizer
from obdistill.datasets import download, remembered
from obdistill.datasets.checks import Unpacking
from obdistill.datasets.files import default_cache, expand, is_url, refuse_pointer
from obdistill.datasets.transitions import Dataset
from obdistill.near_experts import torch_files
from obdistill.near_experts.near_expert import NearExpert, assemble
from obdistill.near_experts.networks import from_layers, linear_layers
from obdistill.near_experts.settings import ImportSettings


@dataclass(frozen=True)
class Layout:
    """Names that an algorithm of CORL gives to its networks; the policy's mean action is tanh of the actor's."""

    algorithm: str
    actor: str
    critics: tuple[str, str]


LAYOUTS = (
    Layout("CQL, Cal-QL", "actor.base_network", ("critic1.network", "critic2.network")),
    Layout("CQL of 2022", "actor.base_network.network", ("critic1.network.network", "critic2.network.network")),
    Layout("TD3+BC", "actor.net", ("critic_1.net", "critic_2.net")),
    Layout("IQL", "actor.net.net", ("qf.q1.net", "qf.q2.net")),
)
PARTS = {name.split(".")[0] for layout in LAYOUTS for name in (layout.actor, *layout.critics)}
CONTAINERS = ("state_dict", "model_state_dict", "model", "agent")  # what some put around the state dicts
STATISTICS = ("state_mean", "state_std")
log = logging.getLogger(__name__)


def input_files(settings: ImportSettings) -> dict[str, Path]:
    """Return the files that an import reads, by role; ``~`` is the home folder, and a URL is downloaded first.

    Raises
    ------
    UserError
        If a URL cannot be had, or the checkpoint has another checksum than the setting.
    """
    if is_url(settings.checkpoint):
        checkpoint = download.fetch(settings.checkpoint, default_cache(), refuse_pointer, settings.sha256)
    else:
        checkpoint = expand(settings.checkpoint)
        _check_sha256(checkpoint, settings.sha256)
    if settings.statistics is None:
        return {"checkpoint": checkpoint}
    statistics = expand(settings.statistics.file)
    _check_sha256(statistics, None)
    return {"checkpoint": checkpoint, "statistics": statistics}


def _check_sha256(path: Path, wanted: str | None) -> None:
    """Demand the checksum of the settings, else that of the last reading."""
    if not path.is_file():
        return  # whoever reads it will tell
    found = artifacts.sha256(path)
    if wanted is None:
        remembered.check([path], found)
    elif found != wanted:
        raise UserError(f"{path}: has the sha256 {found}; the setting sha256 is {wanted}")


def import_near_expert(dataset: Dataset, settings: ImportSettings) -> tuple[NearExpert, str]:
    """Read a CORL checkpoint.

    Parameters
    ----------
    dataset : Dataset
        Gives the task, the action bounds and, where no others are known, the state statistics.
    settings : ImportSettings
        Paths, of which relative ones start at the working directory; or a URL.

    Returns
    -------
    near_expert : NearExpert
        The policy and both critics.
    statistics : str
        Where the state statistics are from: a file's name, or ``dataset``.

    Raises
    ------
    UserError
        If a file is missing, cannot be downloaded, is damaged, would run code, or does not fit the dataset.
    """
    files = input_files(settings)
    path = files["checkpoint"]
    weights = read_weights(path)
    bounds = dataset.normalizer
    if not ((bounds.action_low == -1).all() and (bounds.action_high == 1).all()):
        raise UserError(f"{path}: CORL's actions lie in [-1, 1]; those of {dataset.task.env_id} have other bounds")
    layout = _layout(weights, path)
    mean, std, source = _statistics(settings, weights, dataset, files)
    actor, *critics = [
        from_layers(_layers(weights, prefix, path), f"{path}: {name}")
        for name, prefix in zip(("actor", "critic 0", "critic 1"), (layout.actor, *layout.critics), strict=True)
    ]
    normalizer = Normalizer(mean, std, bounds.action_low, bounds.action_high)
    near_expert = assemble(dataset.task, normalizer, actor, critics, path)
    _fold_log_std(near_expert, weights, path)
    log.info("%s: weights of %s, state statistics of %s", path, layout.algorithm, source)
    return near_expert, source


def read_weights(path: Path) -> Arrays:
    """Read the arrays of a checkpoint by dotted name: those of the networks, and state statistics.

    Raises
    ------
    UserError
        If the file is missing or damaged, holds anything but tensors and plain values, or none of the networks.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; a checkpoint (.pt, .npz or .safetensors) is needed")
    refuse_pointer(path)
    is_plain = path.suffix in (".npz", ".safetensors")
    content = artifacts.load_arrays(path) if is_plain else torch_files.load(path)
    unpacking = Unpacking(str(path), path.stat().st_size)
    arrays: Arrays = {}
    for full_name, value in torch_files.named_values(content, path):
        container, _, rest = full_name.partition(".")
        name = rest if container in CONTAINERS else full_name
        # state dicts may hold other things than arrays, such as flags
        of_network = name.split(".")[0] in PARTS and isinstance(value, torch.Tensor | np.ndarray)
        if of_network or name in STATISTICS:
            if name in arrays:
                raise UserError(f"{path}: holds {name} twice")
            arrays[name] = torch_files.as_array(value, f"{path}: {name}", unpacking)
    if not any(name not in STATISTICS for name in arrays):
        raise UserError(f"{path}: {_not_known(content if isinstance(content, dict) else {})}")
    return arrays


def _layout(weights: Arrays, path: Path) -> Layout:
    """Find out which algorithm's networks these are, by the actor's names."""
    for layout in LAYOUTS:
        if any(re.match(rf"{re.escape(layout.actor)}\.\d", name) for name in weights):
            return layout
    raise UserError(f"{path}: {_not_known(weights)}")


def _not_known(names: dict[Any, Any]) -> str:
    algorithms = ", ".join(layout.algorithm for layout in LAYOUTS)
    found = ", ".join(map(str, names)) or "nothing"
    actors = ", ".join(f"{layout.actor}.0.weight" for layout in LAYOUTS)
    return f"holds no actor of CORL's {algorithms} (such as {actors}); it has: {found:.200}"


def _layers(weights: Arrays, prefix: str, path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Take a network's linear layers: every second of its modules, or every third if it was trained with dropout."""
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.(weight|bias)")
    numbers = sorted({int(match[1]) for match in map(pattern.fullmatch, weights) if match})
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 2
    for key in (f"{prefix}.{number}.{part}" for number in numbers or [0] for part in ("weight", "bias")):
        if key not in weights:
            raise UserError(f"{path}: lacks {key!r}; it has: {', '.join(weights)!s:.200}")
    if step not in (2, 3) or numbers != list(range(0, step * len(numbers), step)):
        raise UserError(
            f"{path}: the linear layers of {prefix} are its modules {', '.join(map(str, numbers))!s:.80}; 0, 2, 4, ... "
            "with a ReLU after each are needed (or 0, 3, 6, ... with dropout)"
        )
    return [(weights[f"{prefix}.{number}.weight"], weights[f"{prefix}.{number}.bias"]) for number in numbers]


def _fold_log_std(near_expert: NearExpert, weights: Arrays, path: Path) -> None:
    """Put CORL's trained scale and offset of the log standard deviation into the actor's last layer."""
    last, rows = linear_layers(near_expert.actor)[-1], slice(near_expert.action_dim, None)
    numbers = {}
    for part in ("multiplier", "offset"):
        key = f"actor.log_std_{part}.constant"
        value = weights.get(key, np.float32(part == "multiplier"))
        if value.size != 1 or not np.isfinite(value).all():
            raise UserError(f"{path}: {key} has the shape {value.shape}; one finite number is needed")
        numbers[part] = value.item()
    with torch.no_grad():
        last.weight[rows] *= numbers["multiplier"]
        last.bias[rows] *= numbers["multiplier"]
        last.bias[rows] += numbers["offset"]


def _statistics(
    settings: ImportSettings, weights: Arrays, dataset: Dataset, files: dict[str, Path]
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return state mean, standard deviation and their source: the first place that has them."""
    given = settings.statistics
    if given is None:
        source, found = str(files["checkpoint"]), {name: weights[name] for name in STATISTICS if name in weights}
        if not found:
            return dataset.normalizer.state_mean, dataset.normalizer.state_std, "dataset"
    else:
        path = files["statistics"]
        content: Any = artifacts.load_arrays(path) if path.suffix == ".npz" else artifacts.read_json(path)
        if given.key is not None:
            if given.key not in content or not isinstance(content[given.key], dict):
                raise UserError(f"{path}: has no entry {given.key!r}; it has {', '.join(sorted(content))[:200]}")
            content = content[given.key]
        source, found = given.file, {name: content[name] for name in STATISTICS if name in content}
    state_dim = dataset.transitions.observations.shape[1]
    arrays = []
    for name in STATISTICS:
        try:
            array = np.asarray(found[name], np.float32)
        except KeyError:
            raise UserError(f"{source}: lacks {name!r}") from None
        except (TypeError, ValueError):
            raise UserError(f"{source}: {name} is no list of numbers") from None
        if array.shape != (state_dim,) or not np.isfinite(array).all():
            raise UserError(f"{source}: {name} has the shape {array.shape}; {state_dim} finite numbers are needed")
        if name == "state_std" and (array < 0).any():
            raise UserError(f"{source}: {name} has a negative number; standard deviations are needed")
        arrays.append(array)
    return arrays[0], arrays[1], Path(source).name
