"""What the figures about claims are drawn from: performance profiles, and the precision that designs would reach."""

import numpy as np
import pandas as pd

from obdistill.core.seeding import numpy_generator
from obdistill.paper import names
from obdistill.paper.episodes import Cells
from obdistill.paper.settings import FigureSettings
from obdistill.paper.statistics import aggregates, intervals, variance

DESIGNS = ((1, 1), (10, 1), (10, 10), (100, 10))  # policies per synset, episodes per policy
SEEDS = np.arange(2, 51)


def performance_profiles(cells: Cells, settings: FigureSettings) -> pd.DataFrame:
    """Compute the fraction of policies above each score, for the methods that all tasks have.

    Returns
    -------
    DataFrame
        method, variant, threshold, fraction, and low and high of its bootstrap band over seeds.
    """
    shown = aggregates.on_every_task(cells)
    scores = pd.concat([intervals.policy_scores(cell) for strata in shown.values() for cell in strata])
    thresholds = np.linspace(scores.min() - 0.02 * np.ptp(scores), scores.max(), 301)
    profiles = []
    for row, strata in shown.items():
        rng = numpy_generator(settings.seed, "profile", names.row_seed(row))
        draws = settings.confidence, settings.bootstrap_samples
        fraction, low, high = intervals.performance_profile(strata, thresholds, rng, *draws)
        about = {"method": row[0], "variant": row[1], "threshold": thresholds}
        profiles.append(pd.DataFrame({**about, "fraction": fraction, "low": low, "high": high}))
    return pd.concat(profiles, ignore_index=True)


def precision(cells: Cells, settings: FigureSettings) -> pd.DataFrame:
    """Compute half the width of a mean's interval for several designs, from variance components averaged over tasks.

    Returns
    -------
    DataFrame
        method, variant, policies, episodes, seeds, half_width, was_run (the design of the files). A method whose
        components are not known has one row without numbers.
    """
    table = []
    for row in names.in_order(row for of_task in cells.values() for row in of_task):
        cubes = [variance.cube(variance.balanced(of_task[row])) for of_task in cells.values() if row in of_task]
        mean = np.mean([variance.components(cube).variance for cube in cubes], axis=0)
        if np.isnan(mean).any():
            table.append((*row, None, None, None, np.nan, False))
            continue
        n_seeds, *design = cubes[0].shape
        designs = [(*planned, SEEDS, False) for planned in DESIGNS]
        for policies, episodes, seeds, was_run in [*designs, (*design, np.array([n_seeds]), True)]:
            widths = variance.half_width(mean, seeds, policies, episodes, settings.confidence)
            table += [(*row, policies, episodes, n, width, was_run) for n, width in zip(seeds, widths, strict=True)]
    columns = ["method", "variant", "policies", "episodes", "seeds", "half_width", "was_run"]
    whole = ["policies", "episodes", "seeds"]
    return pd.DataFrame(table, columns=columns).astype(dict.fromkeys(whole, "Int64"))
