"""Training of policies by plain autograd, which the engine is compared with."""

import torch

from obdistill.policies.architectures import Architecture
from obdistill.policies.network import Parameters


def doubled(parameters: Parameters, shift: float = 0.1) -> Parameters:
    """To float64; biases away from zero so that their tangents matter."""
    return Parameters([w.double() for w in parameters.weights], [b.double() + shift for b in parameters.biases])


def reference_forward(architecture: Architecture, tensors: list[torch.Tensor], states: torch.Tensor) -> torch.Tensor:
    """Compute actions by plain autograd operations; `tensors` are all weights, then all biases."""
    layers, sources = len(tensors) // 2, {target: source for source, target in architecture.skips}
    outputs = [states]
    for layer in range(layers):
        total = outputs[-1] @ tensors[layer] + tensors[layers + layer]
        output = total.tanh() if layer == layers - 1 else total.relu()
        outputs.append(output + outputs[sources[layer + 1]] if layer + 1 in sources else output)
    return outputs[-1]


def reference_training(architecture, tensors, states, actions, steps, rate, momentum):
    """Plain autograd through every step."""
    velocity = [torch.zeros_like(tensor) for tensor in tensors]
    for _ in range(steps):
        loss = ((reference_forward(architecture, tensors, states) - actions) ** 2).mean((1, 2)).sum()
        gradients = torch.autograd.grad(loss, tensors, create_graph=True)
        velocity = [momentum * v + g for v, g in zip(velocity, gradients, strict=True)]
        tensors = [p - rate * v for p, v in zip(tensors, velocity, strict=True)]
    return tensors


def reference_adam(architecture, tensors, states, actions, steps, rate, epsilon):
    """Adam as torch has it, by plain autograd; the 1e-60 keeps the root's slope finite where a gradient is 0."""
    first, second = ([torch.zeros_like(tensor) for tensor in tensors] for _ in range(2))
    for step in range(1, steps + 1):
        loss = ((reference_forward(architecture, tensors, states) - actions) ** 2).mean((1, 2)).sum()
        gradients = torch.autograd.grad(loss, tensors, create_graph=True)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradients, strict=True)]
        roots = [(v / (1 - 0.999**step) + 1e-60).sqrt() + epsilon for v in second]
        updates = [m / (1 - 0.9**step) / root for m, root in zip(first, roots, strict=True)]
        tensors = [p - rate * update for p, update in zip(tensors, updates, strict=True)]
    return tensors


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return the length of the difference over that of `wanted`."""
    return ((found - wanted).norm() / wanted.norm()).item()
