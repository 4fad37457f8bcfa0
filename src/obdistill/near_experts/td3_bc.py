"""TD3+BC: a deterministic policy that maximizes q and stays near the data (Fujimoto and Gu, arXiv 2106.06860).

Differs from the authors' code in one thing: initial weights are orthogonal, as for all algorithms here.
"""

import copy

import torch
from torch import Tensor

from obdistill.near_experts.settings import Td3BcSettings
from obdistill.near_experts.training import Batch, Learner, minimize, polyak_update, squared_error


class Td3Bc(Learner):
    """The algorithm; see `Learner`."""

    def __init__(self, settings: Td3BcSettings, state_dim: int, action_dim: int, device: str = "cpu") -> None:
        super().__init__(settings, state_dim, action_dim, device)
        self.settings = settings
        self.target_actor = copy.deepcopy(self.actor)
        self.actor_loss = torch.zeros((), device=device)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step of the critics and, every few steps, one of the actor and the targets."""
        settings = self.settings
        with torch.no_grad():
            normal = torch.randn(batch.actions.shape, generator=self.noise, device=self.device)  # (B, A)
            noise = (settings.target_noise * normal).clamp_(-settings.target_noise_limit, settings.target_noise_limit)
            next_actions = (self.target_actor(batch.next_states).tanh() + noise).clamp_(-1, 1)
            next_values = self.target_critics(batch.next_states, next_actions).amin(0)  # (B,)
            targets = batch.td_target(next_values, settings.discount)
        critic_loss = squared_error(self.critics(batch.states, batch.actions), targets)
        minimize(critic_loss, self.critic_optimizer)

        if (self.step + 1) % settings.steps_per_actor_update == 0:
            actions = self.actor(batch.states).tanh()  # (B, A)
            values = self.critics[0](torch.cat([batch.states, actions], -1))  # (B, 1)
            loss = actor_loss(values, actions, batch.actions, settings.alpha)
            minimize(loss, self.actor_optimizer)
            self.actor_loss = loss.detach()
            polyak_update(self.target_critics, self.critics, settings.target_rate)
            polyak_update(self.target_actor, self.actor, settings.target_rate)
        return {"critic_loss": critic_loss, "actor_loss": self.actor_loss}


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
