"""The outer loop: what it writes, its optimizers, resume, divergence, determinism."""

import shutil

import numpy as np
import pytest
import torch

from helpers.small import make_small_dataset, write_small_inputs
from obdistill.core import artifacts
from obdistill.core.checkpoints import Checkpoint, flatten
from obdistill.core.errors import UserError
from obdistill.near_experts.networks import read_near_expert
from obdistill.policies.precision import resolve
from obdistill.synsets.objectives import RegressionTargets, WeightSettings
from obdistill.synsets.stage import (
    DistillSettings,
    InnerSettings,
    OuterLoop,
    OuterProblem,
    OuterSettings,
    distill,
    select,
)
from obdistill.synsets.synset import read_pairs


def small_settings(steps: int = 6, every: int = 2, **outer) -> DistillSettings:
    return DistillSettings(
        steps=steps,
        snapshot_every=every,
        inner=InnerSettings(architecture="mlp_2", steps=3),
        outer=OuterSettings(
            **{"batch_size": 16, "averaging": 0.0, "adaptive_clip": None, "weight_decay": 0.0, **outer}
        ),
    )


def small_loop(settings: DistillSettings, seed: int = 0) -> OuterLoop:
    generator = torch.Generator().manual_seed(9)
    states = torch.randn(50, 3, generator=generator)
    columns = RegressionTargets(torch.tanh(states[:, :1]), torch.ones(50))
    pairs = torch.randn(8, 3, generator=generator), torch.rand(8, 1, generator=generator)
    return OuterLoop(settings, OuterProblem(states, columns), pairs, seed)


def run(loop: OuterLoop, steps: int) -> OuterLoop:
    for _ in range(steps):
        loop.advance()
    return loop


def same(first: OuterLoop, second: OuterLoop) -> bool:
    mine, theirs = flatten(first.parts()), flatten(second.parts())
    return first.step == second.step and all(torch.equal(mine[name], theirs[name]) for name in mine.keys() | theirs)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_small_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.mark.parametrize("objective", ["random", "dbc", "pbc", "av_pbc"])
def test_every_objective_gives_the_same_artifact(objective, inputs, tmp_path):
    dataset, near_expert = inputs
    needs = near_expert if objective in ("pbc", "av_pbc") else None
    distill(dataset, needs, objective, 8, 3, small_settings(), tmp_path / "synset.npz")
    synset = read_pairs(tmp_path / "synset.npz")
    assert synset.steps.tolist() == ([0] if objective == "random" else [2, 4, 6])
    assert synset.observations.shape == (len(synset.steps), 8, 3)
    assert synset.actions.shape == (len(synset.steps), 8, 1)
    assert (synset.objective, synset.seed, synset.task.env_id) == (objective, 3, "Pendulum-v1")
    metrics, _ = artifacts.read_table(tmp_path / "metrics.csv", "metrics")
    assert metrics["step"].tolist() == ([] if objective == "random" else [1, 2, 3, 4, 5, 6])
    made = artifacts.read_sidecar(tmp_path / "synset.npz")
    assert made.get("precision") == (None if objective == "random" else resolve("auto", "cpu"))
    assert not list(tmp_path.glob("*checkpoint*"))


def test_random_selection_holds_real_pairs_without_repeats(inputs, tmp_path):
    distill(inputs[0], None, "random", 60, 0, small_settings(), tmp_path / "synset.npz")
    synset, data = read_pairs(tmp_path / "synset.npz"), make_small_dataset().transitions
    found = np.concatenate([synset.observations[0], synset.actions[0]], 1)
    wanted = np.concatenate([data.observations, data.actions], 1)
    order = [np.abs(wanted - row).sum(1).argmin() for row in found]
    assert sorted(order) == list(range(60))
    assert np.allclose(found, wanted[order], atol=1e-5)


def test_the_random_baseline_is_where_distillation_starts():
    dataset = make_small_dataset()
    again, other = select(dataset, 8, 1), select(dataset, 8, 2)
    assert torch.equal(select(dataset, 8, 1), again)
    assert not torch.equal(again, other)


