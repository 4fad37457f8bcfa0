"""The outer loop: its gradient, optimizers, schedules, averages, resume, divergence."""

import pytest
import torch

from helpers.autograd import doubled, reference_forward, reference_training, relative
from helpers.distillation import small_settings
from obdistill.core.checkpoints import Checkpoint, flatten
from obdistill.core.errors import UserError
from obdistill.policies.architectures import ARCHITECTURES
from obdistill.policies.network import orthogonal_policies
from obdistill.synsets.objectives import RegressionTargets
from obdistill.synsets.outer_loop import MetaGradient, OuterLoop, OuterProblem, snapshot_steps
from obdistill.synsets.settings import DistillSettings, InnerSettings, OuterSettings, WeightSettings


def small_loop(settings: DistillSettings, seed: int = 0) -> OuterLoop:
    generator = torch.Generator().manual_seed(9)
    states = torch.randn(50, 3, generator=generator)
    regression = RegressionTargets(torch.tanh(states[:, :1]), torch.ones(50))
    pairs = torch.randn(8, 3, generator=generator), torch.rand(8, 1, generator=generator)
    return OuterLoop(settings, OuterProblem(states, regression), pairs, seed)


def run(loop: OuterLoop, steps: int) -> OuterLoop:
    for _ in range(steps):
        loop.advance()
    return loop


def same(first: OuterLoop, second: OuterLoop) -> bool:
    mine, theirs = flatten(first.parts()), flatten(second.parts())
    return first.step == second.step and all(torch.equal(mine[name], theirs[name]) for name in mine.keys() | theirs)


def test_meta_gradient_is_that_of_the_outer_loss():
    """The whole chain: synset -> inner loop -> weighted outer loss over two initializations."""
    architecture = ARCHITECTURES["mlp_2"]
    settings = DistillSettings(
        steps=1,
        snapshot_every=1,
        inner=InnerSettings(architecture="mlp_2", steps=4),
        outer=OuterSettings(batch_size=9, initializations=2),
    )
    generator = torch.Generator().manual_seed(0)
    initial = doubled(orthogonal_policies(architecture, 5, 3, 2, generator))
    states, actions, outer_states, targets, weights = (
        torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((7, 5), (7, 3), (1, 9, 5), (1, 9, 3), (1, 9, 1))
    )
    meta = MetaGradient(settings, 7, (5, 3), torch.float64)
    batch = tuple(tensor.detach() for tensor in (outer_states, targets, weights))
    loss, *gradients = meta(initial, states.detach(), actions.detach(), batch)

    start = [tensor.clone().requires_grad_() for tensor in initial.tensors()]
    pairs = states.expand(2, -1, -1), actions.expand(2, -1, -1)
    trained = reference_training(architecture, start, *pairs, 4, settings.inner.learning_rate, 0.0)
    wanted = (batch[2] * (reference_forward(architecture, trained, batch[0]) - batch[1]) ** 2).mean()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-12)
    for mine, theirs in zip(gradients, torch.autograd.grad(wanted, [states, actions]), strict=True):
        assert relative(mine, theirs) < 1e-8


def test_the_papers_outer_step_is_clipped_sgd_with_momentum():
    loop = small_loop(small_settings(optimizer="sgd", learning_rate=0.1, momentum=0.9, clip=1e-3))
    start, velocity = loop.states.clone(), torch.zeros_like(loop.states)
    position = start.clone()
    for _ in range(3):
        loop.advance()
        total = torch.sqrt(loop.states.grad.square().sum() + loop.actions.grad.square().sum())
        assert total.item() == pytest.approx(1e-3, rel=1e-3), "the norm was clipped"
        velocity = 0.9 * velocity + loop.states.grad
        position = position - 0.1 * velocity
    assert torch.allclose(loop.states, position, atol=1e-7)
    assert (loop.metrics[:3, 2] > 1e-3).all(), "the metrics show the norm before clipping"


def test_a_spike_counts_the_less_the_longer_it_is():
    def gradients(spike: float) -> list[float]:
        loop = small_loop(small_settings(steps=20, every=20, adaptive_clip=2.0))
        norms = []
        for step in range(20):
            if step == 15:
                loop.problem.regression.weights.mul_(spike)
            loop.advance()
            norms.append(torch.cat([loop.states.grad, loop.actions.grad], 1).norm().item())
            if step == 15:
                loop.problem.regression.weights.div_(spike)
        median = loop.metrics[:15, 2].median().item()
        assert loop.metrics[15, 2] > 0.1 * spike * median, "the metrics show the norm before clipping"
        return [norm / median for norm in norms]

    calm, spiked, worse = gradients(1.0), gradients(1000.0), gradients(2000.0)
    assert calm[15] < 2, "nothing to damp in a calm run"
    assert spiked[:15] == worse[:15] == calm[:15]
    # the limit squared over the length, both in medians
    assert spiked[15] == pytest.approx(4 / (1000 * calm[15]), rel=1e-3)
    assert worse[15] == pytest.approx(spiked[15] / 2, rel=1e-3)


def test_batches_without_weight_do_not_diverge():
    """Where nearly all weight lies on a few states, most batches have none, and the usual gradient norm is 0."""
    loop = small_loop(small_settings(steps=40, every=40, adaptive_clip=2.0))
    loop.problem.regression.weights.zero_()
    loop.problem.regression.weights[7] = 50.0
    run(loop, 40).check()
    norms = loop.metrics[:, 2]
    assert norms.median() == 0
    assert norms.max() > 0
    assert loop.states.isfinite().all()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_weight_decay_pulls_the_pairs_towards_zero(optimizer):
    settings = {"optimizer": optimizer, "learning_rate": 0.1, "schedule": "constant", "momentum": 0.0}
    loops = [small_loop(small_settings(weight_decay=decay, **settings)) for decay in (0.0, 0.5)]
    before = loops[0].states.clone()
    for loop in loops:
        loop.advance()
    free, held = (loop.states for loop in loops)
    assert torch.allclose(held, free - 0.1 * 0.5 * before, atol=1e-6)


