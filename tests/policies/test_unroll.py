"""The inner loop and its exact gradient, against autograd and central differences in float64."""

import dataclasses

import pytest
import torch

from helpers.autograd import doubled, reference_adam, reference_forward, reference_training, relative
from obdistill.policies.adam_unroll import AdamUnroll
from obdistill.policies.architectures import ARCHITECTURES, Architecture
from obdistill.policies.network import Network, Parameters, orthogonal_policies
from obdistill.policies.precision import products, resolve
from obdistill.policies.settings import Precision
from obdistill.policies.unroll import Unroll

RUNS, PAIRS, STATE, ACTION, STEPS, RATE = 2, 7, 5, 3, 6, 0.3


def small(name: str) -> Architecture:
    return dataclasses.replace(ARCHITECTURES[name], hidden_widths=tuple(16 for _ in ARCHITECTURES[name].hidden_widths))


def problem(name: str, dtype=torch.float64, runs=RUNS, pairs=PAIRS, state=STATE, action=ACTION, architecture=None):
    generator = torch.Generator().manual_seed(3)
    architecture = architecture or small(name)
    initial = orthogonal_policies(architecture, state, action, runs, generator)
    states = torch.randn(runs, pairs, state, generator=generator, dtype=torch.float64)
    actions = torch.rand(runs, pairs, action, generator=generator, dtype=torch.float64) * 2 - 1
    cotangent = Parameters(
        [torch.randn(w.shape, generator=generator, dtype=torch.float64) for w in initial.weights],
        [torch.randn(b.shape, generator=generator, dtype=torch.float64) for b in initial.biases],
    )
    return architecture, doubled(initial), states, actions, cotangent


def network_of(architecture, runs=RUNS, columns=False):
    return Network(architecture, runs, PAIRS, STATE, ACTION, torch.float64, columns=columns)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_equals_autograd_in_float64(name, momentum):
    architecture, initial, states, actions, cotangent = problem(name)
    unroll = Unroll(network_of(architecture), STEPS, RATE, momentum)
    trained = unroll.train(initial, states, actions)
    found = unroll.pull_back(cotangent)

    leaves = [tensor.clone().requires_grad_() for tensor in (states, actions)]
    start = [tensor.clone().requires_grad_() for tensor in initial.tensors()]
    wanted = reference_training(architecture, start, *leaves, STEPS, RATE, momentum)
    objective = sum((w * c).sum() for w, c in zip(wanted, cotangent.tensors(), strict=True))
    gradients = torch.autograd.grad(objective, leaves)

    for mine, theirs in zip(trained.tensors(), wanted, strict=True):
        assert relative(mine, theirs.detach()) < 1e-12
    for mine, theirs in zip(found, gradients, strict=True):
        assert relative(mine, theirs) < 1e-8


@pytest.mark.parametrize("epsilon", [1e-3, 1e-1])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_adam_equals_autograd_in_float64(name, epsilon):
    architecture, initial, states, actions, cotangent = problem(name)
    unroll = AdamUnroll(network_of(architecture, columns=True), STEPS, 0.05, epsilon)
    leaves = [tensor.clone().requires_grad_() for tensor in (states, actions)]
    start = [tensor.clone().requires_grad_() for tensor in initial.tensors()]
    wanted = reference_adam(architecture, start, *leaves, STEPS, 0.05, epsilon)
    objective = sum((w * c).sum() for w, c in zip(wanted, cotangent.tensors(), strict=True))
    for mine, theirs in zip(unroll.train(initial, states, actions).tensors(), wanted, strict=True):
        assert relative(mine, theirs.detach()) < 1e-12
    for mine, theirs in zip(unroll.pull_back(cotangent), torch.autograd.grad(objective, leaves), strict=True):
        assert relative(mine, theirs) < 1e-8


def test_adam_leaves_units_that_are_off_alone():
    architecture, initial, states, actions, cotangent = problem("mlp_2")
    initial.biases[0][:, :, :4] = -100  # four hidden units that no pair turns on
    unroll = AdamUnroll(network_of(architecture, columns=True), STEPS, 0.05, 1e-3)
    trained = unroll.train(initial, states, actions)
    assert torch.equal(trained.weights[0][:, :, :4], initial.weights[0][:, :, :4])
    assert all(gradient.isfinite().all() for gradient in unroll.pull_back(cotangent))


