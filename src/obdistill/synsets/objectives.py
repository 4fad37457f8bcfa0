"""The outer objectives. Each is one weighted regression: a target action and a weight for every state of the dataset.

    H(pi) = mean_i w_i |pi(s_i) - a_i|^2

To add one, name it in `core.methods`, write a function from (dataset, near-expert, weighting) to its regression targets
and enter it in `TARGETS_OF`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from obdistill.core.errors import UserError
from obdistill.datasets.transitions import Dataset
from obdistill.near_experts.near_expert import NearExpert
from obdistill.synsets.density import rarity_weights
from obdistill.synsets.settings import WeightSettings

FEW = 0.05  # share of the states: with a smaller effective sample size hardly any of them count
log = logging.getLogger(__name__)


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

    def to(self, device: str) -> "RegressionTargets":
        """Return the same on a device."""
        return RegressionTargets(self.targets.to(device), self.weights.to(device))


def data_actions(dataset: Dataset, near_expert: NearExpert | None, weighting: WeightSettings) -> RegressionTargets:
    """DBC: the dataset's own actions, weight 1 (Eq. of DBC in Section 4 of the paper)."""
    targets = dataset.normalizer.actions(dataset.transitions.actions)
    return RegressionTargets(targets, torch.ones(len(targets)))


def policy_actions(dataset: Dataset, near_expert: NearExpert | None, weighting: WeightSettings) -> RegressionTargets:
    """PBC: the near-expert's deterministic actions, weight 1."""
    assert near_expert is not None
    targets = near_expert.actions(dataset.transitions.observations)
    return RegressionTargets(targets, torch.ones(len(targets)))


def rarity_weighted_policy_actions(
    dataset: Dataset, near_expert: NearExpert | None, weighting: WeightSettings
) -> RegressionTargets:
    """DW-PBC: the near-expert's actions, weighted by the states' rarity.

    After SDW (https://arxiv.org/abs/2512.06692), whose exact formula is not public: the weights are ours.
    """
    targets = policy_actions(dataset, near_expert, weighting).targets
    return RegressionTargets(targets, rarity_weights(dataset))


def value_weighted_policy_actions(
    dataset: Dataset, near_expert: NearExpert | None, weighting: WeightSettings
) -> RegressionTargets:
    """Av-PBC: the near-expert's actions, weighted by q*(s, pi*(s)) (Theorem 2 of the paper)."""
    assert near_expert is not None
    targets, q = near_expert.actions_and_q(dataset.transitions.observations)
    value = {"first": q[0], "min": q.amin(0), "mean": q.mean(0)}[weighting.critic]
    return RegressionTargets(targets, action_value_weights(value, weighting))


def action_value_weights(values: Tensor, weighting: WeightSettings) -> Tensor:
    """Turn action values into weights.

    A constant added to the rewards adds a constant to every action value, where no state is terminal. Theorem 2 of the
    paper does not change by it: J(pi*) - J(pi) is a sum of q*(s, a) (pi*(a|s) - pi(a|s)), and both policies' densities
    sum to 1. The weights of the paper do change. With ``shifted``, q* - min q* over the data, the constant drops out
    and the theorem's ordering of the states stays, without negative weights; but one very low value levels the others.

    Parameters
    ----------
    values : Tensor of shape (n_transitions,)
        q*(s, pi*(s)) of every state.
    weighting : WeightSettings
        Form and scale.

    Returns
    -------
    Tensor of shape (n_transitions,)
        ``scaled``: scale * q; ``mean_one``: max(q, 0) over its mean; ``shifted``: q - min q over its mean, which is 1
        everywhere if all values are the same.

    Raises
    ------
    UserError
        If no weight is positive.
    """
    if weighting.form == "shifted":
        above = values - values.amin()
        return above / above.mean() if above.any() else torch.ones_like(values)
    if not (values > 0).any():
        raise UserError(
            f"weighting.form: {weighting.form!r}: no action value of the near-expert is positive (the largest is "
            f"{values.amax().item():.4g}), so no state would count; use form 'shifted' or objective pbc"
        )
    if weighting.form == "scaled":
        return weighting.scale * values
    positive = values.clamp(min=0)
    return positive / positive.mean()


def describe_weights(weights: Tensor) -> dict[str, float]:
    """Return mean, min, max and effective sample size (sum w)^2 / sum w^2; warn if hardly any state counts.

    Parameters
    ----------
    weights : Tensor of shape (n_transitions,)
        Of an objective.
    """
    exact = weights.double()
    effective = (exact.sum().square() / exact.square().sum()).item()
    if effective < FEW * len(weights):
        log.warning(
            "weighting: the effective sample size is %.0f of %d states (%.2g %%): few states count; consider "
            "weighting.form shifted, or objective pbc",
            *(effective, len(weights), 100 * effective / len(weights)),
        )
    negative = int((weights < 0).sum())
    if negative:
        log.warning(
            "weighting: %d of %d weights are negative: there the loss falls with the error; weighting.form mean_one "
            "and shifted have none",
            *(negative, len(weights)),
        )
    return {
        "mean": exact.mean().item(),
        "min": exact.min().item(),
        "max": exact.max().item(),
        "effective_sample_size": effective,
    }


# the function of each objective of `core.methods`
TARGETS_OF: dict[str, Callable[[Dataset, NearExpert | None, WeightSettings], RegressionTargets]] = {
    "dbc": data_actions,
    "pbc": policy_actions,
    "dw_pbc": rarity_weighted_policy_actions,
    "av_pbc": value_weighted_policy_actions,
}
