import numpy as np
import pandas as pd
import pytest
import scipy.stats

from obdistill.paper.statistics import intervals


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
    assert sorted(intervals.last_snapshots(episodes, 2)["step"]) == [20, 30]
    assert len(intervals.last_snapshots(episodes, 5)) == 3


def test_seeds_are_the_unit_of_a_distillation_even_if_there_is_one():
    episodes = frame([[[[1, 3], [5, 7]]], [[[10, 10], [20, 20]]]])
    unit, scores = intervals.independent_scores(episodes, distilled=True)
    assert (unit, list(scores)) == ("seeds", [4, 15])
    unit, scores = intervals.independent_scores(episodes[episodes["seed"] == 0], distilled=True)
    assert (unit, list(scores)) == ("seeds", [4])


def test_without_a_distillation_the_unit_is_the_highest_level_with_two():
    two_seeds = frame([[[[1, 3]]], [[[5, 7]]]])
    assert intervals.independent_scores(two_seeds, distilled=False)[0] == "seeds"
    one_seed = frame([[[[1, 3], [5, 7]], [[3, 5], [7, 9]]]])  # the mean over two snapshots of the same two policies
    unit, scores = intervals.independent_scores(one_seed, distilled=False)
    assert (unit, list(scores)) == ("policies", [3, 7])
    one_policy = frame([[[[1, 3, 8]]]])
    unit, scores = intervals.independent_scores(one_policy, distilled=False)
    assert (unit, list(scores)) == ("episodes", [1, 3, 8])
    assert intervals.independent_scores(frame([[[[4]]]]), distilled=False)[0] == "episodes"


def test_counts():
    episodes = frame([[[[1, 3], [5, 7]]] * 3] * 4)
    assert intervals.counts(episodes) == {"seeds": 4, "snapshots": 3, "policies": 2, "episodes": 2}


def test_policy_spread_is_within_seeds_and_snapshots():
    # policies' means are 1 and 3 (sd sqrt 2), then 10 and 10 (sd 0): the seeds' own difference does not count
    spread = intervals.policy_spread(frame([[[[0, 2], [2, 4]]], [[[10, 10], [9, 11]]]]))
    assert spread.sd == pytest.approx(1)
    assert spread.worst == 1
    assert all(np.isnan(intervals.policy_spread(frame([[[[1, 2]]]]))))


def test_student_t_interval_by_hand():
    mean, low, high, n = intervals.student_t_interval([np.arange(1.0, 6)])
    half = 2.7764451 * np.sqrt(2.5 / 5)  # t(0.975, 4)
    assert (mean, n) == (3, 5)
    assert (low, high) == pytest.approx((3 - half, 3 + half))
    reference = scipy.stats.ttest_1samp(np.arange(1.0, 6), 0).confidence_interval(0.8)
    assert intervals.student_t_interval([np.arange(1.0, 6)], 0.8)[1:3] == pytest.approx(tuple(reference))


def test_interval_over_tasks_has_welchs_degrees_of_freedom():
    rng = np.random.default_rng(0)
    one, other = rng.normal(3, 1, 4), rng.normal(5, 6, 9)
    interval = intervals.student_t_interval([one, -other])
    difference = scipy.stats.ttest_ind(one, other, equal_var=False).confidence_interval()  # twice the mean of both
    assert interval[1:] == pytest.approx((difference.low / 2, difference.high / 2, 4))


@pytest.mark.parametrize("interval", [intervals.student_t_interval, intervals.bootstrap_interval])
def test_one_value_gives_no_interval_and_equal_ones_an_empty_one(interval):
    rng = () if interval is intervals.student_t_interval else (np.random.default_rng(0),)
    mean, low, high, n = interval([np.array([7.0])], *rng)
    assert (mean, n) == (7, 1)
    assert np.isnan([low, high]).all()
    assert np.isnan(interval([np.array([7.0]), np.array([1.0, 2.0])], *rng).low)
    assert interval([np.array([7.0, 7.0])], *rng) == intervals.Interval(7, 7, 7, 2)


