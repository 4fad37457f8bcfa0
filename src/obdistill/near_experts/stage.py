"""The stage ``obd near-expert``: a dataset becomes a near-expert, by offline RL or by importing a checkpoint."""

import logging
from pathlib import Path
from typing import Any

import torch

from obdistill.core import artifacts, sources
from obdistill.core.checkpoints import Checkpoint
from obdistill.core.parsing import parse
from obdistill.datasets.transitions import Dataset, read_dataset
from obdistill.near_experts.cal_ql import CalQl
from obdistill.near_experts.corl import import_near_expert, input_files
from obdistill.near_experts.iql import Iql
from obdistill.near_experts.near_expert import NearExpert, write_near_expert
from obdistill.near_experts.networks import scale_output
from obdistill.near_experts.rebrac import Rebrac
from obdistill.near_experts.settings import ImportSettings, NearExpertSettings, TrainingSettings
from obdistill.near_experts.td3_bc import Td3Bc
from obdistill.near_experts.training import Learner, as_batch, scale_of_returns, train

log = logging.getLogger(__name__)

# the place to add an algorithm: its learner here, its settings in `near_experts.settings`
LEARNERS: dict[str, Any] = {"cal_ql": CalQl, "iql": Iql, "td3_bc": Td3Bc, "rebrac": Rebrac}


def make_near_expert(
    dataset_path: Path,
    settings: NearExpertSettings,
    out: Path,
    device: str = "cpu",
    checkpoint_minutes: float = 3.0,
) -> None:
    """Train or import a near-expert and write it.

    Parameters
    ----------
    dataset_path : Path
        Dataset artifact.
    settings : NearExpertSettings
        Algorithm and its settings.
    out : Path
        ``.safetensors`` file to write.
    device : str
        Torch device to train on.
    checkpoint_minutes : float
        Minutes between two checkpoints of a training.

    Raises
    ------
    UserError
        If an input is missing or does not fit, or the training diverges.
    """
    clock = artifacts.Clock()
    dataset = read_dataset(dataset_path)
    chosen = settings.root
    read = artifacts.inputs(dataset=dataset.artifact)
    checkpoint: Checkpoint | None = None
    report: dict[str, float] = {}
    transitions, statistics = 0, "dataset"
    where = {"device": device, "threads": torch.get_num_threads()}
    if isinstance(chosen, ImportSettings):
        near_expert, statistics = import_near_expert(dataset, chosen)
        read |= artifacts.inputs(**input_files(chosen))
    else:
        identity: dict[str, Any] = {
            "settings": chosen.model_dump(mode="json"),
            "inputs": read,
            "versions": artifacts.versions(),
        }
        identity["sources"] = sources.digest("near-expert", chosen=chosen.algorithm)
        checkpoint = Checkpoint(out, identity | where, checkpoint_minutes)
        near_expert, report = _train(dataset, chosen, device, checkpoint)
        transitions = len(dataset.transitions)
    write_near_expert(
        out,
        near_expert,
        {
            "algorithm": chosen.algorithm,
            "settings": chosen.model_dump(mode="json"),
            "transitions": transitions,
            "inputs": read,
            "statistics": statistics,
            **where,
            "training": {"seconds": clock.seconds(), "last_step": report},
        },
    )
    if checkpoint is not None:
        checkpoint.remove()
    log.info("%s: %s, %s s", out, chosen.algorithm, clock.seconds())


def train_near_expert(
    dataset: Dataset, algorithm: str = "td3_bc", *, device: str = "cpu", **settings: Any
) -> NearExpert:
    """Train a near-expert in memory, as ``obd near-expert`` does with files.

    Parameters
    ----------
    dataset : Dataset
        What to train on.
    algorithm : {"td3_bc", "rebrac", "iql", "cal_ql", "import"}
        Offline-RL algorithm; ``import`` takes a ``checkpoint`` of CORL.
    device : str
        Torch device to train on.
    **settings
        Keys of `obdistill.near_experts.settings` for the algorithm, e.g. ``steps=20_000, seed=1``.

    Returns
    -------
    near_expert : NearExpert
        A policy and its critics, on the CPU.

    Raises
    ------
    UserError
        If a setting is not allowed, or the training diverges.
    """
    chosen = parse(NearExpertSettings, {"algorithm": algorithm, **settings}, "near_expert").root
    if isinstance(chosen, ImportSettings):
        return import_near_expert(dataset, chosen)[0]
    return _train(dataset, chosen, device)[0]


def _train(
    dataset: Dataset, settings: TrainingSettings, device: str, checkpoint: Checkpoint | None = None
) -> tuple[NearExpert, dict[str, float]]:
    """Train a near-expert; returns it, with q in the environment's units of reward, and what its last step reported."""
    state_dim, action_dim = dataset.transitions.observations.shape[1], dataset.transitions.actions.shape[1]
    learner: Learner = LEARNERS[settings.algorithm](settings, state_dim, action_dim, device)
    scale = scale_of_returns(dataset) if settings.reward_scale is None else settings.reward_scale
    report = train(learner, as_batch(dataset, settings.discount, scale).to(device), settings, checkpoint)
    for critic in learner.critics:
        scale_output(critic, 1 / scale)
    return NearExpert(dataset.task, dataset.normalizer, learner.actor.cpu(), learner.critics.cpu()), report
