"""Time one outer step: the engine against the plain way, interleaved in one process.

The plain way is how public code does it: an inner loop with autograd on a module, a deep copy of the module at each
inner step, then a double-backward pass through each copy. Both compute the same gradient; the script checks that.

    python benchmarks/meta_gradient.py --rounds 7
"""

import argparse
import copy
import functools
import itertools
import resource
import statistics
import time
from collections.abc import Callable
from typing import get_args

import torch
from torch import Tensor, nn

from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import Parameters, orthogonal_policies
from obdistill.policies.precision import products
from obdistill.policies.settings import Precision
from obdistill.synsets.outer_loop import MetaGradient
from obdistill.synsets.settings import DistillSettings, InnerSettings, OuterSettings

STATE, ACTION, BATCH = 17, 6, 2560  # HalfCheetah, and the paper's outer batch


def flops(architecture: str, size: int, steps: int) -> float:
    """Floating-point operations of the matrix products of one outer step and run."""
    widths = ARCHITECTURES[architecture].widths(STATE, ACTION)
    layers = [i * o for i, o in itertools.pairwise(widths)]
    forward = sum(layers) * 3 - layers[0]  # value, weight gradient, and all but the first input gradient
    reverse = sum(layers) * 6 - layers[0]  # the first layer has no tangent of its input
    return 2.0 * (size * steps * (forward + reverse) + BATCH * forward)


def plain_module(architecture: str) -> nn.Sequential:
    """Make a network as a module; one with skips is not known here."""
    widths = ARCHITECTURES[architecture].widths(STATE, ACTION)
    layers = [layer for i, o in itertools.pairwise(widths) for layer in (nn.Linear(i, o), nn.ReLU())]
    return nn.Sequential(*layers[:-1], nn.Tanh())


def plain_step(module: nn.Sequential, initial: Parameters, states: Tensor, actions: Tensor, batch, steps: int):
    """Return the meta-gradient as public code computes it."""
    with torch.no_grad():
        linears = [layer for layer in module if isinstance(layer, nn.Linear)]
        for layer, weight, bias in zip(linears, initial.weights, initial.biases, strict=True):
            layer.weight.copy_(weight[0].mT)
            layer.bias.copy_(bias[0, 0])
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    copies = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(module(states), actions)
        copies.append(copy.deepcopy(module))
        loss.backward()
        optimizer.step()
    outer_states, targets, weights = (tensor[0] for tensor in batch)
    outer = (weights * (module(outer_states) - targets) ** 2).mean()
    adjoint = list(torch.autograd.grad(outer, list(module.parameters())))
    leaves = [states.clone().requires_grad_(), actions.clone().requires_grad_()]
    total = [torch.zeros_like(leaf) for leaf in leaves]
    for kept in reversed(copies):
        parameters = list(kept.parameters())
        loss = nn.functional.mse_loss(kept(leaves[0]), leaves[1])
        gradient = torch.autograd.grad(loss, parameters, create_graph=True)
        found = torch.autograd.grad(gradient, leaves + parameters, grad_outputs=[-0.1 * a for a in adjoint])
        for sum_, part in zip(total, found[:2], strict=True):
            sum_ += part
        adjoint = [a + h for a, h in zip(adjoint, found[2:], strict=True)]
    return total


def median_times(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return each contestant's median seconds over interleaved rounds, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if round_:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def case(
    architecture: str, size: int, steps: int, runs: int, precision: Precision = "float32"
) -> tuple[MetaGradient, tuple]:
    """Make an engine and its inputs."""
    generator = torch.Generator().manual_seed(0)
    settings = DistillSettings(
        inner=InnerSettings(architecture=architecture, steps=steps),
        outer=OuterSettings(batch_size=BATCH, initializations=runs),
        precision=precision,
    )
    engine = MetaGradient(settings, size, (STATE, ACTION))
    initial = orthogonal_policies(ARCHITECTURES[architecture], STATE, ACTION, runs, generator)
    states = torch.randn(size, STATE, generator=generator)
    actions = torch.rand(size, ACTION, generator=generator) * 2 - 1
    batch = (
        torch.randn(1, BATCH, STATE, generator=generator),
        torch.rand(1, BATCH, ACTION, generator=generator) * 2 - 1,
        torch.rand(1, BATCH, 1, generator=generator) * 2,
    )
    return engine, (initial, states, actions, batch)


