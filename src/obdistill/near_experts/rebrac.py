"""ReBRAC: TD3+BC with the distance from the data in the critics' target too, and layer norms (arXiv 2305.09836).

Tarasov, Kurenkov, Nikulin and Kolesnikov, "Revisiting the Minimalist Approach to Offline Reinforcement Learning".
Differs from the authors' code in this: states are standardized and initial weights orthogonal, as for all algorithms
here, and the last transition of an episode, whose next action was not recorded, has no penalty in its target.
"""

from typing import ClassVar

from torch import Tensor

from obdistill.near_experts.settings import RebracSettings
from obdistill.near_experts.td3 import Td3
from obdistill.near_experts.training import Batch


class Rebrac(Td3):
    """The algorithm; see `Learner`."""

    critic_layer_norm: ClassVar[bool] = True

    settings: RebracSettings

    def next_values(self, batch: Batch, next_actions: Tensor) -> Tensor:
        """Return the smaller critic's values less the penalty, (B, A) -> (B,)."""
        penalty = batch.has_next * squared_distance(next_actions, batch.next_actions)
        return super().next_values(batch, next_actions) - self.settings.critic_penalty * penalty

    def policy_loss(self, batch: Batch, actions: Tensor) -> Tensor:
        """Return the paper's objective with the smaller critic's values."""
        values = self.critics(batch.states, actions).amin(0)  # (B,)
        return actor_loss(values, squared_distance(actions, batch.actions), self.settings.actor_penalty)


def squared_distance(actions: Tensor, others: Tensor) -> Tensor:
    """Return the sum of squared differences over action dimensions: (B, A), (B, A) -> (B,)."""
    return (actions - others).square().sum(-1)


def actor_loss(values: Tensor, distances: Tensor, penalty: float) -> Tensor:
    """Return penalty mean ||pi(s) - a||^2 - mean(q) / mean|q|, the paper's objective.

    Parameters
    ----------
    values : Tensor of shape (B,)
        q(s, pi(s)); the divisor is taken as a constant.
    distances : Tensor of shape (B,)
        ||pi(s) - a||^2, see `squared_distance`.
    penalty : float
        Weight of the distances, >= 0.
    """
    scale = values.detach().abs().mean().clamp_min(1e-8)
    return penalty * distances.mean() - values.mean() / scale
