"""Import: a checkpoint of CORL's CQL or Cal-QL becomes a near-expert, without running anything that it may hold.

The file is what CORL saves (``.pt``: state dicts ``actor``, ``critic1``, ``critic2`` among other things), or the same
weights as plain arrays (``.npz``: ``actor.base_network.0.weight``, ..., ``critic2.network.4.bias``, and, if known,
``state_mean`` and ``state_std``). https://github.com/corl-team/CORL, ``algorithms/finetune/cal_ql.py``.
"""

import itertools
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from obdistill.core import artifacts
from obdistill.core.artifacts import Arrays
from obdistill.core.errors import UserError
from obdistill.core.units import Normalizer
from obdistill.datasets.transitions import Dataset
from obdistill.near_experts.near_expert import NearExpert, assemble
from obdistill.near_experts.networks import from_layers, linear_layers
from obdistill.near_experts.settings import ImportSettings, StatisticsSettings

PREFIXES = {"actor": "actor.base_network", "critic 0": "critic1.network", "critic 1": "critic2.network"}
STATISTICS = ("state_mean", "state_std")


class _Scalar:
    """Stands in for a module that CORL pickles whole, the log of an entropy weight; its content is not used."""


def import_near_expert(dataset: Dataset, settings: ImportSettings) -> NearExpert:
    """Read a CORL checkpoint.

    Parameters
    ----------
    dataset : Dataset
        Gives the task, the action bounds and, where no others are known, the state statistics.
    settings : ImportSettings
        Paths; relative ones start at the working directory.

    Returns
    -------
    NearExpert
        The policy and both critics.

    Raises
    ------
    UserError
        If a file is missing, damaged, would run code, or does not fit the dataset.
    """
    path = Path(settings.checkpoint)
    weights = read_weights(path)
    bounds = dataset.normalizer
    if not ((bounds.action_low == -1).all() and (bounds.action_high == 1).all()):
        raise UserError(f"{path}: CORL's actions lie in [-1, 1]; those of {dataset.task.env_id} have other bounds")
    mean, std = _statistics(settings.statistics, weights, dataset)
    actor, *critics = [from_layers(_layers(weights, name, path), f"{path}: {name}") for name in PREFIXES]
    normalizer = Normalizer(mean, std, bounds.action_low, bounds.action_high)
    near_expert = assemble(dataset.task, normalizer, actor, critics, path)
    _fold_log_std(near_expert, weights)
    return near_expert


def read_weights(path: Path) -> Arrays:
    """Read the arrays of a checkpoint by dotted name.

    Raises
    ------
    UserError
        If the file is missing or damaged, or holds anything but tensors and plain values.
    """
    if path.suffix == ".npz":
        return artifacts.load_arrays(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; a checkpoint (.pt or .npz) is needed")
    artifacts.check_unpacked_size(path)
    try:
        with torch.serialization.safe_globals([(_Scalar, "__main__.Scalar")]):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = " ".join(str(error).partition("WeightsUnpickler error:")[2].split())[:160]
        raise UserError(f"{path}: refused: holds more than tensors and plain values ({reason})") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: is no readable PyTorch checkpoint ({' '.join(str(error).split())[:160]})") from None
    arrays: Arrays = {}
    for part in ("actor", "critic1", "critic2"):
        if not isinstance(content, dict) or not isinstance(content.get(part), dict):
            raise UserError(f"{path}: lacks the state dict {part!r} of a CORL checkpoint")
        tensors = {name: tensor for name, tensor in content[part].items() if isinstance(tensor, torch.Tensor)}
        arrays |= {f"{part}.{name}": tensor.numpy() for name, tensor in tensors.items()}
    return arrays


def _layers(weights: Arrays, name: str, path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Take a network's linear layers: numbers 0, 2, 4, ..., as the ReLUs between them count."""
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for number in itertools.count(0, 2):
        keys = [f"{PREFIXES[name]}.{number}.{part}" for part in ("weight", "bias")]
        if keys[0] not in weights and found:
            break
        for key in keys:
            if key not in weights:
                raise UserError(f"{path}: lacks {key!r}; a checkpoint of CORL's CQL or Cal-QL is needed")
        found.append((weights[keys[0]], weights[keys[1]]))
    return found


def _fold_log_std(near_expert: NearExpert, weights: Arrays) -> None:
    """Put CORL's trained scale and offset of the log standard deviation into the actor's last layer."""
    last, rows = linear_layers(near_expert.actor)[-1], slice(near_expert.action_dim, None)
    with torch.no_grad():
        if (scale := weights.get("actor.log_std_multiplier.constant")) is not None:
            last.weight[rows] *= float(scale)
            last.bias[rows] *= float(scale)
        if (offset := weights.get("actor.log_std_offset.constant")) is not None:
            last.bias[rows] += float(offset)


def _statistics(
    settings: StatisticsSettings | None, weights: Arrays, dataset: Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """Return state mean and standard deviation, from the first place that has them."""
    if settings is None:
        source, found = "the checkpoint", {name: weights[name] for name in STATISTICS if name in weights}
        if not found:
            return dataset.normalizer.state_mean, dataset.normalizer.state_std
    else:
        path = Path(settings.file)
        content: Any = artifacts.load_arrays(path) if path.suffix == ".npz" else artifacts.read_json(path)
        if settings.key is not None:
            if settings.key not in content or not isinstance(content[settings.key], dict):
                raise UserError(f"{path}: has no entry {settings.key!r}; it has {', '.join(sorted(content))[:200]}")
            content = content[settings.key]
        source, found = settings.file, {name: content[name] for name in STATISTICS if name in content}
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
    return arrays[0], arrays[1]
