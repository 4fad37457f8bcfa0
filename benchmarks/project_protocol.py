"""Time one outer step of the project protocol: the engine, the plain way, and the parts of the engine.

CPU seconds of one thread. The plain way draws one policy of all units, fits its last layer and goes back through that
by autograd; the engine has the gradient of the loss that is expected of such policies. The script compares the
engine's with the mean of the plain ones over several policies.

    python benchmarks/project_protocol.py --rounds 5
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from obdistill.policies import random_features
from obdistill.synsets.ridge_gradient import UNITS, RidgeGradient
from obdistill.synsets.settings import PROTOCOL

STATE, ACTION, SIZE = 17, 6, 256  # HalfCheetah, and the paper's synset
BATCH = PROTOCOL.outer.batch_size
Batch = tuple[Tensor, Tensor, Tensor]


def flops(units: int) -> float:
    """Return the floating-point operations of the engine's products: forward, and twice as many in reverse."""
    forward = (SIZE + BATCH) * SIZE * STATE + (SIZE + BATCH) * STATE * units  # kernels, features
    forward += SIZE * SIZE * (units + ACTION) + BATCH * SIZE * (units + ACTION)  # solve, prediction
    forward += SIZE * units * ACTION + BATCH * units * ACTION  # variance
    return 3 * 2.0 * forward


def plain_step(layer: Tensor, states: Tensor, sums: Tensor, batch: Batch) -> Tensor:
    """Return the gradient through one policy by autograd, as one vector."""
    outer_states, targets, weights = (tensor[0] for tensor in batch)
    leaves = [states.clone().requires_grad_(), sums.clone().requires_grad_()]
    phi, width = random_features.features(leaves[0], layer), layer.shape[1]
    kernel = random_features.with_ridge(phi @ phi.T / width, PROTOCOL.inner.ridge)
    last = phi.T @ torch.linalg.solve(kernel, leaves[1]) / width
    output = (random_features.features(outer_states, layer) @ last).tanh()
    loss = (weights * (output - targets).square()).mean()
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, leaves)])


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
    parser.add_argument("--policies", type=int, default=20, help="policies of the mean plain gradient (default 20)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    engine = RidgeGradient(PROTOCOL)
    states, sums = (torch.randn(SIZE, n, generator=generator) for n in (STATE, ACTION))
    batch = (
        torch.randn(1, BATCH, STATE, generator=generator),
        torch.rand(1, BATCH, ACTION, generator=generator) * 2 - 1,
        torch.rand(1, BATCH, 1, generator=generator) * 2,
    )

    def layer(width: int) -> Tensor:
        return random_features.fresh_layers(STATE, width, 1, generator)[0]

    units, policy = layer(UNITS), layer(engine.width)
    features = random_features.features(batch[0][0], units)
    times = median_times(
        {
            "plain": lambda: plain_step(policy, states, sums, batch),
            "engine": lambda: engine(units, states, sums, batch),
            "engine, forward alone": lambda: engine.predict(states, sums, units, batch[0][0]),
            "random units": lambda: layer(UNITS),
            "fitting one policy": lambda: random_features.fit(states, sums.tanh(), PROTOCOL.inner.ridge, policy[None]),
            "50 products of the largest kind": lambda: [features.T @ features[:, :SIZE] for _ in range(50)],
        },
        arguments.rounds,
    )
    for name, seconds in times.items():
        print(f"{name:>32} {1000 * seconds:8.1f} ms")
    speed = 50 * 2 * BATCH * SIZE * UNITS / times["50 products of the largest kind"] / 1e9
    total = flops(UNITS) / 1e9
    print(f"ratio plain / engine {times['plain'] / times['engine']:.2f}")
    print(f"products: {total:.2f} GFLOP, {1000 * total / speed:.0f} ms at the {speed:.0f} GFLOP/s of the largest")
    ours = torch.cat([gradient.flatten() for gradient in engine(layer(8192), states, sums, batch)[1:]])
    found = [plain_step(layer(engine.width), states, sums, batch) for _ in range(arguments.policies)]
    cosine = torch.cosine_similarity(ours, torch.stack(found).mean(0), dim=0).item()
    print(f"cosine of the engine's gradient with the mean of {len(found)} plain ones {cosine:.4f}", end="")
    print(f", of two plain ones {torch.cosine_similarity(found[0], found[-1], dim=0).item():.4f}")


if __name__ == "__main__":
    main()