def test_equals_central_differences():
    architecture, initial, states, actions, cotangent = problem("mlp_4")
    unroll = Unroll(network_of(architecture), STEPS, RATE, 0.5)

    def objective(x: torch.Tensor, a: torch.Tensor) -> float:
        trained = unroll.train(initial, x, a)
        return sum((w * c).sum().item() for w, c in zip(trained.tensors(), cotangent.tensors(), strict=True))

    unroll.train(initial, states, actions)
    gradients = unroll.pull_back(cotangent)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        directions = [torch.randn(g.shape, generator=generator, dtype=torch.float64) for g in gradients]
        h = 1e-6
        ahead = objective(states + h * directions[0], actions + h * directions[1])
        behind = objective(states - h * directions[0], actions - h * directions[1])
        slope = sum((g * d).sum().item() for g, d in zip(gradients, directions, strict=True))
        assert slope == pytest.approx((ahead - behind) / (2 * h), rel=1e-5)


def at_the_papers_size(dtype: torch.dtype, precision: Precision = "float32") -> torch.Tensor:
    """Return the gradient of 256 pairs through 100 steps of the paper's network."""
    architecture, initial, states, actions, cotangent = problem(
        "mlp_4", runs=1, pairs=256, state=17, action=6, architecture=ARCHITECTURES["mlp_4"]
    )
    unroll = Unroll(Network(architecture, 1, 256, 17, 6, dtype), 100, 0.1)
    with products(precision):
        unroll.train(
            Parameters([w.to(dtype) for w in initial.weights], [b.to(dtype) for b in initial.biases]),
            states.to(dtype),
            actions.to(dtype),
        )
        found = unroll.pull_back(
            Parameters([w.to(dtype) for w in cotangent.weights], [b.to(dtype) for b in cotangent.biases])
        )
    return torch.cat([g.flatten().double() for g in found])


def test_lower_precisions_point_the_same_way():
    exact, full, reduced = (
        at_the_papers_size(torch.float64),
        at_the_papers_size(torch.float32),
        at_the_papers_size(torch.float32, "reduced"),  # as full where the processor has no such products
    )
    assert torch.cosine_similarity(exact, full, dim=0) > 0.999
    assert torch.cosine_similarity(exact, reduced, dim=0) > 0.99
    if torch.cpu.get_capabilities().get("avx512_bf16"):
        assert not torch.equal(full, reduced)


INTEL = {"cpu_name": "Intel(R) Xeon(R) Processor", "avx512_bf16": True, "amx_bf16": False}
AMX = INTEL | {"amx_bf16": True}
ZEN_3 = {"cpu_name": "AMD EPYC", "avx512_bf16": False, "amx_bf16": False}
ZEN_4 = ZEN_3 | {"avx512_bf16": True}


@pytest.mark.parametrize(
    ("precision", "device", "cpu", "cuda", "chosen"),
    [
        ("auto", "cpu", AMX, False, "reduced"),
        ("auto", "cpu", ZEN_4, False, "reduced"),
        ("auto", "cpu", INTEL, True, "float32"),
        ("auto", "cpu", ZEN_3, False, "float32"),
        ("auto", "cpu", {}, False, "float32"),
        ("auto", "cuda:0", ZEN_3, True, "reduced"),
        ("float32", "cuda", AMX, True, "float32"),
        ("reduced", "cpu", ZEN_3, False, "reduced"),
    ],
)
def test_reduced_precision_is_chosen_where_it_is_faster(monkeypatch, precision, device, cpu, cuda, chosen):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert resolve(precision, device) == chosen


def test_the_precision_of_products_is_put_back():
    before = torch.get_float32_matmul_precision()
    with products("reduced"):
        assert torch.get_float32_matmul_precision() == "medium"
    assert torch.get_float32_matmul_precision() == before


def test_runs_do_not_mix():
    architecture, initial, states, actions, cotangent = problem("residual")
    together = Unroll(network_of(architecture), STEPS, RATE)
    together.train(initial, states, actions)
    whole = together.pull_back(cotangent)
    alone = Unroll(network_of(architecture, runs=1), STEPS, RATE)
    for run in range(RUNS):
        one = slice(run, run + 1)
        alone.train(initial[one], states[one], actions[one])
        for part, full in zip(alone.pull_back(cotangent[one]), whole, strict=True):
            assert relative(part, full[one]) < 1e-12


