"""TD3+BC: a deterministic policy that maximizes q and stays near the data (Fujimoto and Gu, arXiv 2106.06860).

Differs from the authors' code in one thing: initial weights are orthogonal, as for all algorithms here.
"""

import torch
from torch import Tensor

from obdistill.near_experts.settings import Td3BcSettings
from obdistill.near_experts.td3 import Td3
from obdistill.near_experts.training import Batch


class Td3Bc(Td3):
    """The algorithm; see `Learner`."""

    settings: Td3BcSettings

    def policy_loss(self, batch: Batch, actions: Tensor) -> Tensor:
        """Return the paper's objective with the first critic's values."""
        values = self.critics[0](torch.cat([batch.states, actions], -1))  # (B, 1)
        return actor_loss(values, actions, batch.actions, self.settings.alpha)


def actor_loss(values: Tensor, actions: Tensor, data_actions: Tensor, alpha: float) -> Tensor:
    """Return mean (pi(s) - a)^2 - alpha mean(q) / mean|q|, the paper's objective.

    Parameters
    ----------
    values : Tensor of shape (B, 1)
        q(s, pi(s)); the divisor is taken as a constant.
    actions, data_actions : Tensor of shape (B, A)
        pi(s) and the recorded actions.
    alpha : float
        Weight of the first term.
    """
    scale = values.detach().abs().mean().clamp_min(1e-8)
    return (actions - data_actions).square().mean() - alpha * values.mean() / scale
