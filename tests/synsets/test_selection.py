"""Selections against the same written out by hand in float64, on small data."""

import itertools

import numpy as np
import pytest
import torch

from helpers.small import HIGH, TASK, make_small_dataset, make_small_near_expert, write_small_inputs
from obdistill.core import artifacts
from obdistill.core.errors import UserError
from obdistill.core.methods import METHODS, SELECTIONS
from obdistill.core.seeding import numpy_generator
from obdistill.datasets.transitions import Dataset, Transitions, make_dataset
from obdistill.synsets import density, selection
from obdistill.synsets.stage import make_selection
from obdistill.synsets.synset import read_pairs


def dataset_of(states, lengths, rewards=None) -> Dataset:
    """Whole episodes of given lengths with given states (n, S); the actions count up."""
    states = np.asarray(states, np.float32)
    n = len(states)
    last = np.isin(np.arange(1, n + 1), np.cumsum(lengths))
    return make_dataset(
        TASK,
        Transitions(
            states,
            np.linspace(-2, 2, n, dtype=np.float32)[:, None],
            np.zeros(n, np.float32) if rewards is None else np.asarray(rewards, np.float32),
            states,
            np.zeros(n, bool),
            last,
            np.repeat(np.arange(len(lengths)), lengths).astype(np.int32),
        ),
        -HIGH,
        HIGH,
    )


def normalized(dataset) -> np.ndarray:
    states = dataset.transitions.observations.astype(float)
    return (states - states.mean(0)) / (states.std(0) + 1e-3)


def log_density_by_hand(dataset, neighbor) -> np.ndarray:
    states = normalized(dataset)
    distances = np.sort(np.linalg.norm(states[:, None] - states[None], axis=-1), axis=1)
    return -states.shape[1] * np.log(distances[:, neighbor] + 1e-6)  # column 0 is the state itself


def rows_of(method, size, seed=0, dataset=None) -> list[int]:
    dataset = dataset or make_small_dataset()
    expert = make_small_near_expert() if METHODS[method].needs_near_expert else None
    return selection.select(method, dataset, expert, size, seed)[0].tolist()


@pytest.mark.parametrize("method", SELECTIONS)
def test_a_selection_is_a_synset_of_real_states_with_its_labels(method, tmp_path):
    data_path, expert_path = write_small_inputs(tmp_path)
    data, expert = make_small_dataset(), make_small_near_expert()
    make_selection(
        method=method, size=8, seed=3, dataset_path=data_path, near_expert_path=expert_path, out=tmp_path / "s.npz"
    )
    synset, rows = read_pairs(tmp_path / "s.npz"), rows_of(method, 8, 3)
    assert (synset.method, synset.variant, synset.seed, synset.steps.tolist()) == (method, "default", 3, [0])
    assert len(set(rows)) == 8
    states = data.transitions.observations[rows]
    wanted = 2 * expert.actions(states).numpy() if METHODS[method].needs_near_expert else data.transitions.actions[rows]
    assert np.allclose(synset.observations[0], states, atol=1e-5)
    assert np.allclose(synset.actions[0], wanted, atol=1e-5)
    assert synset.observations.dtype == synset.actions.dtype == np.float32
    metrics, _ = artifacts.read_table(tmp_path / "metrics.csv", "metrics")
    assert metrics.empty
    made = artifacts.read_sidecar(tmp_path / "s.npz")
    assert ("near_expert" in made["inputs"]) == METHODS[method].needs_near_expert
    assert (made["device"], made["threads"]) == ("cpu", torch.get_num_threads())


@pytest.mark.parametrize("method", SELECTIONS)
def test_the_seed_decides(method, tmp_path):
    inputs = write_small_inputs(tmp_path)
    digests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_selection(*inputs, method, 5, seed, tmp_path / name / "synset.npz")
        digests.append(artifacts.sha256(tmp_path / name / "synset.npz"))
    assert digests[0] == digests[1]
    assert (digests[0] == digests[2]) == (method == "top_return"), "nothing is drawn there"


@pytest.mark.parametrize("method", SELECTIONS)
def test_what_a_selection_lacks_is_told(method, tmp_path):
    dataset, _ = write_small_inputs(tmp_path)
    if METHODS[method].needs_near_expert:
        with pytest.raises(UserError, match=f"--near-expert: missing; {method} needs one"):
            make_selection(dataset, None, method, 8, 0, tmp_path / "synset.npz")
    at_most = 30 if method == "dual_ranking" else 60
    assert len(rows_of(method, at_most)) == at_most
    with pytest.raises(UserError, match=f"size: {at_most + 1}: is more than the {at_most} .* of pendulum"):
        rows_of(method, at_most + 1)


def test_relabeled_states_are_those_of_the_random_baseline():
    assert rows_of("random_relabeled", 20, 4) == rows_of("random", 20, 4)