def test_training_without_keeping_is_the_same_training():
    architecture, initial, states, actions, _ = problem("mlp_4")
    for steps in (5, 6):
        trained = [
            Unroll(network_of(architecture), steps, RATE, 0.9, keep).train(initial, states, actions)
            for keep in (True, False)
        ]
        for kept, forgotten in zip(*(t.tensors() for t in trained), strict=True):
            assert torch.equal(kept, forgotten)


def test_a_second_call_starts_afresh():
    architecture, initial, states, actions, cotangent = problem("mlp_4")
    unroll = Unroll(network_of(architecture), STEPS, RATE, 0.9)
    unroll.train(initial, states, actions)
    first = unroll.pull_back(cotangent)
    unroll.train(initial, states * 2, actions)
    unroll.pull_back(cotangent)
    unroll.train(initial, states, actions)
    for before, after in zip(first, unroll.pull_back(cotangent), strict=True):
        assert torch.equal(before, after)


def test_regression_gradient_equals_autograd():
    architecture, initial, states, actions, _ = problem("residual")
    weights = torch.rand(RUNS, PAIRS, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    network = Network(architecture, RUNS, PAIRS, STATE, ACTION, torch.float64)
    gradient = Parameters.zeros(network.widths, RUNS, dtype=torch.float64, device="cpu")
    work = network.units(), network.units()
    loss = network.regression_gradient(initial, states, actions, weights, *work, out=gradient)

    leaves = [tensor.clone().requires_grad_() for tensor in initial.tensors()]
    wanted = (weights * (reference_forward(architecture, leaves, states) - actions) ** 2).mean((1, 2))
    assert torch.allclose(loss, wanted, rtol=1e-12)
    for mine, theirs in zip(gradient.tensors(), torch.autograd.grad(wanted.sum(), leaves), strict=True):
        assert relative(mine, theirs) < 1e-12


def test_fresh_policies_are_orthogonal_seeded_and_different():
    architecture = ARCHITECTURES["mlp_4"]
    first = orthogonal_policies(architecture, 17, 6, 2, torch.Generator().manual_seed(0))
    again = orthogonal_policies(architecture, 17, 6, 2, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(first.tensors(), again.tensors(), strict=True))
    middle = first.weights[1]  # (R, 256, 256)
    assert torch.allclose(middle @ middle.mT, 2 * torch.eye(256).expand(2, -1, -1), atol=1e-4)
    assert not torch.equal(middle[0], middle[1])
    assert all(not bias.any() for bias in first.biases)


def test_the_residual_network_adds_the_first_layer_after_the_third_layers_relu():
    """The authors' form: relu(W3 h2 + b3) + h1; the sum may not pass a ReLU."""
    architecture, parameters, states, _, _ = problem("residual")
    x = states
    hidden = []
    for weight, bias in zip(parameters.weights[:3], parameters.biases[:3], strict=True):
        x = torch.relu(x @ weight + bias)
        hidden.append(x)
    wanted = torch.tanh((hidden[2] + hidden[0]) @ parameters.weights[3] + parameters.biases[3])
    network = Network(architecture, RUNS, PAIRS, STATE, ACTION, torch.float64)
    assert relative(network.forward(parameters, states, network.units()), wanted) < 1e-14
    before = torch.relu(hidden[1] @ parameters.weights[2] + parameters.biases[2] + hidden[0])
    assert relative(torch.tanh(before @ parameters.weights[3] + parameters.biases[3]), wanted) > 1e-2


@pytest.mark.parametrize("skips", [((1, 2),), ((1, 3), (2, 4)), ((1, 2), (1, 4)), ((2, 3), (3, 4))])
def test_any_skips_equal_autograd(skips):
    architecture = Architecture((8, 8, 8, 8), skips)
    _, initial, states, actions, cotangent = problem("", architecture=architecture)
    unroll = Unroll(network_of(architecture), STEPS, RATE)
    unroll.train(initial, states, actions)
    found = unroll.pull_back(cotangent)
    leaves = [tensor.clone().requires_grad_() for tensor in (states, actions)]
    start = [tensor.clone().requires_grad_() for tensor in initial.tensors()]
    wanted = reference_training(architecture, start, *leaves, STEPS, RATE, 0.0)
    objective = sum((w * c).sum() for w, c in zip(wanted, cotangent.tensors(), strict=True))
    for mine, theirs in zip(found, torch.autograd.grad(objective, leaves), strict=True):
        assert relative(mine, theirs) < 1e-8
