"""Policies as policies of stable-baselines3: the actor of a TD3 policy, which has the same form."""

from pathlib import Path

import gymnasium
import numpy as np
import torch
from stable_baselines3.td3.policies import TD3Policy

from obdistill.core.atomic import replacing
from obdistill.core.errors import UserError
from obdistill.core.units import STD_FLOOR
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.policy import Policy


def write_sb3(policy: Policy, path: Path) -> None:
    """Write a policy as ``TD3Policy.load`` of stable-baselines3 reads it; its critics are untrained.

    Actions agree to 1e-5 where states vary as much as their means are large: the normalizer becomes part of the first
    layer, and sums of large numbers are less exact.

    Raises
    ------
    UserError
        If it is more than one policy, or a network with skips: TD3's actor is one plain network.
    """
    members, normalizer = policy.members, policy.members.normalizer
    architecture = ARCHITECTURES[members.architecture]
    count = len(members.parameters.biases[0])
    if count > 1 or architecture.skips:
        raise UserError(f"--to sb3: {count} policies of the form {members.architecture}; one plain network is needed")
    states = gymnasium.spaces.Box(-np.inf, np.inf, normalizer.state_mean.shape, np.float32)
    actions = gymnasium.spaces.Box(normalizer.action_low, normalizer.action_high, dtype=np.float32)
    made = TD3Policy(states, actions, lambda _: 0.0, net_arch=list(architecture.hidden_widths))
    layers = [layer for layer in made.actor.mu if isinstance(layer, torch.nn.Linear)]
    scale, mean = normalizer.state_std.astype(np.float64) + STD_FLOOR, normalizer.state_mean.astype(np.float64)
    for index, layer in enumerate(layers):
        weight = members.parameters.weights[index][0].mT.double()
        bias = members.parameters.biases[index][0, 0].double()
        if index == 0:  # the normalizer goes into the first layer
            weight = weight / torch.from_numpy(scale)
            bias = bias - weight @ torch.from_numpy(mean)
        layer.weight.data, layer.bias.data = weight.float(), bias.float()
    made.actor_target.load_state_dict(made.actor.state_dict())
    with replacing(path) as to:
        made.save(str(to))
