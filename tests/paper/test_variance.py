import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from helpers.fake_returns import read, write_returns
from obdistill.core.errors import UserError
from obdistill.paper.episodes import by_task_and_row
from obdistill.paper.statistics import comparisons, variance


def draw(rng, shape, sds, mean=0.0):
    seeds, policies, episodes = (rng.normal(0, sd, shape[: level + 1]) for level, sd in enumerate(sds))
    return mean + seeds[:, None, None] + policies[:, :, None] + episodes


def test_sums_of_squares_by_hand():
    scores = np.array([[[1.0, 3.0], [5.0, 7.0]], [[9.0, 11.0], [13.0, 15.0]]])
    squares, freedom = variance.sums_of_squares(scores)
    # means of seeds 4 and 12, of policies 2, 6, 10, 14
    assert squares.tolist() == [128, 32, 8]
    assert freedom.tolist() == [1, 2, 4]
    found = variance.components(scores)
    assert found.variance.tolist() == [(128 - 16) / 4, (16 - 2) / 2, 2]
    assert not found.bound.any()


@pytest.mark.parametrize(("shape", "sds"), [((5, 10, 5), (4, 6, 5)), ((6, 4, 4), (6, 4, 5)), ((10, 10, 10), (5, 0, 5))])
def test_components_recover_the_truth_and_their_intervals_cover_it(shape, sds):
    rng = np.random.default_rng(0)
    found = [variance.components(draw(rng, shape, sds)) for _ in range(600)]
    truth = np.square(sds)
    # cutting at 0 raises the mean a little, pooling with the level below lowers that one's
    assert np.mean([f.variance for f in found], 0) == pytest.approx(truth, rel=0.12, abs=0.6)
    coverage = np.mean([(f.low <= truth) & (truth <= f.high) for f in found], 0)
    assert (coverage > 0.925).all()
    assert coverage[2] < 0.975


def test_at_the_bound_levels_are_pooled():
    scores = np.array([[[0.0, 2.0], [8.0, 10.0]], [[1.0, 3.0], [7.0, 9.0]]])  # equal seeds
    found = variance.components(scores)
    # squares 0, 100, 8 with 1, 2, 4 degrees of freedom
    assert found.variance == pytest.approx([0, (100 / 3 - 2) / 2, 2])
    assert found.bound.tolist() == [True, False, False]
    assert found.low[0] == 0


@pytest.mark.parametrize(
    ("shape", "known"),
    [
        ((1, 4, 3), [0, 1, 1]),
        ((4, 1, 3), [0, 0, 1]),
        ((4, 3, 1), [1, 0, 0]),
        ((1, 1, 3), [0, 0, 1]),
        ((3, 1, 1), [0] * 3),
    ],
)
def test_what_cannot_be_told_apart_is_missing(shape, known):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = variance.components(draw(np.random.default_rng(1), shape, (3, 2, 1)))
    for values in found[:3]:
        assert np.isfinite(values).tolist() == [bool(k) for k in known]
    assert not found.bound[~np.array(known, bool)].any()


def mixed_lm(frame, formula, groups, components, reml):
    from statsmodels.regression.mixed_linear_model import MixedLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MixedLM.from_formula(formula, frame, groups=groups, re_formula="1", vc_formula=components).fit(reml=reml)


def long_form(scores, **columns):
    index = pd.MultiIndex.from_product([range(n) for n in scores.shape], names=variance.LEVELS)
    return pd.DataFrame({"score": scores.ravel()}, index).reset_index().assign(**columns)


def test_components_agree_with_statsmodels():
    scores = draw(np.random.default_rng(3), (6, 4, 3), (4, 3, 2))
    fit = mixed_lm(long_form(scores), "score ~ 1", "seed", {"policy": "0 + C(policy)"}, reml=True)
    theirs = [fit.cov_re.iloc[0, 0], fit.vcomp[0], fit.scale]
    assert variance.components(scores).variance == pytest.approx(theirs, rel=1e-2)


def test_likelihood_ratio_agrees_with_statsmodels_for_crossed_methods():
    """Shared effects of seeds and policies drop out of paired differences."""
    rng = np.random.default_rng(4)
    shared = draw(rng, (6, 3, 2), (12, 9, 6))
    both = [shared + draw(rng, (6, 3, 2), (3, 3, 2), mean) for mean in (0, 4)]
    frame = pd.concat(
        [long_form(scores, method=name) for name, scores in zip("ab", both, strict=True)], ignore_index=True
    )
    parts = {
        "policy": "0 + C(policy)",
        "method": "0 + C(method)",
        "method_policy": "0 + C(method):C(policy)",
        "episode": "0 + C(policy):C(episode)",
    }
    fits = [mixed_lm(frame, formula, "seed", parts, reml=False) for formula in ("score ~ 1", "score ~ method")]
    ratio = variance.mean_test(both[1] - both[0]).likelihood_ratio
    assert ratio > 1
    assert ratio == pytest.approx(2 * (fits[1].llf - fits[0].llf), abs=1e-3)


