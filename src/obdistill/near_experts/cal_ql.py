"""Cal-QL: conservative Q-learning that never pushes values below those of the data's policy.

Nakamoto et al., arXiv 2303.05479, on top of CQL (Kumar et al., arXiv 2006.04779) and SAC (Haarnoja et al.,
arXiv 1812.05905). Defaults are those of CORL's ``cal_ql.py``, which made the paper's near-experts. Differs from CORL in
one thing: the log standard deviation starts with a bias of -1 instead of having a trained scale and offset of its own.

Shape letters: B states, K actions per state, A action dimension, C critics.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from obdistill.near_experts.networks import linear_layers
from obdistill.near_experts.settings import CalQlSettings
from obdistill.near_experts.training import (
    Batch,
    Learner,
    adam,
    minimize,
    polyak_update,
    squared_error,
)

LOG_STD_START = -1.0
LOG_STD_RANGE = (-20.0, 2.0)
MULTIPLIER_LIMIT = 1e6


class CalQl(Learner):
    """The algorithm; see `Learner`."""

    outputs_per_action = 2

    def __init__(self, settings: CalQlSettings, state_dim: int, action_dim: int, device: str = "cpu") -> None:
        super().__init__(settings, state_dim, action_dim, device)
        self.settings = settings
        with torch.no_grad():
            linear_layers(self.actor)[-1].bias[action_dim:] = LOG_STD_START
        self.log_entropy_weight = torch.zeros((), device=device, requires_grad=True)
        self.entropy_optimizer = adam([self.log_entropy_weight], settings.actor_learning_rate)
        self.log_multiplier = torch.ones((), device=device, requires_grad=True)
        self.multiplier_optimizer = adam([self.log_multiplier], settings.critic_learning_rate)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step of the entropy weight, the actor, the critics and the targets."""
        settings = self.settings
        output = self.actor(batch.states)  # (B, 2A)
        with torch.no_grad():  # what the critics learn from comes from the actor before its step
            next_output = self.actor(batch.next_states)
            next_actions, _ = self._sample(next_output)  # (B, A)
            next_values = self.target_critics(batch.next_states, next_actions).amin(0)  # (B,)
            targets = batch.td_target(next_values, settings.discount)
            actions, log_densities = self._other_actions(output, next_output)  # (B, 3K, A), (B, 3K)

        new_actions, log_density = self._sample(output)  # (B, A), (B,)
        entropy_weight = self.log_entropy_weight.detach().exp()
        actor_loss = (entropy_weight * log_density - self.critics(batch.states, new_actions).amin(0)).mean()
        minimize(actor_loss, self.actor_optimizer)
        excess = log_density.detach().mean() - batch.actions.shape[-1]  # the wanted entropy is -A
        minimize(-self.log_entropy_weight * excess, self.entropy_optimizer)

        # the recorded action goes first, so that one pass serves both terms of the loss
        all_actions = torch.cat([batch.actions.unsqueeze(1), actions], 1)  # (B, 1 + 3K, A)
        states = batch.states.unsqueeze(1).expand(-1, all_actions.shape[1], -1)  # (B, 1 + 3K, S)
        values = self.critics(states, all_actions)  # (C, B, 1 + 3K)
        data_values, other_values = values[..., 0], values[..., 1:]
        if settings.calibration:
            other_values = calibrated(other_values, batch.returns, settings.sampled_actions)
        gap = conservative_gap(other_values - log_densities, data_values, settings.temperature)  # (C,)
        weight = settings.conservative_weight * self._multiplier(gap.detach())
        error = squared_error(data_values, targets)
        critic_loss = error + weight * gap.sum()
        minimize(critic_loss, self.critic_optimizer)
        polyak_update(self.target_critics, self.critics, settings.target_rate)
        return {
            "critic_error": error,
            "conservative_gap": gap.mean(),
            "actor_loss": actor_loss,
            "entropy_weight": entropy_weight,
            "mean_q": data_values.mean(),
        }

    def _sample(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Draw one action for each row of the actor's output: (..., 2A) -> (..., A), (...)."""
        shape = (*output.shape[:-1], output.shape[-1] // 2)
        return tanh_gaussian(output, torch.randn(shape, generator=self.noise, device=self.device))

    def _other_actions(self, output: Tensor, next_output: Tensor) -> tuple[Tensor, Tensor]:
        """Draw K uniform actions, K of the policy at s and K of the policy at s', with their log densities."""
        count = self.settings.sampled_actions
        size, action_dim = len(output), output.shape[-1] // 2
        uniform = 2 * torch.rand((size, count, action_dim), generator=self.noise, device=self.device) - 1  # (B, K, A)
        density = torch.full((size, count), -action_dim * math.log(2), device=self.device)  # (B, K)
        at_state = self._sample(output.unsqueeze(1).expand(-1, count, -1))
        at_next = self._sample(next_output.unsqueeze(1).expand(-1, count, -1))
        return torch.cat([uniform, at_state[0], at_next[0]], 1), torch.cat([density, at_state[1], at_next[1]], 1)

    def _multiplier(self, gap: Tensor) -> Tensor:
        """Return the Lagrange multiplier and step it; 1 if the gap is free."""
        if self.settings.target_gap is None:
            return torch.ones(())
        multiplier = self.log_multiplier.exp().clamp_max(MULTIPLIER_LIMIT)
        excess = self.settings.conservative_weight * (gap - self.settings.target_gap).mean()
        minimize(-multiplier * excess, self.multiplier_optimizer)
        return multiplier.detach()


def tanh_gaussian(output: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Turn an actor's output and standard normal noise into actions and their log densities.

    Parameters
    ----------
    output : Tensor of shape (..., 2A)
        Mean and log standard deviation before the tanh.
    noise : Tensor of shape (..., A)
        Standard normal numbers.

    Returns
    -------
    actions : Tensor of shape (..., A)
        tanh(mean + std noise).
    log_densities : Tensor of shape (...)
        Log densities of the actions (SAC, appendix C), in a form that does not overflow for large inputs.
    """
    mean, log_std = output.chunk(2, -1)
    log_std = log_std.clamp(*LOG_STD_RANGE)
    before = mean + log_std.exp() * noise
    normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    slope = 2 * (math.log(2) - before - softplus(-2 * before))  # log(1 - tanh(before)^2)
    return before.tanh(), (normal - slope).sum(-1)


def calibrated(values: Tensor, returns: Tensor, uncalibrated: int) -> Tensor:
    """Raise the values of the policy's actions to the data's Monte-Carlo return, max(q, return) (Cal-QL, section 5).

    Parameters
    ----------
    values : Tensor of shape (C, B, K)
        Values; the first `uncalibrated` of each state belong to random actions and stay.
    returns : Tensor of shape (B,)
        Monte-Carlo returns at the states.
    uncalibrated : int
        How many.
    """
    policy = values[..., uncalibrated:].maximum(returns.unsqueeze(-1))
    return torch.cat([values[..., :uncalibrated], policy], -1)


def conservative_gap(other_values: Tensor, data_values: Tensor, temperature: float) -> Tensor:
    """Return each critic's mean of T log sum exp(q / T) over a state's other actions, minus q of the recorded one.

    Equation 4 of CQL; with the actions' log densities subtracted from their values the sum is importance-sampled.

    Parameters
    ----------
    other_values : Tensor of shape (C, B, K)
        Values of K actions per state, less the log densities they were drawn with.
    data_values : Tensor of shape (C, B)
        Values of the recorded actions.
    temperature : float
        T.

    Returns
    -------
    Tensor of shape (C,)
        One gap for each critic.
    """
    soft_maximum = temperature * (other_values / temperature).logsumexp(-1)
    return (soft_maximum - data_values).mean(-1)
