"""ReBRAC: its pieces by hand, and one update against a float64 reference."""

import numpy as np
import pytest
import torch

from helpers.batches import make_batch
from obdistill.near_experts.networks import layer_norms, linear_layers, mlp, orthogonal_
from obdistill.near_experts.rebrac import Rebrac, RebracSettings, actor_loss, squared_distance

S, A, B = 3, 2, 12


def make(**changes) -> Rebrac:
    small = {"actor_hidden_widths": (7, 6), "critic_hidden_widths": (8, 5)}
    return Rebrac(RebracSettings(algorithm="rebrac", **(small | changes)), S, A)


def random_batch(**changes):
    draw = torch.Generator().manual_seed(0)
    states, next_states = torch.randn(2, B, S, generator=draw)
    actions, next_actions = 2 * torch.rand(2, B, A, generator=draw) - 1
    rewards = torch.randn(B, generator=draw)
    not_done, has_next = torch.ones(B), torch.ones(B)
    not_done[3] = has_next[3] = has_next[7] = 0
    rest = {"rewards": rewards, "next_states": next_states, "not_done": not_done}
    return make_batch(states, actions, **(rest | {"next_actions": next_actions, "has_next": has_next} | changes))


def test_the_actors_objective_by_hand():
    values = torch.tensor([10.0, -30.0])
    actions, data = torch.tensor([[0.5, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    assert actor_loss(values, squared_distance(actions, data), 0.5).item() == 0.5 * (0.25 + 2) / 2 - (-10) / 20


def test_the_objective_does_not_depend_on_the_scale_of_q():
    actions = torch.full((3, 1), 0.2, requires_grad=True)
    losses = [actor_loss(scale * (actions[:, 0] + 1) ** 2, actions[:, 0] ** 2, 0.1) for scale in (1.0, 1000.0)]
    assert torch.allclose(*(torch.autograd.grad(loss, actions)[0] for loss in losses))


def test_the_target_is_penalized_by_the_distance_from_the_next_action():
    learner, batch = make(critic_penalty=0.25), random_batch()
    next_actions = batch.next_actions + torch.tensor([1.0, -2.0])
    plain = make(critic_penalty=0.0).next_values(batch, next_actions)
    penalized = learner.next_values(batch, next_actions)
    assert torch.allclose(plain - penalized, 0.25 * 5 * batch.has_next, atol=1e-5)


def test_what_follows_the_end_of_an_episode_is_not_looked_at():
    found = []
    for other in (0.0, 0.9):
        learner, batch = make(critic_penalty=10.0), random_batch()
        batch.next_actions[batch.has_next == 0] = other
        learner.update(batch)
        found.append([parameter.detach().clone() for parameter in learner.critics.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_layer_norms_are_in_the_critics_alone_and_the_rest_starts_as_without():
    learner = make()
    assert [len(layer_norms(critic)) for critic in learner.critics] == [2, 2]
    assert layer_norms(learner.actor) == []
    plain, normed = (orthogonal_(mlp((4, 6, 5, 1), norm), torch.Generator().manual_seed(1)) for norm in (False, True))
    for mine, other in zip(linear_layers(plain), linear_layers(normed), strict=True):
        assert torch.equal(mine.weight, other.weight)
    kinds = [type(layer).__name__ for layer in normed]
    assert kinds == ["Linear", "ReLU", "LayerNorm", "Linear", "ReLU", "LayerNorm", "Linear"]


def forward(parameters: list[torch.Tensor], inputs: torch.Tensor, normed: bool) -> torch.Tensor:
    """Go through a network: per hidden layer weight, bias and, in critics, the norm's scale and offset."""
    width = 4 if normed else 2
    for first in range(0, len(parameters) - 2, width):
        weight, bias, *norm = parameters[first : first + width]
        inputs = torch.clamp(inputs @ weight.T + bias, min=0)
        if normed:
            centered = inputs - inputs.mean(1, keepdim=True)
            inputs = centered / torch.sqrt((centered**2).mean(1, keepdim=True) + 1e-5) * norm[0] + norm[1]
    return inputs @ parameters[-2].T + parameters[-1]


def adam_step(parameters: list[torch.Tensor], loss: torch.Tensor, rate: float) -> list[torch.Tensor]:
    """Take Adam's first step, in which both moments are those of one gradient."""
    gradients = torch.autograd.grad(loss, parameters)
    return [(p - rate * g / (g.abs() + 1e-8)).detach() for p, g in zip(parameters, gradients, strict=True)]


def doubles(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().double().requires_grad_() for parameter in module.parameters()]


def test_one_update_equals_a_reference_in_double_precision():
    rates = {"actor_learning_rate": 1e-3, "critic_learning_rate": 2e-3, "target_rate": 0.1}
    learner = make(**rates, actor_penalty=0.4, critic_penalty=0.3, discount=0.9, steps_per_actor_update=1)
    draw = torch.Generator().manual_seed(5)
    for module in (learner.actor, *learner.critics, learner.target_actor, *learner.target_critics):
        for parameter in module.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=draw)
    batch = random_batch()
    actor, target_actor = doubles(learner.actor), doubles(learner.target_actor)
    critics, targets = ([doubles(critic) for critic in pair] for pair in (learner.critics, learner.target_critics))
    noise = torch.randn(B, A, generator=torch.Generator().set_state(learner.noise.get_state())).double()

    states, actions, next_states = batch.states.double(), batch.actions.double(), batch.next_states.double()
    noise = torch.clip(0.2 * noise, -0.5, 0.5)
    acted = torch.clip(torch.tanh(forward(target_actor, next_states, False)) + noise, -1, 1)
    joined = torch.hstack([next_states, acted])
    next_values = torch.minimum(*(forward(critic, joined, True)[:, 0] for critic in targets))
    distance = ((acted - batch.next_actions.double()) ** 2).sum(1) * batch.has_next.double()
    wanted = batch.rewards.double() + 0.9 * batch.not_done.double() * (next_values - 0.3 * distance)
    data = torch.hstack([states, actions])
    losses = [((forward(critic, data, True)[:, 0] - wanted.detach()) ** 2).mean() for critic in critics]
    new_critics = [adam_step(critic, loss, 2e-3) for critic, loss in zip(critics, losses, strict=True)]
    policy = torch.tanh(forward(actor, states, False))
    values = torch.minimum(*(forward(critic, torch.hstack([states, policy]), True)[:, 0] for critic in new_critics))
    scale = 1 / values.detach().abs().mean()
    policy_loss = (0.4 * ((policy - actions) ** 2).sum(1) - scale * values).mean()
    new_actor = adam_step(actor, policy_loss, 1e-3)

    report = learner.update(batch)
    assert report["critic_loss"].item() == pytest.approx(sum(losses).item(), rel=1e-5)
    assert report["actor_loss"].item() == pytest.approx(policy_loss.item(), rel=1e-4, abs=1e-6)
    for module, before, after in (
        (learner.target_actor, target_actor, new_actor),
        *zip(learner.target_critics, targets, new_critics, strict=True),
    ):
        for parameter, old, new in zip(module.parameters(), before, after, strict=True):
            np.testing.assert_allclose(parameter.detach(), (0.9 * old + 0.1 * new).detach(), rtol=1e-5, atol=2e-6)
    for module, after in ((learner.actor, new_actor), *zip(learner.critics, new_critics, strict=True)):
        for parameter, new in zip(module.parameters(), after, strict=True):
            np.testing.assert_allclose(parameter.detach(), new, rtol=1e-5, atol=2e-5)
