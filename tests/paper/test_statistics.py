import numpy as np
import pandas as pd
import pytest
import scipy.stats

from obdistill.paper.statistics import intervals as statistics
from obdistill.paper.statistics.intervals import Interval


def frame(scores):
    """Episodes from a nested list: seed -> snapshot -> policy -> episode."""
    rows = [
        (seed, 10 * (step + 1), policy, episode, score)
        for seed, steps in enumerate(scores)
        for step, policies in enumerate(steps)
        for policy, episodes in enumerate(policies)
        for episode, score in enumerate(episodes)
    ]
    return pd.DataFrame(rows, columns=["seed", "step", "policy", "episode", "score"])


def test_last_snapshots_are_the_highest_steps_not_the_last_rows():
    episodes = frame([[[[1.0]], [[2.0]], [[3.0]]]]).iloc[::-1]
    assert sorted(statistics.last_snapshots(episodes, 2)["step"]) == [20, 30]
    assert len(statistics.last_snapshots(episodes, 5)) == 3


def test_seeds_are_the_unit_of_a_distillation_even_if_there_is_one():
    episodes = frame([[[[1, 3], [5, 7]]], [[[10, 10], [20, 20]]]])
    unit, scores = statistics.independent_scores(episodes, distilled=True)
    assert (unit, list(scores)) == ("seeds", [4, 15])
    unit, scores = statistics.independent_scores(episodes[episodes["seed"] == 0], distilled=True)
    assert (unit, list(scores)) == ("seeds", [4])


def test_without_a_distillation_the_unit_is_the_highest_level_with_two():
    two_seeds = frame([[[[1, 3]]], [[[5, 7]]]])
    assert statistics.independent_scores(two_seeds, distilled=False)[0] == "seeds"
    one_seed = frame([[[[1, 3], [5, 7]], [[3, 5], [7, 9]]]])  # the mean over two snapshots of the same two policies
    unit, scores = statistics.independent_scores(one_seed, distilled=False)
    assert (unit, list(scores)) == ("policies", [3, 7])
    one_policy = frame([[[[1, 3, 8]]]])
    unit, scores = statistics.independent_scores(one_policy, distilled=False)
    assert (unit, list(scores)) == ("episodes", [1, 3, 8])
    assert statistics.independent_scores(frame([[[[4]]]]), distilled=False)[0] == "episodes"


def test_counts():
    episodes = frame([[[[1, 3], [5, 7]]] * 3] * 4)
    assert statistics.counts(episodes) == {"seeds": 4, "snapshots": 3, "policies": 2, "episodes": 2}


def test_policy_spread_is_within_seeds_and_snapshots():
    # policies' means are 1 and 3 (sd sqrt 2), then 10 and 10 (sd 0): the seeds' own difference does not count
    spread = statistics.policy_spread(frame([[[[0, 2], [2, 4]]], [[[10, 10], [9, 11]]]]))
    assert spread.sd == pytest.approx(1)
    assert spread.worst == 1
    assert all(np.isnan(statistics.policy_spread(frame([[[[1, 2]]]]))))


def test_student_t_interval_by_hand():
    mean, low, high, n = statistics.student_t_interval([np.arange(1.0, 6)])
    half = 2.7764451 * np.sqrt(2.5 / 5)  # t(0.975, 4)
    assert (mean, n) == (3, 5)
    assert (low, high) == pytest.approx((3 - half, 3 + half))
    reference = scipy.stats.ttest_1samp(np.arange(1.0, 6), 0).confidence_interval(0.8)
    assert statistics.student_t_interval([np.arange(1.0, 6)], 0.8)[1:3] == pytest.approx(tuple(reference))


def test_interval_over_tasks_has_welchs_degrees_of_freedom():
    rng = np.random.default_rng(0)
    one, other = rng.normal(3, 1, 4), rng.normal(5, 6, 9)
    interval = statistics.student_t_interval([one, -other])
    difference = scipy.stats.ttest_ind(one, other, equal_var=False).confidence_interval()  # twice the mean of both
    assert interval[1:] == pytest.approx((difference.low / 2, difference.high / 2, 4))


@pytest.mark.parametrize("interval", [statistics.student_t_interval, statistics.bootstrap_interval])
def test_one_value_gives_no_interval_and_equal_ones_an_empty_one(interval):
    rng = () if interval is statistics.student_t_interval else (np.random.default_rng(0),)
    mean, low, high, n = interval([np.array([7.0])], *rng)
    assert (mean, n) == (7, 1)
    assert np.isnan([low, high]).all()
    assert np.isnan(interval([np.array([7.0]), np.array([1.0, 2.0])], *rng).low)
    assert interval([np.array([7.0, 7.0])], *rng) == Interval(7, 7, 7, 2)


def covers(interval, truth):
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize(("sizes", "spreads"), [((3,), (1,)), ((5,), (1,)), ((5, 5, 3), (1, 4, 2))])
def test_student_t_covers_95_percent(sizes, spreads):
    rng = np.random.default_rng(1)
    hits = [
        covers(
            statistics.student_t_interval(
                [rng.normal(10 * k, sd, n) for k, (n, sd) in enumerate(zip(sizes, spreads, strict=True))]
            ),
            10 * (len(sizes) - 1) / 2,
        )
        for _ in range(3000)
    ]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("n", "coverage"), [(5, 0.83), (40, 0.94)])
