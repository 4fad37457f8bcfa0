"""Units: what an artifact says about its task is checked."""

from pathlib import Path

import numpy as np
import pytest

from obdistill.core.errors import UserError
from obdistill.core.units import Task

GOOD = {"task": "a", "env_id": "A-v0", "reference_returns": [0, 10]}


@pytest.mark.parametrize("found", [[np.nan, 10], [0, np.nan], [0, np.inf], [-np.inf, 10], [10, 10], [10, 0]], ids=str)
def test_reference_returns_that_give_no_score_are_refused(found):
    with pytest.raises(UserError, match=r"^a\.npz: reference_returns are .*; finite numbers are needed"):
        Task.from_metadata({**GOOD, "reference_returns": found}, Path("a.npz"))


@pytest.mark.parametrize("found", [[1], "ab", 3])
def test_metadata_without_a_task_are_told(found):
    with pytest.raises(UserError, match=r"its \.json has no task, env_id and reference_returns"):
        Task.from_metadata({**GOOD, "reference_returns": found}, Path("a.npz"))


def test_scores_are_percent_of_the_way_from_random_to_expert():
    assert Task.from_metadata(GOOD, Path("a.npz")).score(np.array([0.0, 5.0, 20.0])).tolist() == [0, 50, 200]


def test_a_task_without_an_environment_has_no_scores():
    task = Task("own")
    assert Task.from_metadata(task.metadata(), Path("a.npz")) == task
    for refuse in (task.check_scorable, lambda: task.score(np.zeros(1))):
        with pytest.raises(UserError, match=r"^task own: has no (env_id|reference_returns); scores need it$"):
            refuse()