@pytest.mark.parametrize(
    ("rewards", "size", "rows"),
    [
        ([1, 1, 5, 0, 0, 1, 1, 1], 4, [2, 3, 4, 5]),  # returns 2, 5, 4: all of the second, the first step of the third
        ([1, 1, 5, 0, 0, 1, 1, 1], 7, [2, 3, 4, 5, 6, 7, 0]),
        ([2, 1, 1, 1, 1, 3, 0, 0], 6, [0, 1, 2, 3, 4, 5]),  # all equal: in their order
        ([-1, -1, -5, 0, 0, -1, -1, -1], 3, [0, 1, 5]),
    ],
)
def test_top_return_takes_whole_episodes_in_order(rewards, size, rows):
    dataset = dataset_of(np.arange(8)[:, None], [2, 3, 3], rewards)
    assert rows_of("top_return", size, dataset=dataset) == rows


def test_k_center_is_the_farthest_state_each_time():
    dataset = make_small_dataset()
    rows = rows_of("k_center", 12)
    states = normalized(dataset)
    for count in range(1, 12):
        nearest = np.linalg.norm(states[:, None] - states[rows[:count]][None], axis=-1).min(1)
        assert rows[count] == nearest.argmax()
    assert len({rows_of("k_center", 1, seed)[0] for seed in range(8)}) > 4, "the first is drawn"


def test_k_center_covers_clusters_and_repeats_no_row():
    states = np.repeat([[0.0] * 3, [10.0] * 3, [30.0] * 3], 4, axis=0)
    dataset = dataset_of(states, [12])
    for seed in range(5):
        assert {row // 4 for row in rows_of("k_center", 3, seed, dataset)} == {0, 1, 2}
        assert sorted(rows_of("k_center", 12, seed, dataset)) == list(range(12)), "though only 3 states differ"


def test_k_center_chooses_among_some_of_many_states(monkeypatch):
    monkeypatch.setattr(selection, "CENTER_CANDIDATES", 10)
    assert len(set(rows_of("k_center", 10))) == 10
    assert set(rows_of("k_center", 10)) == set(rows_of("random", 10)), "the candidates are a seeded draw"
    with pytest.raises(UserError, match="size: 11: is more than the 10 states of pendulum that k_center chooses from"):
        rows_of("k_center", 11)


@pytest.mark.parametrize(("size", "pool"), [(2, 3), (3, 3), (7, 7)])
def test_dual_ranking_draws_from_the_best_by_both_ranks(size, pool):
    dataset, expert = make_small_dataset(), make_small_near_expert()
    early = np.flatnonzero(np.arange(60) % 20 < 10)
    value = expert.actions_and_q(dataset.transitions.observations)[1].min(0).values.double().numpy()[early]
    rarity = -log_density_by_hand(dataset, 10)[early]
    rank = [max((value > value[i]).sum(), (rarity > rarity[i]).sum()) for i in range(len(early))]
    best = set(early[np.argsort(rank, kind="stable")[:pool]].tolist())
    drawn = [rows_of("dual_ranking", size, seed) for seed in range(30)]
    assert set(itertools.chain(*drawn)) == best
    assert len({tuple(rows) for rows in drawn}) > 1


def test_early_steps_are_counted_from_each_episodes_start():
    dataset = dataset_of(np.random.default_rng(0).normal(size=(14, 3)), [8, 2, 4])
    assert sorted(rows_of("dual_ranking", 10, dataset=dataset)) == [0, 1, 2, 3, 8, 9, 10, 11, 12, 13]


@pytest.mark.parametrize(("n", "neighbor"), [(60, 10), (8, 7), (2, 1)])
def test_log_density_is_by_the_distance_to_the_tenth_neighbor(n, neighbor):
    dataset = make_small_dataset(n, episode=n)
    assert np.allclose(density.log_density(dataset), log_density_by_hand(dataset, neighbor), atol=1e-3)


def test_density_among_some_references_does_not_count_a_state_as_its_own_neighbor(monkeypatch):
    monkeypatch.setattr(density, "REFERENCES", 20)
    dataset = make_small_dataset()
    states = normalized(dataset)
    found = density.log_density(dataset)
    distances = np.linalg.norm(states[:, None] - states[None], axis=-1)
    chosen = numpy_generator(0, "density").permutation(60)[:20]
    np.fill_diagonal(distances, np.inf)
    assert np.allclose(found, -3 * np.log(np.sort(distances[:, chosen], axis=1)[:, 9] + 1e-6), atol=1e-3)


@pytest.mark.parametrize("states", [np.zeros((30, 2)), np.zeros((1, 2))], ids=["equal", "one"])
def test_equal_states_weigh_the_same(states):
    dataset = dataset_of(states, [len(states)])
    assert np.isfinite(density.log_density(dataset)).all()
    assert torch.equal(density.rarity_weights(dataset), torch.ones(len(states)))