def test_bootstrap_covers_less_with_few_seeds(n, coverage):
    rng = np.random.default_rng(2)
    hits = [covers(statistics.bootstrap_interval([rng.normal(0, 1, n)], rng, samples=500), 0) for _ in range(800)]
    assert np.mean(hits) == pytest.approx(coverage, abs=0.03)


def test_bootstrap_agrees_with_scipys_and_follows_its_generator():
    values = np.random.default_rng(3).gamma(2, 3, 12)
    ours = statistics.bootstrap_interval([values], np.random.default_rng(4), samples=20000)
    theirs = scipy.stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20000, rng=5)
    assert ours[1:3] == pytest.approx(tuple(theirs.confidence_interval), rel=0.02)
    again = statistics.bootstrap_interval([values], np.random.default_rng(4), samples=20000)
    other = statistics.bootstrap_interval([values], np.random.default_rng(6), samples=20000)
    assert again == ours != other


def test_iqm():
    assert statistics.iqm(np.array([[0, 4], [1, 5], [2, 6], [3, 700]])) == 3.5  # 2, 3, 4, 5 are left
    scores = np.random.default_rng(0).normal(size=(7, 3))
    assert statistics.iqm(scores) == pytest.approx(scipy.stats.trim_mean(scores.ravel(), 0.25))


def test_optimality_gap():
    assert statistics.optimality_gap(np.array([[50, 150], [100, 0]])) == 37.5
    assert statistics.optimality_gap(np.array([[50, 150]]), target=200) == 100


def test_probability_of_improvement():
    ours, theirs = np.array([[1.0], [3.0]]), np.array([[2.0], [3.0]])
    assert statistics.probability_of_improvement(ours, theirs) == pytest.approx(1.5 / 4)
    assert statistics.probability_of_improvement(ours, ours) == 0.5
    # two tasks, unequal numbers of seeds: 1 on the first, 1/3 on the second
    assert statistics.probability_of_improvement(
        np.array([[9.0, 2.0]]), np.array([[1.0, 1.0], [2.0, 3.0], [3.0, 4.0]])
    ) == pytest.approx((1 + 1 / 3) / 2)


def test_stratified_bootstrap_draws_runs_within_tasks():
    certain = np.array([[0.0, 100.0], [0.0, 100.0]])
    rng = np.random.default_rng(0)
    assert statistics.stratified_bootstrap(statistics.mean_of_tasks, certain, rng=rng, samples=50) == (50, 50)
    scores = np.random.default_rng(0).normal(size=(6, 4))
    intervals = [
        statistics.stratified_bootstrap(statistics.iqm, scores, rng=np.random.default_rng(seed), samples=200)
        for seed in (1, 1, 2)
    ]
    assert intervals[0] == intervals[1] != intervals[2]
    assert intervals[0][0] < statistics.iqm(scores) < intervals[0][1]
    low, high = statistics.stratified_bootstrap(
        statistics.probability_of_improvement, scores + 9, scores[:3], rng=np.random.default_rng(0), samples=50
    )
    assert (low, high) == (1, 1)


@pytest.mark.parametrize(
    ("statistic", "shape", "coverage"),
    [
        (statistics.mean_of_tasks, (10, 3), 0.92),
        (statistics.mean_of_tasks, (3, 1), 0.72),  # as docs/statistics.md says
        (statistics.iqm, (5, 9), 0.91),
        (statistics.optimality_gap, (5, 9), 0.90),
    ],
)
def test_stratified_bootstrap_coverage(statistic, shape, coverage):
    rng = np.random.default_rng(5)
    levels = np.linspace(10, 90, shape[1])
    runs = levels + rng.normal(0, 5, (20000, *shape))
    truth = statistic(runs).mean()
    intervals = [statistics.stratified_bootstrap(statistic, scores, rng=rng, samples=200) for scores in runs[:400]]
    assert np.mean([low <= truth <= high for low, high in intervals]) == pytest.approx(coverage, abs=0.04)


def test_aggregates_of_stacks_are_those_of_each_matrix():
    ours, theirs = np.random.default_rng(6).normal(90, 20, (2, 7, 5, 3))
    for statistic in (statistics.iqm, statistics.mean_of_tasks, statistics.median_of_tasks, statistics.optimality_gap):
        assert statistic(ours) == pytest.approx([float(statistic(matrix)) for matrix in ours])
    each = [float(statistics.probability_of_improvement(*pair)) for pair in zip(ours, theirs, strict=True)]
    assert statistics.probability_of_improvement(ours, theirs) == pytest.approx(each)


def test_median_of_tasks():
    assert statistics.median_of_tasks(np.array([[0.0, 5, 90], [2, 7, 0]])) == 6  # of 1, 6, 45


def test_performance_profile_band_covers():
    """Seeds differ by sd 1, their policies by 2: a policy is above 0 with probability 1/2."""
    rng = np.random.default_rng(7)
    index = pd.MultiIndex.from_product([range(12), range(8)], names=["seed", "policy"]).to_frame(index=False)
    hits = []
    for _ in range(200):
        scores = rng.normal(0, 1, (12, 1)) + rng.normal(0, 2, (12, 8))
        episodes = index.assign(step=0, score=scores.ravel())
        _, low, high = statistics.performance_profile([episodes], np.zeros(1), rng, 0.95, 300)
        hits.append(low[0] <= 0.5 <= high[0])
    assert np.mean(hits) == pytest.approx(0.92, abs=0.05)
