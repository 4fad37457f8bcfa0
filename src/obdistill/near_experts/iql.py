"""IQL: values of the data's good actions by expectile regression, and a policy cloned with advantage weights.

Kostrikov, Nair and Levine, arXiv 2110.06169. The policy is deterministic: with a fixed standard deviation the weighted
log-likelihood of a Gaussian is a weighted squared error. Initial weights are orthogonal, as for all algorithms here.
"""

import torch
from torch import Tensor

from obdistill.core.seeding import torch_generator
from obdistill.near_experts.networks import mlp, orthogonal_
from obdistill.near_experts.settings import IqlSettings
from obdistill.near_experts.training import Batch, Learner, adam, minimize, polyak_update, squared_error


class Iql(Learner):
    """The algorithm; see `Learner`."""

    def __init__(self, settings: IqlSettings, state_dim: int, action_dim: int, device: str = "cpu") -> None:
        super().__init__(settings, state_dim, action_dim, device)
        self.settings = settings
        generator = torch_generator(settings.seed, "near_expert", "value initialisation")
        self.value = orthogonal_(mlp((state_dim, *settings.critic_hidden_widths, 1)), generator).to(device)
        self.value_optimizer = adam(self.value.parameters(), settings.critic_learning_rate)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step of the state value, the critics, the targets and the actor."""
        settings = self.settings
        with torch.no_grad():
            targets = batch.td_target(self.value(batch.next_states).squeeze(-1), settings.discount)  # (B,)
            data_values = self.target_critics(batch.states, batch.actions).amin(0)  # (B,)
        advantages = data_values - self.value(batch.states).squeeze(-1)  # (B,)
        value_loss = expectile_loss(advantages, settings.expectile)
        minimize(value_loss, self.value_optimizer)

        critic_loss = squared_error(self.critics(batch.states, batch.actions), targets)
        minimize(critic_loss, self.critic_optimizer)
        polyak_update(self.target_critics, self.critics, settings.target_rate)

        weights = advantage_weights(advantages.detach(), settings.inverse_temperature, settings.weight_limit)  # (B,)
        errors = (self.actor(batch.states).tanh() - batch.actions).square().sum(-1)  # (B,)
        actor_loss = (weights * errors).mean()
        minimize(actor_loss, self.actor_optimizer)
        return {"value_loss": value_loss, "critic_loss": critic_loss, "actor_loss": actor_loss}


def expectile_loss(differences: Tensor, expectile: float) -> Tensor:
    """Return mean |expectile - 1(u < 0)| u^2 (equation 5 of the paper): (B,) -> scalar."""
    weights = torch.where(differences < 0, 1 - expectile, expectile)
    return (weights * differences.square()).mean()


def advantage_weights(advantages: Tensor, inverse_temperature: float, limit: float) -> Tensor:
    """Return exp(beta A), at most `limit` (equation 7 of the paper): (B,) -> (B,)."""
    return (inverse_temperature * advantages).exp().clamp_max(limit)