@pytest.mark.parametrize("start", ["targets", "data"])
def test_pairs_start_at_what_the_objective_wants_or_at_the_data(start, inputs, tmp_path):
    dataset, near_expert = inputs
    settings = small_settings(steps=1, every=1, optimizer="sgd", learning_rate=1e-9).model_copy(update={"start": start})
    distill(dataset, near_expert, "pbc", 8, 3, settings, tmp_path / "synset.npz")
    distill(dataset, None, "random", 8, 3, settings, tmp_path / "random.npz")
    synset, random = read_pairs(tmp_path / "synset.npz"), read_pairs(tmp_path / "random.npz")
    assert np.allclose(synset.observations, random.observations, atol=1e-5)
    wanted = read_near_expert(near_expert).actions(random.observations[0])
    expected = random.normalizer.raw_actions(wanted) if start == "targets" else random.actions[0]
    assert np.allclose(synset.actions[0], expected, atol=1e-5)
    assert not np.allclose(random.normalizer.raw_actions(wanted), random.actions[0], atol=1e-2), "the case to test"


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
                loop.problem.columns.weights.mul_(spike)
            loop.advance()
            norms.append(torch.cat([loop.states.grad, loop.actions.grad], 1).norm().item())
            if step == 15:
                loop.problem.columns.weights.div_(spike)
        median = loop.metrics[:15, 2].median().item()
        assert loop.metrics[15, 2] > 0.1 * spike * median, "the metrics show the norm before clipping"
        return [norm / median for norm in norms]

    calm, spiked, worse = gradients(1.0), gradients(1000.0), gradients(2000.0)
    assert calm[15] < 2, "nothing to damp in a calm run"
    assert spiked[:15] == worse[:15] == calm[:15]
    # the limit squared over the length, both in medians
    assert spiked[15] == pytest.approx(4 / (1000 * calm[15]), rel=1e-3)
    assert worse[15] == pytest.approx(spiked[15] / 2, rel=1e-3)


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


def test_inverse_sqrt_schedule_does_not_depend_on_the_length_of_the_run():
    settings = {"schedule": "inverse_sqrt", "learning_rate": 0.1, "decay_steps": 3}
    long, short = (run(small_loop(small_settings(steps=n, every=n, **settings)), 10) for n in (20, 10))
    assert long.metrics[:4, 3].tolist() == pytest.approx(
        [0.1, 0.1 / (4 / 3) ** 0.5, 0.1 / (5 / 3) ** 0.5, 0.1 / 2**0.5]
    )
    assert torch.equal(long.states, short.states)


def test_snapshots_show_the_synset_after_their_step_and_the_last_is_kept():
    loop = small_loop(small_settings(steps=5, every=2))
    assert loop.settings.snapshot_steps() == [2, 4, 5]
    for index, steps in enumerate((2, 2, 1)):
        run(loop, steps)
        assert torch.equal(loop.snapshot_states[index], loop.states)
        assert torch.equal(loop.snapshot_actions[index], loop.actions)


def test_an_average_of_1_is_the_plain_mean_of_all_synsets():
    loop = small_loop(small_settings(steps=4, every=4, average=1.0))
    seen = []
    for _ in range(4):
        run(loop, 1)
        seen.append(loop.states.clone())
    assert torch.allclose(loop.snapshot_states[-1], torch.stack(seen).mean(0), atol=1e-6)


def test_averaged_snapshots_are_a_mean_of_the_synsets():
    averaged, plain = (small_loop(small_settings(average=average)) for average in (0.5, 0.0))
    mean = plain.states.clone()
    for step in range(1, 7):
        run(plain, 1), run(averaged, 1)
        newest = 1 / (1 + 0.5 * (step - 1))
        mean = (1 - newest) * mean + newest * plain.states
    assert torch.equal(averaged.states, plain.states), "averaging does not change the descent"
    assert torch.allclose(averaged.snapshot_states[-1], mean, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_resume_equals_a_straight_run_bit_for_bit(optimizer, tmp_path):
    settings = small_settings(optimizer=optimizer, average=0.9)
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


def test_same_seed_same_bytes_other_seed_other_bytes(inputs, tmp_path):
    digests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        distill(*inputs, "av_pbc", 8, seed, small_settings(), tmp_path / name / "synset.npz")
        digests.append([artifacts.sha256(tmp_path / name / file) for file in ("synset.npz", "metrics.csv")])
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


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


@pytest.mark.parametrize(
    ("objective", "size", "message"),
    [("pbc", 8, "--near-expert: missing"), ("dbc", 61, "size: 61: is more than the 60 transitions")],
)
def test_bad_input_is_one_line(objective, size, message, inputs, tmp_path):
    with pytest.raises(UserError, match=message):
        distill(inputs[0], None, objective, size, 0, small_settings(), tmp_path / "synset.npz")
    assert not list(tmp_path.iterdir())


def test_a_damaged_dataset_is_refused(inputs, tmp_path):
    for path in (inputs[0], artifacts.sidecar(inputs[0])):
        shutil.copy(path, tmp_path)
    copy = tmp_path / "dataset.npz"
    copy.write_bytes(copy.read_bytes()[:-20])
    with pytest.raises(UserError, match="damaged"):
        distill(copy, None, "dbc", 8, 0, small_settings(), tmp_path / "synset.npz")


def test_settings_refuse_snapshots_beyond_the_steps():
    with pytest.raises(ValueError, match="snapshot_every 9 is more than steps 6"):
        small_settings(steps=6, every=9)
    assert WeightSettings().form == "mean_one"