def covers(interval, truth):
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize(("sizes", "spreads"), [((3,), (1,)), ((5,), (1,)), ((5, 5, 3), (1, 4, 2))])
def test_student_t_covers_95_percent(sizes, spreads):
    rng = np.random.default_rng(1)
    hits = [
        covers(
            intervals.student_t_interval(
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
    hits = [covers(intervals.bootstrap_interval([rng.normal(0, 1, n)], rng, samples=500), 0) for _ in range(800)]
    assert np.mean(hits) == pytest.approx(coverage, abs=0.03)


def test_bootstrap_agrees_with_scipys_and_follows_its_generator():
    values = np.random.default_rng(3).gamma(2, 3, 12)
    ours = intervals.bootstrap_interval([values], np.random.default_rng(4), samples=20000)
    theirs = scipy.stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20000, rng=5)
    assert ours[1:3] == pytest.approx(tuple(theirs.confidence_interval), rel=0.02)
    again = intervals.bootstrap_interval([values], np.random.default_rng(4), samples=20000)
    other = intervals.bootstrap_interval([values], np.random.default_rng(6), samples=20000)
    assert again == ours != other


def test_iqm():
    assert intervals.iqm(np.array([[0, 4], [1, 5], [2, 6], [3, 700]])) == 3.5  # 2, 3, 4, 5 are left
    scores = np.random.default_rng(0).normal(size=(7, 3))
    assert intervals.iqm(scores) == pytest.approx(scipy.stats.trim_mean(scores.ravel(), 0.25))


def test_optimality_gap():
    assert intervals.optimality_gap(np.array([[50, 150], [100, 0]])) == 37.5
    assert intervals.optimality_gap(np.array([[50, 150]]), target=200) == 100


def test_probability_of_improvement():
    ours, theirs = np.array([[1.0], [3.0]]), np.array([[2.0], [3.0]])
    assert intervals.probability_of_improvement(ours, theirs) == pytest.approx(1.5 / 4)
    assert intervals.probability_of_improvement(ours, ours) == 0.5
    # two tasks, unequal numbers of seeds: 1 on the first, 1/3 on the second
    assert intervals.probability_of_improvement(
        np.array([[9.0, 2.0]]), np.array([[1.0, 1.0], [2.0, 3.0], [3.0, 4.0]])
    ) == pytest.approx((1 + 1 / 3) / 2)


def test_stratified_bootstrap_draws_runs_within_tasks():
    certain = np.array([[0.0, 100.0], [0.0, 100.0]])
    rng = np.random.default_rng(0)
    assert intervals.stratified_bootstrap(intervals.mean_of_tasks, certain, rng=rng, samples=50) == (50, 50)
    scores = np.random.default_rng(0).normal(size=(6, 4))
    found = [
        intervals.stratified_bootstrap(intervals.iqm, scores, rng=np.random.default_rng(seed), samples=200)
        for seed in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]
    assert found[0][0] < intervals.iqm(scores) < found[0][1]
    low, high = intervals.stratified_bootstrap(
        intervals.probability_of_improvement, scores + 9, scores[:3], rng=np.random.default_rng(0), samples=50
    )
    assert (low, high) == (1, 1)


@pytest.mark.parametrize(
    ("statistic", "shape", "coverage"),
    [
        (intervals.mean_of_tasks, (10, 3), 0.92),
        (intervals.mean_of_tasks, (3, 1), 0.72),  # as docs/statistics.md says
        (intervals.iqm, (5, 9), 0.91),
        (intervals.optimality_gap, (5, 9), 0.90),
    ],
)
def test_stratified_bootstrap_coverage(statistic, shape, coverage):
    rng = np.random.default_rng(5)
    levels = np.linspace(10, 90, shape[1])
    runs = levels + rng.normal(0, 5, (20000, *shape))
    truth = statistic(runs).mean()
    found = [intervals.stratified_bootstrap(statistic, scores, rng=rng, samples=200) for scores in runs[:400]]
    assert np.mean([low <= truth <= high for low, high in found]) == pytest.approx(coverage, abs=0.04)


def test_aggregates_of_stacks_are_those_of_each_matrix():
    ours, theirs = np.random.default_rng(6).normal(90, 20, (2, 7, 5, 3))
    for statistic in (intervals.iqm, intervals.mean_of_tasks, intervals.median_of_tasks, intervals.optimality_gap):
        assert statistic(ours) == pytest.approx([float(statistic(matrix)) for matrix in ours])
    each = [float(intervals.probability_of_improvement(*pair)) for pair in zip(ours, theirs, strict=True)]
    assert intervals.probability_of_improvement(ours, theirs) == pytest.approx(each)


def test_median_of_tasks():
    assert intervals.median_of_tasks(np.array([[0.0, 5, 90], [2, 7, 0]])) == 6  # of 1, 6, 45


def test_performance_profile_band_covers():
    """Seeds differ by sd 1, their policies by 2: a policy is above 0 with probability 1/2."""
    rng = np.random.default_rng(7)
    index = pd.MultiIndex.from_product([range(12), range(8)], names=["seed", "policy"]).to_frame(index=False)
    hits = []
    for _ in range(200):
        scores = rng.normal(0, 1, (12, 1)) + rng.normal(0, 2, (12, 8))
        episodes = index.assign(step=0, score=scores.ravel())
        _, low, high = intervals.performance_profile([episodes], np.zeros(1), rng, 0.95, 300)
        hits.append(low[0] <= 0.5 <= high[0])
    assert np.mean(hits) == pytest.approx(0.92, abs=0.05)