def product_speed(runs: int, precision: Precision, rounds: int) -> float:
    """Return GFLOP/s of plain 256 x 256 x 256 products in this process."""
    left, right = torch.randn(runs, 256, 256), torch.randn(runs, 256, 256)
    out = torch.empty_like(left)

    def many() -> None:
        for _ in range(50):
            torch.bmm(left, right, out=out)

    with products(precision):
        return 50 * runs * 2 * 256**3 / median_times({"bmm": many}, rounds)["bmm"] / 1e9


def compare(architecture: str, size: int, steps: int, rounds: int, threads: int) -> None:
    """Print the ratio plain / engine; one engine at a time takes turns with the plain way."""
    torch.set_num_threads(threads)
    module = plain_module(architecture)
    print(f"\n{architecture}, {threads} thread(s), {size} pairs, {steps} inner steps")
    print(f"seconds per run, medians of {rounds} rounds")
    columns = ("precision", "runs", "plain", "engine", "ratio", "GFLOP/s", "products", "cosine")
    print(" ".join(f"{column:>9}" for column in columns))
    for precision, runs in itertools.product(get_args(Precision)[1:], (1, 2, 5)):
        engine, inputs = case(architecture, size, steps, runs, precision)
        plain = functools.partial(plain_step, module, inputs[0][:1], *inputs[1:], steps)
        times = median_times({"plain": plain, "engine": lambda e=engine, i=inputs: e(*i)}, rounds)
        each = times["engine"] / runs
        # all runs have the same pairs: the mean over their gradients is compared with that of the plain way
        wanted = sum(
            torch.cat([g.flatten() for g in plain_step(module, inputs[0][run : run + 1], *inputs[1:], steps)])
            for run in range(runs)
        )
        found = torch.cat([g.flatten() for g in engine(*inputs)[1:]])
        speed = flops(architecture, size, steps) / each / 1e9, product_speed(runs, precision, rounds)
        cosine = torch.cosine_similarity(found, wanted, dim=0).item()
        print(
            f"{precision:>9} {runs:9} {times['plain']:9.3f} {each:9.3f} {times['plain'] / each:9.2f} "
            f"{speed[0]:9.0f} {speed[1]:9.0f} {cosine:9.5f}"
        )


def sweep(architecture: str, rounds: int) -> None:
    """Print seconds per outer step and run over sizes."""
    print(f"\n{architecture}: seconds per outer step and run, float32, medians of {rounds} rounds")
    print(f"{'threads':>7} {'runs':>5} {'pairs':>6} " + " ".join(f"{f'T={t}':>8}" for t in (20, 50, 100)))
    for threads, runs, size in itertools.product((1, 2), (1, 2, 5), (16, 64, 256)):
        torch.set_num_threads(threads)
        cells = []
        for steps in (20, 50, 100):
            engine, inputs = case(architecture, size, steps, runs)
            cells.append(median_times({"engine": lambda e=engine, i=inputs: e(*i)}, rounds)["engine"] / runs)
        print(f"{threads:7} {runs:5} {size:6} " + " ".join(f"{cell:8.4f}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds (default 7)")
    parser.add_argument("--pairs", type=int, default=256, help="size of the synset (default 256, the paper's)")
    parser.add_argument("--steps", type=int, default=100, help="inner steps (default 100, the paper's)")
    plain = [name for name, architecture in ARCHITECTURES.items() if not architecture.skips]
    parser.add_argument("--architecture", choices=plain, default="mlp_4", help="network (default mlp_4, the paper's)")
    parser.add_argument("--sweep", action="store_true", help="also print the time over sizes")
    arguments = parser.parse_args()
    for threads in (2, 1):
        compare(arguments.architecture, arguments.pairs, arguments.steps, arguments.rounds, threads)
    if arguments.sweep:
        sweep(arguments.architecture, arguments.rounds)
    print(f"\npeak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