@pytest.mark.parametrize(
    ("n_seeds", "sds", "chi_squared"),
    [(3, (9, 3, 1), 0.15), (5, (9, 3, 1), 0.098), (5, (0, 6, 5), 0.04), (20, (9, 3, 1), 0.06)],
)
def test_false_positive_rates(n_seeds, sds, chi_squared):
    """That of Student's t is its level; the likelihood ratio's is larger with few seeds, as the captions say."""
    rng = np.random.default_rng(5)
    tests = [variance.mean_test(draw(rng, (n_seeds, 4, 3), sds)) for _ in range(1500)]
    rate = np.mean([[test.p_likelihood_ratio < 0.05, test.p_student_t < 0.05] for test in tests], 0)
    assert rate[1] == pytest.approx(0.05, abs=0.02)
    assert rate[0] == pytest.approx(chi_squared, abs=0.025)
    assert rate[0] < variance.false_positive_rate(n_seeds) + 0.02
    if sds[0]:
        assert variance.false_positive_rate(n_seeds) == pytest.approx(chi_squared, abs=0.01)


def test_a_difference_is_found():
    test = variance.mean_test(draw(np.random.default_rng(6), (5, 4, 3), (1, 1, 1), mean=5))
    assert max(test.p_likelihood_ratio, test.p_student_t) < 0.01


def test_where_there_is_no_test():
    assert all(np.isnan(variance.mean_test(np.ones((1, 4, 3)))))  # one seed
    assert all(np.isnan(variance.mean_test(np.ones((3, 4, 3)))))  # no spread
    steady = np.array([1.0, 2.0, 3.0])[:, None, None] + np.zeros((3, 4, 3))  # seeds alone differ
    assert variance.mean_test(steady).likelihood_ratio == pytest.approx(3 * np.log(14 / 2))


def test_holm():
    assert variance.holm(np.array([0.01, np.nan, 0.04, 0.03])) == pytest.approx([0.03, np.nan, 0.06, 0.06], nan_ok=True)
    assert len(variance.holm(np.array([]))) == 0
    assert np.isnan(variance.holm(np.array([np.nan]))).all()


def test_holm_agrees_with_statsmodels():
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(9)
    for n in range(1, 12):
        p = np.round(rng.uniform(0, 0.4, n), 2)  # with ties
        assert variance.holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-15)


@pytest.mark.parametrize(("variance_", "difference"), [(4.0, 5.0), (30.0, 5.0), (400.0, 5.0), (30.0, 0.7)])
def test_seeds_needed_agree_with_statsmodels(variance_, difference):
    from statsmodels.stats.power import TTestPower

    effect = difference / np.sqrt(variance_)
    n = int(variance.seeds_needed(variance_, difference))
    power = [TTestPower().power(effect, seeds, 0.05) for seeds in (n, max(n - 1, 2))]
    assert power[0] >= variance.POWER
    assert n == 2 or power[1] < variance.POWER


def test_seeds_needed_at_the_ends():
    assert variance.seeds_needed(0.0, 5.0) == 2
    assert variance.seeds_needed(1e-6, 5.0) == 2
    assert variance.seeds_needed(1e9, 5.0) == np.inf
    assert np.isnan(variance.seeds_needed(np.nan, 5.0))


@pytest.mark.parametrize(("variance_", "seeds"), [(4.0, 3), (0.3, 20), (25.0, 5)])
def test_the_smallest_difference_is_found_at_the_power_of_a_claim(variance_, seeds):
    from statsmodels.stats.power import TTestPower

    smallest = variance.smallest_difference(variance_, seeds)
    assert TTestPower().power(smallest / np.sqrt(variance_), seeds, 0.05) == pytest.approx(variance.POWER, abs=1e-3)


def test_one_seed_finds_no_difference():
    assert np.isnan(variance.smallest_difference(np.nan, 1))


