"""The outer objectives. Each is one weighted regression: a target action and a weight for every state of the dataset.

    H(pi) = mean_i w_i |pi(s_i) - a_i|^2

To add one, write a function from (dataset, near-expert, weighting) to columns and name it in `OBJECTIVES`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from obdistill.core.errors import UserError
from obdistill.datasets.transitions import Dataset
from obdistill.near_experts.networks import NearExpert
from obdistill.synsets.settings import WeightSettings


@dataclass(frozen=True)
class RegressionTargets:
    """A weighted regression over the dataset's states.

    Attributes
    ----------
    targets : Tensor of shape (n_transitions, action_dim)
        Normalized actions.
    weights : Tensor of shape (n_transitions,)
        Weights of the squared errors.
    """

    targets: Tensor
    weights: Tensor


def data_actions(dataset: Dataset, near_expert: NearExpert | None, weighting: WeightSettings) -> RegressionTargets:
    """DBC: the dataset's own actions, weight 1 (Eq. of DBC in Section 4 of the paper)."""
    targets = dataset.normalizer.actions(dataset.transitions.actions)
    return RegressionTargets(targets, torch.ones(len(targets)))


def policy_actions(dataset: Dataset, near_expert: NearExpert | None, weighting: WeightSettings) -> RegressionTargets:
    """PBC: the near-expert's deterministic actions, weight 1."""
    assert near_expert is not None
    targets = near_expert.actions(dataset.transitions.observations)
    return RegressionTargets(targets, torch.ones(len(targets)))


def value_weighted_policy_actions(
    dataset: Dataset, near_expert: NearExpert | None, weighting: WeightSettings
) -> RegressionTargets:
    """Av-PBC: the near-expert's actions, weighted by q*(s, pi*(s)) (Theorem 2 of the paper)."""
    assert near_expert is not None
    targets = policy_actions(dataset, near_expert, weighting).targets
    q = near_expert.q(dataset.transitions.observations, targets)  # (critics, n)
    value = {"first": q[0], "min": q.amin(0), "mean": q.mean(0)}[weighting.critic]
    if weighting.form == "scaled":
        return RegressionTargets(targets, weighting.scale * value)
    positive = value.clamp(min=0)
    if not positive.any():
        raise UserError(
            "weighting.form: 'mean_one': every action value of the near-expert is negative, so all weights are 0; "
            "use objective pbc, or form 'scaled'"
        )
    return RegressionTargets(targets, positive / positive.mean())


OBJECTIVES: dict[str, Callable[[Dataset, NearExpert | None, WeightSettings], RegressionTargets]] = {
    "dbc": data_actions,
    "pbc": policy_actions,
    "av_pbc": value_weighted_policy_actions,
}
