"""A distillation in memory: a dataset becomes a synset by an outer loop."""

from typing import Any

import numpy as np
import pandas as pd

from obdistill.core.checkpoints import Checkpoint
from obdistill.core.errors import UserError
from obdistill.core.methods import DEFAULT, METHODS, OBJECTIVES
from obdistill.core.parsing import overlaid
from obdistill.datasets.transitions import Dataset
from obdistill.near_experts.near_expert import NearExpert
from obdistill.synsets.objectives import TARGETS_OF, describe_weights
from obdistill.synsets.outer_loop import METRICS, OuterLoop, OuterProblem, Progress, run, snapshot_steps
from obdistill.synsets.selection import random_rows
from obdistill.synsets.settings import DistillSettings
from obdistill.synsets.synset import Synset


class Distillation:
    """A distillation, ready to run; see `distill` for the parameters.

    Attributes
    ----------
    loop : OuterLoop
        The outer loop.
    facts : dict
        Plain data for the synset's metadata: ``weights`` and ``precision``.
    """

    def __init__(
        self,
        dataset: Dataset,
        near_expert: NearExpert | None,
        objective: str,
        size: int,
        seed: int,
        settings: DistillSettings,
        device: str = "cpu",
        variant: str = DEFAULT,
    ) -> None:
        if objective not in OBJECTIVES:
            raise UserError(f"objective: {objective!r}: not known; allowed: {', '.join(OBJECTIVES)}")
        if METHODS[objective].needs_near_expert:
            if near_expert is None:
                raise UserError(f"near_expert: missing; objective {objective} needs one")
            near_expert.check_fits(dataset)
        self._dataset, self._settings = dataset, settings
        self._identity = (dataset.task, objective, variant, seed)
        self._seconds_per_step: float | None = None
        states = dataset.normalizer.states(dataset.transitions.observations)  # (n, S)
        rows = random_rows(dataset, size, seed)
        regression = TARGETS_OF[objective](dataset, near_expert, settings.weighting)
        if settings.start == "targets":
            actions = regression.targets[rows]
        else:
            actions = dataset.normalizer.actions(dataset.transitions.actions[rows.numpy()])
        problem = OuterProblem(states.to(device), regression.to(device))
        self.loop = OuterLoop(settings, problem, (states[rows], actions), seed)
        self.facts: dict[str, Any] = {
            "weights": describe_weights(regression.weights),
            "precision": self.loop.gradient.precision,
        }

    def run(self, checkpoint: Checkpoint | None = None, progress: Progress | None = None) -> None:
        """Make all outer steps, from a checkpoint on if there is one."""
        self._seconds_per_step = run(self.loop, checkpoint, progress)

    def metrics(self) -> pd.DataFrame:
        """Return one row for each outer step made, with the columns `METRICS`."""
        return pd.DataFrame(self.loop.metrics.cpu().numpy(), columns=METRICS).astype({"step": int})

    def synset(self) -> Synset:
        """Return the snapshots in the environment's units."""
        steps = np.array(snapshot_steps(self._settings), np.int64)
        normalizer = self._dataset.normalizer
        raw = normalizer.raw_states(self.loop.snapshot_states), normalizer.raw_actions(self.loop.snapshot_actions)
        inner = self._settings.inner.model_dump()
        return Synset(*self._identity, steps, *raw, normalizer, self._seconds_per_step, inner)


def distill(
    dataset: Dataset,
    near_expert: NearExpert | None = None,
    objective: str = "av_pbc",
    size: int = 256,
    seed: int = 0,
    settings: DistillSettings | None = None,
    *,
    device: str = "cpu",
    variant: str = DEFAULT,
    progress: Progress | None = None,
    **keys: Any,
) -> Synset:
    """Distill a dataset into a synset in memory, as ``obd distill`` does with files.

    Parameters
    ----------
    dataset : Dataset
        What to distill.
    near_expert : NearExpert, optional
        Of the same task; all objectives but ``dbc`` need one.
    objective : {"av_pbc", "dw_pbc", "pbc", "dbc"}
        Outer objective.
    size : int
        Number of pairs, at most that of the dataset's transitions.
    seed : int
        Seed of the selection, the initializations and the outer batches.
    settings : DistillSettings, optional
        The rest, e.g. `obdistill.PROTOCOL`; the defaults, with the paper's policies, if left out.
    device : str
        Torch device.
    variant : str
        Name of these settings, by which the synset is known.
    progress : callable, optional
        Called every 10 outer steps and after the last, with the number of steps done and the last one's outer loss.
    **keys
        Keys of `DistillSettings` that differ, e.g. ``steps=500, outer={"batch_size": 2560}``.

    Returns
    -------
    synset : Synset
        The pairs at every snapshot.

    Raises
    ------
    UserError
        If an input is missing or does not fit, a setting is not allowed, or the run diverges.
    """
    chosen = overlaid(DistillSettings, settings, keys, "distill")
    distillation = Distillation(dataset, near_expert, objective, size, seed, chosen, device, variant)
    distillation.run(progress=progress)
    return distillation.synset()
