"""TD3 on recorded data (Fujimoto, van Hoof and Meger, arXiv 1802.09477): what TD3+BC and ReBRAC share."""

import abc
import copy

import torch
from torch import Tensor

from obdistill.near_experts.settings import Td3Settings
from obdistill.near_experts.training import Batch, Learner, minimize, polyak_update, squared_error


class Td3(Learner):
    """Noisy target actions, and an actor that waits for the critics; see `Learner`."""

    def __init__(self, settings: Td3Settings, state_dim: int, action_dim: int, device: str = "cpu") -> None:
        super().__init__(settings, state_dim, action_dim, device)
        self.settings = settings
        self.target_actor = copy.deepcopy(self.actor)
        self.actor_loss = torch.zeros((), device=device)

    @abc.abstractmethod
    def policy_loss(self, batch: Batch, actions: Tensor) -> Tensor:
        """Return what the actor minimizes: pi(s) of shape (B, A) -> scalar."""

    def next_values(self, batch: Batch, next_actions: Tensor) -> Tensor:
        """Return the values of the next states for the critics' targets: (B, A) -> (B,)."""
        values: Tensor = self.target_critics(batch.next_states, next_actions)  # (2, B)
        return values.amin(0)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step of the critics and, every few steps, one of the actor and the targets."""
        settings = self.settings
        with torch.no_grad():
            normal = torch.randn(batch.actions.shape, generator=self.noise, device=self.device)  # (B, A)
            noise = (settings.target_noise * normal).clamp_(-settings.target_noise_limit, settings.target_noise_limit)
            next_actions = (self.target_actor(batch.next_states).tanh() + noise).clamp_(-1, 1)
            targets = batch.td_target(self.next_values(batch, next_actions), settings.discount)  # (B,)
        critic_loss = squared_error(self.critics(batch.states, batch.actions), targets)
        minimize(critic_loss, self.critic_optimizer)

        if (self.step + 1) % settings.steps_per_actor_update == 0:
            loss = self.policy_loss(batch, self.actor(batch.states).tanh())
            minimize(loss, self.actor_optimizer)
            self.actor_loss = loss.detach()
            polyak_update(self.target_critics, self.critics, settings.target_rate)
            polyak_update(self.target_actor, self.actor, settings.target_rate)
        return {"critic_loss": critic_loss, "actor_loss": self.actor_loss}
