"""What the tests of tables share."""

import pandas as pd

from helpers.fake_returns import read, write_returns
from obdistill.core import artifacts
from obdistill.paper.settings import TableSettings
from obdistill.paper.tables import make
from obdistill.paper.tables.make import TABLES


def write_returns_of_table_1(tmp_path):
    """Scores that are easy to average: seeds 0, 1, 2 of av_pbc score 30, 40, 50 over the last 5 of 6 snapshots."""
    paths = []
    for seed in range(3):
        level = 30 + 10 * seed

        def score(step, policy, episode, level=level):
            # policies differ by 4, episodes by 2; both cancel. The first snapshot would spoil everything
            return -1000 if step == 10 else level + (2 if policy else -2) + (1 if episode else -1)

        paths.append(write_returns(tmp_path / f"av/{seed}.csv", score, seed=seed, steps=range(10, 61, 10)))
        paths.append(write_returns(tmp_path / f"random/{seed}.csv", seed, method="random", seed=seed, steps=[0]))
    whole = {"method": "bc_whole", "protocol": "whole_data", "size": 5000}
    paths.append(write_returns(tmp_path / "whole.csv", lambda step, policy, episode: 10 + policy, **whole, policies=3))
    expert = {"method": "near_expert", "protocol": "near_expert", "size": 0}
    paths.append(
        write_returns(tmp_path / "e.csv", lambda s, p, episode: 80 + episode, **expert, policies=1, episodes=3)
    )
    return paths


def summarize(paths, name="table_1", **settings):
    return make.summarize(name, read(paths), TableSettings(**settings))


def described(name, table, **settings):
    return TABLES[name].describe(table, TableSettings(**settings))


def rendered(form, name, table, digits=1, **settings):
    """Write a table in one of its forms."""
    return form(*TABLES[name].arrange(table, digits), described(name, table, **settings))


def counts(name, table):
    """Return the counts by row, each as one text."""
    return {row[""]: " × ".join(list(row.values())[1:]) for row in described(name, table).counts}


def write_costs(path, task, size=401598):
    rows = [(task, "whole_data", size, 80000, 256, 1234.56, 22.4), (task, "synset", 256, 100, 256, 0.21, 0.0143)]
    columns = ["task", "data", "size", "steps", "batch_size", "seconds", "megabytes"]
    metadata = {"kind": "cost", "seconds_of_each_training": {"whole_data": [1234.56], "synset": [0.3, 0.1, 0.21]}}
    artifacts.write_artifact(path, pd.DataFrame(rows, columns=columns), metadata)
    return path
