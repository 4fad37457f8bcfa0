"""Time one outer step of the project protocol: the engine, the plain way, and the parts of the engine.

CPU seconds of one thread. The plain way is autograd through all inner steps of Adam at once; both compute the same
gradient, and the script checks that.

    python benchmarks/project_protocol.py --rounds 5
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import Parameters, orthogonal_policies
from obdistill.synsets.outer_loop import MetaGradient
from obdistill.synsets.settings import DistillSettings, InnerSettings

STATE, ACTION, SIZE = 17, 6, 256  # HalfCheetah, and the paper's synset
SETTINGS = DistillSettings(
    inner=InnerSettings(
        architecture="mlp_2_512", optimizer="adam", steps=50, learning_rate=0.02, epsilon=1e-3, output_start="zero"
    )
)


def flops() -> tuple[float, float]:
    """Return the floating-point operations of the products of all inner steps, and of the outer loss."""
    inner, batch = SETTINGS.inner, SETTINGS.outer.batch_size
    layers = [i * o for i, o in itertools.pairwise(ARCHITECTURES[inner.architecture].widths(STATE, ACTION))]
    forward, reverse = 3 * sum(layers) - layers[0], 6 * sum(layers) - layers[0]
    return 2.0 * SIZE * inner.steps * (forward + reverse), 2.0 * batch * forward


def act(tensors: list[Tensor], states: Tensor) -> Tensor:
    hidden = (states @ tensors[0] + tensors[2]).relu()
    return (hidden @ tensors[1] + tensors[3]).tanh()


def plain_step(initial: Parameters, states: Tensor, actions: Tensor, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the meta-gradient by autograd through the whole inner loop, as one vector."""
    inner = SETTINGS.inner
    leaves = [states.clone().requires_grad_(), actions.clone().requires_grad_()]
    tensors = [tensor[0].clone().requires_grad_() for tensor in initial.tensors()]
    first, second = ([torch.zeros_like(tensor) for tensor in tensors] for _ in range(2))
    for step in range(1, inner.steps + 1):
        loss = ((act(tensors, leaves[0]) - leaves[1]) ** 2).mean()
        gradients = torch.autograd.grad(loss, tensors, create_graph=True)
        first = [0.9 * m + 0.1 * g for m, g in zip(first, gradients, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, gradients, strict=True)]
        roots = [(v / (1 - 0.999**step) + 1e-30).sqrt() + inner.epsilon for v in second]
        updates = [m / (1 - 0.9**step) / root for m, root in zip(first, roots, strict=True)]
        tensors = [p - inner.learning_rate * update for p, update in zip(tensors, updates, strict=True)]
    outer_states, targets, weights = (tensor[0] for tensor in batch)
    outer = (weights * (act(tensors, outer_states) - targets) ** 2).mean()
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(outer, leaves)])


def median_times(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return each contestant's median CPU seconds over interleaved rounds, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for round_, (name, run) in itertools.product(range(rounds + 1), contestants.items()):
        start = time.process_time()
        run()
        if round_:
            times[name].append(time.process_time() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default 5)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    engine = MetaGradient(SETTINGS, SIZE, (STATE, ACTION))
    network = ARCHITECTURES[SETTINGS.inner.architecture]
    initial = orthogonal_policies(network, STATE, ACTION, 1, generator, zero_output=True)
    states = torch.randn(SIZE, STATE, generator=generator)
    actions = torch.rand(SIZE, ACTION, generator=generator) * 2 - 1
    outer = SETTINGS.outer.batch_size
    batch = (
        torch.randn(1, outer, STATE, generator=generator),
        torch.rand(1, outer, ACTION, generator=generator) * 2 - 1,
        torch.rand(1, outer, 1, generator=generator) * 2,
    )
    inputs = (initial, states, actions, batch)
    found = torch.cat([gradient.flatten() for gradient in engine(*inputs)[1:]])
    square = torch.randn(1, 256, 256)
    times = median_times(
        {
            "plain": lambda: plain_step(*inputs),
            "engine": lambda: engine(*inputs),
            "inner loop": lambda: engine.unroll.train(initial, states[None], actions[None]),
            "its reverse": lambda: engine.unroll.pull_back(engine._cotangent),
            "fresh policy": lambda: orthogonal_policies(network, STATE, ACTION, 1, generator, zero_output=True),
            "50 products of 256^3": lambda: [torch.bmm(square, square) for _ in range(50)],
        },
        rounds,
    )
    for name, seconds in times.items():
        print(f"{name:>22} {1000 * seconds:8.1f} ms")
    speed = 50 * 2 * 256**3 / times["50 products of 256^3"] / 1e9
    print(f"ratio plain / engine {times['plain'] / times['engine']:.2f}; cosine of the two gradients ", end="")
    print(f"{torch.cosine_similarity(found, plain_step(*inputs), dim=0).item():.6f}")
    total = sum(flops()) / 1e9
    print(f"products: {total:.2f} GFLOP, {1000 * total / speed:.0f} ms at the {speed:.0f} GFLOP/s of 256^3")


if __name__ == "__main__":
    main()
