"""The imitation error: how far policies are from the near-expert's actions on the states of a dataset."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from obdistill.core.seeding import numpy_generator
from obdistill.datasets.transitions import Dataset, read_dataset
from obdistill.near_experts.near_expert import NearExpert, read_near_expert
from obdistill.policies.trained import TrainedPolicies

STATES = 4096  # at most, drawn from the dataset: the same for all policies that are compared
ROWS_AT_ONCE = 2048  # the activations of ten policies take 20 MB per layer


@dataclass(frozen=True)
class Sample:
    """States of a dataset, and what the near-expert does there.

    Attributes
    ----------
    states : ndarray of shape (n, state_dim), float32
        Raw states.
    actions : Tensor of shape (n, action_dim)
        The near-expert's, normalized: the targets of PBC.
    """

    states: np.ndarray
    actions: Tensor

    @classmethod
    def of(cls, dataset: Dataset, near_expert: NearExpert) -> "Sample":
        """Draw states from a dataset, without replacement; all of them if there are no more than `STATES`.

        Parameters
        ----------
        dataset : Dataset
            What to draw from; every call draws the same.
        near_expert : NearExpert
            Whose actions are the targets.
        """
        total = len(dataset.transitions)
        rows = numpy_generator(0, "imitation error").choice(total, min(total, STATES), replace=False)
        states = dataset.transitions.observations[np.sort(rows)]
        return cls(states, near_expert.actions(states))

    def errors(self, policies: TrainedPolicies) -> np.ndarray:
        """Measure policies by the loss of PBC.

        Parameters
        ----------
        policies : TrainedPolicies
            R of them, or one ensemble.

        Returns
        -------
        ndarray of shape (R,) or (1,), float64
            Mean over states and action dimensions of (pi(s) - pi*(s))^2, actions in [-1, 1].
        """
        pieces = zip(
            np.array_split(self.states, -(-len(self.states) // ROWS_AT_ONCE)),
            self.actions.tensor_split(-(-len(self.states) // ROWS_AT_ONCE)),
            strict=True,
        )
        sums = [
            (policies.normalizer.actions(policies(states[None])) - actions).double().square().sum((1, 2))
            for states, actions in pieces
        ]
        return np.asarray(torch.stack(sums).sum(0) / self.actions.numel())


def read_inputs(dataset_path: Path, near_expert_path: Path) -> tuple[Dataset, NearExpert]:
    """Read a dataset and a near-expert that fits it.

    Raises
    ------
    UserError
        If one cannot be read, or they are not of one task.
    """
    dataset, near_expert = read_dataset(dataset_path), read_near_expert(near_expert_path)
    near_expert.check_fits(dataset)
    return dataset, near_expert
