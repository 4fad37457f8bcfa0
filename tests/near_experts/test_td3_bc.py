"""TD3+BC's objective by hand, and when what is updated."""

import torch

from helpers.batches import make_batch
from obdistill.near_experts.td3_bc import Td3Bc, Td3BcSettings, actor_loss


def test_the_objective_by_hand():
    values = torch.tensor([[10.0], [-30.0]])
    actions, data = torch.tensor([[0.5, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    expected = (0.25 + 1) / 4 - 2.5 * (-10) / 20
    assert actor_loss(values, actions, data, 2.5).item() == expected


def test_the_objective_does_not_depend_on_the_scale_of_q():
    actions = torch.full((3, 1), 0.2, requires_grad=True)
    gradients = []
    for scale in (1.0, 1000.0):
        loss = actor_loss(scale * (actions + 1) ** 2, actions, torch.zeros(3, 1), 2.5)
        gradients.append(torch.autograd.grad(loss, actions)[0])
    assert torch.allclose(*gradients)


def test_the_actor_and_the_targets_wait_for_the_critics():
    learner = Td3Bc(Td3BcSettings(algorithm="td3_bc", actor_hidden_widths=(8,), critic_hidden_widths=(8,)), 2, 1)
    draw = torch.Generator().manual_seed(0)
    states, actions = torch.randn(16, 2, generator=draw), 2 * torch.rand(16, 1, generator=draw) - 1
    batch = make_batch(states, actions)
    modules = (learner.critics, learner.actor, learner.target_critics, learner.target_actor)

    def moved() -> list[bool]:
        before = [[p.clone() for p in module.parameters()] for module in modules]
        learner.update(batch)
        learner.step += 1
        return [
            not all(torch.equal(a, b) for a, b in zip(old, module.parameters(), strict=True))
            for old, module in zip(before, modules, strict=True)
        ]

    assert moved() == [True, False, False, False]
    assert moved() == [True, True, True, True]


def test_target_actions_are_noisy_within_limits_and_bounds():
    settings = Td3BcSettings(algorithm="td3_bc", target_noise=5.0, target_noise_limit=0.25, discount=0.5)
    learner = Td3Bc(settings, 2, 1)
    learner.target_actor[-1].weight.data.zero_()  # the target's action is tanh(0) = 0
    seen = []
    learner.target_critics.register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    states = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    learner.update(make_batch(states, torch.zeros(64, 1)))
    assert seen[0].abs().max() == 0.25
    assert seen[0].std() > 0.15
    learner.target_actor[-1].bias.data.fill_(20.0)
    learner.update(make_batch(states, torch.zeros(64, 1)))
    assert seen[1].max() == 1