def test_adam_lowers_the_outer_loss():
    loop = run(small_loop(small_settings(steps=60, every=60, learning_rate=0.03)), 60)
    losses = loop.metrics[:, 1]
    assert losses[-10:].mean() < 0.8 * losses[:10].mean()


def test_cosine_schedule_ends_at_zero():
    loop = run(small_loop(small_settings(steps=10, every=10, schedule="cosine", learning_rate=0.1)), 10)
    rates = loop.metrics[:, 3].tolist()
    assert rates[0] == 0.1
    assert rates[5] == pytest.approx(0.05)
    assert 0 < rates[-1] < 0.003


@pytest.mark.parametrize("schedule", ["constant", "cosine", "inverse_sqrt"])
def test_a_warmup_raises_the_rate_of_any_schedule_in_proportion_to_the_step(schedule):
    settings = {"steps": 8, "every": 8, "schedule": schedule, "learning_rate": 0.1}
    plain, warm = (run(small_loop(small_settings(**settings, warmup_steps=n)), 8).metrics[:, 3] for n in (0, 4))
    assert (warm / plain).tolist() == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])


def test_inverse_sqrt_schedule_does_not_depend_on_the_length_of_the_run():
    settings = {"schedule": "inverse_sqrt", "learning_rate": 0.1, "decay_steps": 3}
    long, short = (run(small_loop(small_settings(steps=n, every=n, **settings)), 10) for n in (20, 10))
    assert long.metrics[:4, 3].tolist() == pytest.approx(
        [0.1, 0.1 / (4 / 3) ** 0.5, 0.1 / (5 / 3) ** 0.5, 0.1 / 2**0.5]
    )
    assert torch.equal(long.states, short.states)


def test_snapshots_show_the_synset_after_their_step_and_the_last_is_kept():
    loop = small_loop(small_settings(steps=5, every=2))
    assert snapshot_steps(loop.settings) == [2, 4, 5]
    for index, steps in enumerate((2, 2, 1)):
        run(loop, steps)
        assert torch.equal(loop.snapshot_states[index], loop.states)
        assert torch.equal(loop.snapshot_actions[index], loop.actions)


def test_an_average_of_1_is_the_plain_mean_of_all_synsets():
    loop = small_loop(small_settings(steps=4, every=4, averaging=1.0))
    seen = []
    for _ in range(4):
        run(loop, 1)
        seen.append(loop.states.clone())
    assert torch.allclose(loop.snapshot_states[-1], torch.stack(seen).mean(0), atol=1e-6)


def test_averaged_snapshots_are_a_mean_of_the_synsets():
    averaged, plain = (small_loop(small_settings(averaging=averaging)) for averaging in (0.5, 0.0))
    mean = plain.states.clone()
    for step in range(1, 7):
        run(plain, 1), run(averaged, 1)
        newest = 1 / (1 + 0.5 * (step - 1))
        mean = (1 - newest) * mean + newest * plain.states
    assert torch.equal(averaged.states, plain.states), "averaging does not change the descent"
    assert torch.allclose(averaged.snapshot_states[-1], mean, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_resume_equals_a_straight_run_bit_for_bit(optimizer, tmp_path):
    settings = small_settings(optimizer=optimizer, averaging=0.9)
    straight = run(small_loop(settings), 6)
    broken = run(small_loop(settings), 3)
    checkpoint = Checkpoint(tmp_path / "synset.npz", {"seed": 0})
    checkpoint.save(broken)
    resumed = small_loop(settings)
    checkpoint.restore(resumed)
    assert resumed.step == 3
    assert same(run(resumed, 3), straight)


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_not_used(tmp_path):
    loop = run(small_loop(small_settings()), 3)
    Checkpoint(tmp_path / "synset.npz", {"seed": 0}).save(loop)
    other = small_loop(small_settings())
    Checkpoint(tmp_path / "synset.npz", {"seed": 1}).restore(other)
    assert other.step == 0
    path = tmp_path / "synset.checkpoint.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    Checkpoint(tmp_path / "synset.npz", {"seed": 0}).restore(other)
    assert other.step == 0
    assert torch.equal(other.states, small_loop(small_settings()).states)


def test_divergence_names_step_and_setting():
    loop = run(small_loop(small_settings()), 2)
    loop.states.fill_(float("nan"))
    run(loop, 1)
    with pytest.raises(UserError, match=r"outer step 3: .*outer.learning_rate \(now 0.2\)"):
        loop.check()


def test_memory_stays_flat():
    loop = run(small_loop(small_settings(steps=40, every=40)), 10)
    storages = {name: tensor.data_ptr() for name, tensor in flatten(loop.parts()).items()}
    engine = [t.data_ptr() for t in loop.gradient.unroll._path.tensors()]
    run(loop, 20)
    assert {name: tensor.data_ptr() for name, tensor in flatten(loop.parts()).items()} == storages
    assert [t.data_ptr() for t in loop.gradient.unroll._path.tensors()] == engine
    assert not loop.states.requires_grad


def test_settings_refuse_snapshots_beyond_the_steps():
    with pytest.raises(ValueError, match="snapshot_every 9 is more than steps 6"):
        small_settings(steps=6, every=9)
    assert WeightSettings().form == "mean_one"