def test_so_many_seeds_find_the_difference_that_often():
    rng = np.random.default_rng(8)
    sds, shape = (3, 4, 5), (4, 2)
    n = int(variance.seeds_needed(9 + 16 / 4 + 25 / 8, 5.0))
    found = [variance.mean_test(draw(rng, (n, *shape), sds, mean=5.0)).p_student_t < 0.05 for _ in range(800)]
    assert 0.77 < np.mean(found) < 0.93  # the power of n is at least that of a claim, n being whole


def test_half_width():
    # of one seed's mean: 4 + 6 / 2 + 8 / 4 = 9
    assert variance.half_width(np.array([4.0, 6, 8]), np.array([4]), 2, 2) == pytest.approx(3.1824463 * 3 / 2)


def test_half_width_is_that_of_simulated_intervals():
    rng = np.random.default_rng(7)
    means = rng.normal(0, 3, (4000, 5)) + rng.normal(0, 4, (4000, 5, 8)).mean(2)
    squared = np.mean((2.7764451 * means.std(1, ddof=1) / np.sqrt(5)) ** 2)
    assert variance.half_width(np.array([9.0, 16, 0]), np.array([5]), 8, 1) == pytest.approx(np.sqrt(squared), rel=0.05)


def decompose(paths):
    return comparisons.decompose(by_task_and_row(read(paths)))


def test_pairs_share_seeds_policies_and_episodes(tmp_path):
    for method, seeds, size in (("random", range(5), 3), ("pbc", range(3), 2)):
        for seed in seeds:
            level = 10 * seed + (seed % 2 + 7 if method == "pbc" else 0)

            def score(step, policy, episode, level=level):
                return level + policy**2 + (-1) ** (policy + episode)

            path = tmp_path / f"{method}{seed}.csv"
            write_returns(path, score, method=method, seed=seed, policies=size, episodes=2)
    table = decompose(tmp_path.glob("*.csv"))
    assert table[["method", "other", *variance.COUNTS]].fillna("").to_numpy().tolist() == [
        ["random", "", 5, 3, 2],
        ["pbc", "", 3, 2, 2],
        ["pbc", "random", 3, 2, 2],
    ]
    pair = table.iloc[2]
    assert pair["mean"] == pytest.approx(7 + 1 / 3)  # the seeds' 0, 10, 20 and everything of the policies is shared
    assert pair["policy_variance"] == pair["episode_variance"] == 0
    assert pair["p_student_t_holm"] == pair["p_student_t"] < 0.01


def test_chosen_pairs_and_their_average_over_tasks(tmp_path):
    """Rows of variants, and the mean of tasks by seed."""
    differences = {"hopper_medium": [4, 6, 8], "walker2d_medium": [1, 1, 4]}
    for task, of_task in differences.items():
        for seed, difference in enumerate(of_task):
            for variant, score in (("default", 10.0), ("paper", 10.0 + difference)):
                path = tmp_path / f"{task}{variant}{seed}.csv"
                write_returns(path, score, task=task, variant=variant, seed=seed, policies=2, episodes=2)
    cells = by_task_and_row(read(tmp_path.glob("*.csv")))
    pair = ("av_pbc", "paper"), ("av_pbc", "default")
    table = comparisons.decompose(cells, pairs=[pair, (("pbc", "paper"), ("pbc", "default"))])
    found = table[table["other"].notna()].set_index("task")
    assert found["mean"].tolist() == [6, 2, 4]
    assert list(found.index) == ["hopper_medium", "walker2d_medium", "average"]
    average = found.loc["average"]
    means = np.array([2.5, 3.5, 6.0])
    half = 4.302653 * means.std(ddof=1) / np.sqrt(3)
    assert [average["low"], average["high"]] == pytest.approx([4 - half, 4 + half], rel=1e-6)
    assert average["p_student_t"] == pytest.approx(scipy.stats.ttest_1samp(means, 0).pvalue)
    assert np.isnan(average["p_likelihood_ratio"])
    assert average["seeds"] == 3


def test_unbalanced_or_shared_policies_are_refused(tmp_path):
    one = write_returns(tmp_path / "0.csv", 1, seed=0, policies=3)
    other = write_returns(tmp_path / "1.csv", 2, seed=1, policies=2)
    with pytest.raises(UserError, match=r"0\.csv: task hopper_medium, av_pbc: has unequal numbers of policies"):
        decompose([one, other])
    episodes = read([one])
    again = pd.concat([episodes, episodes.assign(seed=1)])  # the policies of seed 0
    with pytest.raises(UserError, match="policy_seed 0 stands for several seeds"):
        variance.balanced(again)
